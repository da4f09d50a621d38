"""`lumbar-node analyse`: files, keys and exit codes, exactly."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from analysis.lumbar.measure.quantities import OF_LEVELS
from tests.support import regrid, variants
from tests.support.line_coverage.uncounted import uncounted
from tests.support.node_process import PROGRAM
from tests.support.peers import WITHIN_S
from tests.support.variants import AXIAL, T1, Series, fresh

MEASURED, FAILED, WRONG_USAGE, UNSUITABLE = 0, 1, 2, 4
QUANTITIES = {quantity.key for quantity in OF_LEVELS if "." not in quantity.key} | {
    "pfirrmann_grade",
    "narrowing_probability",
    "displacement",
    "displacement_probability",
}
PARTS = {
    "reference": {"dh_px512", "dhi", "hdr", "delta_si", "delta_si_grade"},
    "norms": {"dhi", "hdr", "delta_si"},
}
OTHERS = {
    "level",
    "pfirrmann_probabilities",
    "pfirrmann_range",
    "pfirrmann_rival",
    "uncertainty",
    "unmeasured",
}


def analyse(
    folder: Path, out: Path, *options: str | Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "analyse", str(folder), "--out", str(out), *map(str, options)],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        env=uncounted(),
    )


def report_of(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


def write(series: Series, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, instance in enumerate(series):
        instance.save_as(folder / f"{instance.SeriesInstanceUID}-{number:02d}.dcm")
    return folder


@pytest.fixture(scope="module")
def coarse(demo_series: Path) -> Series:
    """Return the middle of the bundled series at half its resolution: quicker."""
    bundled = variants.read_bundled(demo_series)
    return regrid.blocks(bundled[1:8], rows=2, columns=2)


@pytest.fixture(scope="module")
def measured(demo_series: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the results of the bundled series."""
    out = tmp_path_factory.mktemp("measured") / "out"
    done = analyse(demo_series, out)
    assert done.returncode == MEASURED, done.stderr
    return out


def test_the_outlines_of_a_seg_are_measured_without_the_network(
    demo_series: Path, measured: Path, tmp_path: Path
) -> None:
    """Of our own SEG, whose outlines run along voxels, not between them."""
    done = analyse(demo_series, tmp_path, "--corrected", measured / "seg.dcm")
    assert done.returncode == MEASURED, done.stderr
    assert not (tmp_path / "seg.dcm").exists()
    first, report = report_of(measured), report_of(tmp_path)
    seg = dcmread(measured / "seg.dcm", stop_before_pixels=True)
    assert report["corrected_seg_uid"] == seg.SOPInstanceUID
    assert report["outlines"]["origin"] == "reader"
    for now, then in zip(report["levels"], first["levels"], strict=True):
        # A fifth of the pixels' 0.47 mm.
        height_mm = pytest.approx(then["disc_height_mm"], abs=0.1)
        assert now["disc_height_mm"] == height_mm, now["level"]


def test_what_is_no_seg_of_the_series_is_refused_with_its_reason(
    demo_series: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    out = tmp_path / "out"
    done = analyse(demo_series, out, "--corrected", tmp_path / "notes.txt")
    assert done.returncode == UNSUITABLE, done.stderr
    assert report_of(out)["reason"] == "unreadable_segmentation"


def test_the_bundled_series_is_measured(measured: Path) -> None:
    names = {path.name for path in measured.iterdir()}
    captures = {name for name in names if name.startswith("sc_")}
    assert "sc_01.dcm" in captures
    assert names - captures == {"seg.dcm", "sr.dcm", "overlay.png", "report.json"}

    report = report_of(measured)
    assert set(report) == {
        "version", "status", "series_uid", "analysis", "warnings", "levels",
        "upper_levels", "vertebrae", "spine",
        "outlines", "level_certainty", "outline_confidence", "report_text",
    }  # fmt: skip
    assert (report["version"], report["status"]) == (1, "measured")
    assert set(report["analysis"]) == {"name", "version", "weights_sha256"}
    levels = [row["level"] for row in report["levels"]]
    assert {"L4/L5", "L5/S1"} <= set(levels)
    for row in report["levels"]:
        assert set(row) == QUANTITIES | set(PARTS) | OTHERS
        absent = {name for name in QUANTITIES if row[name] is None}
        for part, names in PARTS.items():
            assert set(row[part]) == names
            absent |= {f"{part}.{name}" for name in names if row[part][name] is None}
        assert absent == set(row["unmeasured"])
        assert all(row["unmeasured"].values())


def test_another_kind_of_series_is_unsuitable_with_its_reason(
    coarse: Series, tmp_path: Path
) -> None:
    folder = write(fresh(coarse, variants.turned(AXIAL, axis=2)), tmp_path / "in")
    done = analyse(folder, tmp_path / "out")
    assert done.returncode == UNSUITABLE, done.stderr
    report = report_of(tmp_path / "out")
    assert (report["status"], report["reason"]) == ("unsuitable", "not_sagittal")
    assert not (tmp_path / "out" / "seg.dcm").exists()


def test_a_folder_of_garbage_is_unsuitable_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(b"no dicom" * 100)
    (folder / "notes.txt").write_text("hello")
    done = analyse(folder, tmp_path / "out")
    assert done.returncode in {UNSUITABLE, FAILED}
    assert "Traceback" not in done.stderr
    assert done.stderr or done.stdout


def test_among_several_series_the_sagittal_t2_one_is_chosen(
    coarse: Series, tmp_path: Path
) -> None:
    folder = write(fresh(coarse, T1), tmp_path / "in")
    write(fresh(coarse, variants.turned(AXIAL, axis=2)), folder)
    wanted = fresh(coarse)
    write(wanted, folder)
    (folder / "readme.txt").write_text("not DICOM")
    done = analyse(folder, tmp_path / "out")
    assert done.returncode == MEASURED, done.stderr
    report = report_of(tmp_path / "out")
    assert report["series_uid"] == str(wanted[0].SeriesInstanceUID)
    assert str(wanted[0].SeriesInstanceUID) in done.stdout + done.stderr
    assert "not_t2" in done.stdout + done.stderr
    codes = [warning["code"] for warning in report["warnings"]]
    assert "other_suitable_series" not in codes


def test_a_series_called_t1_is_measured_alone_and_without_its_signal(
    coarse: Series, tmp_path: Path
) -> None:
    done = analyse(write(fresh(coarse, T1), tmp_path / "in"), tmp_path / "out")
    assert done.returncode == MEASURED, done.stderr
    report = report_of(tmp_path / "out")
    assert "not_t2" in [warning["code"] for warning in report["warnings"]]
    heights = [row["disc_height_mm"] for row in report["levels"]]
    assert sum(height is not None for height in heights) >= 4
    for row in report["levels"]:
        assert row["delta_si"] is row["pfirrmann_grade"] is None
        assert row["unmeasured"]["pfirrmann_grade"]


@pytest.mark.parametrize("words", [[], ["analyse"], ["analyse", "/nowhere", "--out"]])
def test_wrong_usage_exits_with_2_and_no_traceback(words: list[str]) -> None:
    done = subprocess.run(
        [PROGRAM, *words], capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert done.returncode == WRONG_USAGE
    assert "Traceback" not in done.stderr

"""Results as programs of others read them: dcmqi, highdicom, SimpleITK, dcmjs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as its own manual does
from highdicom.sr import Comprehensive3DSR, MeasurementReport, srread
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from analysis.contract.result import AnalysisResult
from dicom_node.decode.volume import DecodedSeries, read_volume
from dicom_node.encode.result_context import EncodeRequest
from dicom_node.encode.result_objects import encode_result
from tests.support.encoded import REQUEST
from tests.support.peers import WITHIN_S
from tests.support.phantom_result import phantom_result
from tests.support.result_files import GEOMETRIES, write_source

SCRIPT = Path(__file__).parents[1] / "support" / "read_with_dcmjs.cjs"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A source, its result, and the files made of it."""

    folder: Path
    source: list[Path]
    series: DecodedSeries
    result: AnalysisResult

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.dcm"


MakeCase = Callable[..., Case]


@pytest.fixture
def make_case(tmp_path: Path) -> MakeCase:
    def make(variant: str = "classic", request: EncodeRequest = REQUEST) -> Case:
        source, labels = write_source(tmp_path / "source", variant)
        series = read_volume(source)
        result = phantom_result(labels)
        for encoded in encode_result(result, series, request):
            path = tmp_path / f"{encoded.name}.dcm"
            encoded.dataset.save_as(path, enforce_file_format=True)
        return Case(folder=tmp_path, source=source, series=series, result=result)

    return make


def dcmqi(program: str, *options: str | Path) -> None:
    """Run one of dcmqi's programs, which must succeed."""
    path = Path(sys.executable).with_name(program)
    run = subprocess.run(
        [path, *options], capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def segment_images(case: Case) -> dict[str, NDArray[np.bool_]]:
    """Return what dcmqi makes of the SEG: the voxels of each segment, by its name.

    They are brought to the axes of the labels through patient coordinates alone.
    """
    out = case.folder / "images"
    out.mkdir()
    dcmqi(
        "segimage2itkimage", "--inputDICOM", case.path("seg"),
        "--outputDirectory", out, "--outputType", "nrrd",
    )  # fmt: skip
    meta = read_json(out / "meta.json")
    found = {}
    for number, group in enumerate(meta["segmentAttributes"], start=1):
        image = sitk.ReadImage(out / f"{number}.nrrd")
        for segment in group:
            voxels = sitk.GetArrayFromImage(image) == segment["labelID"]
            found[segment["SegmentLabel"]] = on_grid_of(case.series, image, voxels)
    return found


def on_grid_of(
    series: DecodedSeries, image: Any, voxels: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Put voxels of an ITK image onto the grid of a series."""
    frame, shape = series.volume.frame, series.volume.voxels.shape
    places = [
        image.TransformIndexToPhysicalPoint([i, j, k])
        for k, j, i in np.argwhere(voxels).tolist()
    ]
    steps = frame.directions * frame.spacing_mm
    indices = (np.array(places) - frame.to_mm([0, 0, 0])) @ np.linalg.inv(steps).T
    nearest = np.rint(indices).astype(int)
    assert np.abs(indices - nearest).max() < 0.01
    grid = np.zeros(shape, dtype=bool)
    grid[tuple(nearest.T)] = True
    assert grid.sum() == voxels.sum()
    return grid


@pytest.mark.parametrize("variant", GEOMETRIES)
def test_dcmqi_finds_every_voxel_at_its_place(
    make_case: MakeCase, variant: str
) -> None:
    case = make_case(variant)
    found = segment_images(case)
    segmentation = case.result.segmentation
    assert list(found) == [segment.label for segment in segmentation.segments]
    for segment in segmentation.segments:
        expected = segmentation.labels == segment.number
        assert np.array_equal(found[segment.label], expected), segment.label


@pytest.mark.parametrize("kind", ["labelmap", "labelmap-rle"])
def test_dcmqi_reads_a_label_map(make_case: MakeCase, kind: str) -> None:
    case = make_case("oblique", replace(REQUEST, segmentation=kind))
    found = segment_images(case)
    segmentation = case.result.segmentation
    for segment in segmentation.segments:
        expected = segmentation.labels == segment.number
        assert np.array_equal(found[segment.label], expected), segment.label


@pytest.mark.parametrize("variant", ["reversed", "enhanced"])
def test_dcmqi_reads_every_number_of_the_report(
    make_case: MakeCase, variant: str
) -> None:
    case = make_case(variant)
    out = case.folder / "report.json"
    dcmqi("tid1500reader", "--inputDICOM", case.path("sr"), "--outputMetadata", out)
    found = {
        (group["TrackingIdentifier"], item["quantity"]["CodeValue"]): (
            float(item["value"]),
            item["units"]["CodeValue"],
        )
        for group in read_json(out)["Measurements"]
        for item in group.get("measurementItems", ())
    }
    assert found == expected_numbers(case.result)


@pytest.mark.parametrize("variant", ["oblique", "enhanced"])
def test_highdicom_reads_every_number_of_the_report(
    make_case: MakeCase, variant: str
) -> None:
    case = make_case(variant)
    report = srread(case.path("sr"))
    assert isinstance(report, Comprehensive3DSR)
    content = report.content
    assert isinstance(content, MeasurementReport)
    found = {
        (group.tracking_identifier, item.name.value): (
            float(item.value),
            item.unit.value,
        )
        for group in content.get_volumetric_roi_measurement_groups()
        for item in group.get_measurements()
    }
    assert found == expected_numbers(case.result)


def expected_numbers(
    result: AnalysisResult,
) -> dict[tuple[str, str], tuple[Any, str]]:
    """Return (value to six digits, unit) by (label, concept)."""
    return {
        (finding.label, quantity.concept.value): (
            pytest.approx(quantity.value, rel=1e-5),
            quantity.unit.value,
        )
        for finding in result.findings
        for quantity in finding.measurements
    }


@pytest.mark.parametrize("variant", ["classic", "oblique", "reversed", "non-square"])
def test_simpleitk_sees_the_source_and_each_segment_on_one_grid(
    make_case: MakeCase, variant: str
) -> None:
    """GDCM reads a SEG as a stack of frames; where each lies is in the headers."""
    case = make_case(variant)
    source: Any = sitk.ReadImage(in_order(case.source))
    everywhere = np.ones(source.GetSize()[::-1], dtype=bool)
    assert on_grid_of(case.series, source, everywhere).all()
    frames = sitk.GetArrayFromImage(sitk.ReadImage(case.path("seg"))) > 0
    header = dcmread(case.path("seg"), stop_before_pixels=True)
    said = [
        (
            int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
            item.PlanePositionSequence[0].ImagePositionPatient,
        )
        for item in header.PerFrameFunctionalGroupsSequence
    ]
    assert_same_voxels(case, frames, said, named_segments(header))


def in_order(paths: list[Path]) -> list[str]:
    """Return the files of a series along its normal, as ITK wants them."""

    def place(path: Path) -> float:
        header = dcmread(path, stop_before_pixels=True)
        row, column = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
        return float(np.cross(row, column) @ np.array(header.ImagePositionPatient))

    return [str(path) for path in sorted(paths, key=place)]


def assert_same_voxels(
    case: Case,
    frames: NDArray[np.bool_],
    said: list[tuple[int, Any]],
    names: dict[int, str],
) -> None:
    """Compare frames, each with its segment and position, with the label map."""
    labels = case.result.segmentation.labels
    corners = case.series.volume.frame.to_mm([[k, 0, 0] for k in range(len(labels))])
    found = {name: np.zeros(labels.shape, dtype=bool) for name in names.values()}
    for (number, position), frame in zip(said, frames, strict=True):
        distances = np.linalg.norm(corners - np.array(position, dtype=float), axis=1)
        assert distances.min() < 0.01
        found[names[number]][int(distances.argmin())] = frame
    for segment in case.result.segmentation.segments:
        expected = labels == segment.number
        assert np.array_equal(found[segment.label], expected), segment.label


def named_segments(header: Dataset) -> dict[int, str]:
    return {each.SegmentNumber: each.SegmentLabel for each in header.SegmentSequence}


def test_simpleitk_shows_the_page_as_it_was_drawn(make_case: MakeCase) -> None:
    case = make_case()
    shown = sitk.GetArrayFromImage(sitk.ReadImage(case.path("sc_01")))
    drawn = case.result.pages[0].pixels
    assert np.array_equal(shown[0, : len(drawn)], drawn)


def dcmjs(root: Path, *arguments: Path) -> Any:
    """Return what dcmjs reads; skip loudly where it is not installed."""
    places = (root / "build/npm/node_modules", root.parent / "npm/node_modules")
    installed = [place for place in places if place.is_dir()]
    node = shutil.which("node")
    if node is None or not installed:
        if os.environ.get("CI") == "true":
            pytest.fail("dcmjs is missing; run `make peers`")
        pytest.skip("PEER MISSING: dcmjs (npm); run `make peers`")
    run = subprocess.run(
        [node, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        env={**os.environ, "NODE_PATH": str(installed[0])},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.peer
@pytest.mark.parametrize("variant", ["oblique", "reversed", "enhanced"])
def test_dcmjs_finds_every_voxel_at_its_place(
    make_case: MakeCase, root: Path, variant: str
) -> None:
    case = make_case(variant)
    voxels = case.folder / "voxels"
    read = dcmjs(root, case.path("seg"), voxels)
    shape = case.result.segmentation.labels.shape[1:]
    frames = np.fromfile(voxels, np.uint8).astype(bool).reshape(-1, *shape)
    said = [(each["segment"], each["position"]) for each in read["frames"]]
    names = {each["number"]: each["label"] for each in read["segments"]}
    assert_same_voxels(case, frames, said, names)


@pytest.mark.peer
def test_dcmjs_reads_a_label_map(make_case: MakeCase, root: Path) -> None:
    case = make_case("oblique", replace(REQUEST, segmentation="labelmap"))
    voxels = case.folder / "voxels"
    read = dcmjs(root, case.path("seg"), voxels)
    shape = case.result.segmentation.labels.shape[1:]
    frames = np.fromfile(voxels, np.uint8).reshape(-1, *shape)
    names = {each["number"]: each["label"] for each in read["segments"]}
    told = [
        (number, each["position"], frame == number)
        for each, frame in zip(read["frames"], frames, strict=True)
        for number in np.unique(frame[frame > 0]).tolist()
    ]
    said = [(number, position) for number, position, _ in told]
    masks = np.array([mask for _, _, mask in told])
    assert_same_voxels(case, masks, said, names)


@pytest.mark.peer
def test_dcmjs_reads_every_number_of_the_report(
    make_case: MakeCase, root: Path
) -> None:
    case = make_case("chinese")
    header = dcmread(case.path("seg"), stop_before_pixels=True)
    named = {each.TrackingUID: each.SegmentLabel for each in header.SegmentSequence}
    read = dcmjs(root, case.path("sr"))
    found = {
        (named[each["tracking"]], each["concept"]): (each["value"], each["unit"])
        for each in read["numbers"]
    }
    assert found == expected_numbers(case.result)
    assert read["patient_name"] == [{"Alphabetic": "王^小东"}]

"""A reader corrects an outline in a PACS; the node measures again from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from scipy import ndimage

from tests.support import phantom_plugin, variants
from tests.support.corrected import edited_in_slicer, redrawn
from tests.support.encoded import content_of
from tests.support.node_process import Node, node_for, settings_for
from tests.support.orthanc import Orthanc
from tests.support.peers import (
    Archive,
    free_port,
    referenced_instances,
    run_dcmtk,
    send,
    wait_until,
)
from tests.support.returned import heights_mm, numbers_of
from tests.support.variants import Series, fresh

EDITED = "医师修改"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Orthanc, Node]]:
    """Return a PACS that routes everything, the results included, and its node."""
    node_port, dicom_port = free_port(), free_port()
    settings = settings_for(
        tmp_path, node_port=node_port, peers={"pacs": ("TESTPACS", dicom_port)}
    )
    settings["routes"][0]["language"] = "zh-CN"
    settings["routes"][0]["objects"] = ["seg", "sr", "sc", "pdf", "gsps"]
    orthanc = Orthanc(
        folder=tmp_path / "orthanc",
        node_port=node_port,
        dicom_port=dicom_port,
        routes_everything=True,
    )
    with Node(folder=tmp_path, settings=settings) as node, orthanc:
        yield orthanc, node


def store(orthanc: Orthanc, path: Path) -> None:
    """Send a file or a folder to the PACS, as a workstation does."""
    done = run_dcmtk(
        "storescu", "-aec", "TESTPACS", "+sd", "-R", "127.0.0.1",
        str(orthanc.dicom_port), str(path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def job_of(node: Node, series_uid: str) -> dict[str, Any]:
    """Return the job of a series once it is settled."""
    return node.settled_series([series_uid])[series_uid]


def objects_in(orthanc: Orthanc, folder: Path) -> dict[str, list[Dataset]]:
    """Return what the PACS holds beside the pictures, by modality."""
    found: dict[str, list[Dataset]] = {}
    for row in orthanc.instances():
        if row["modality"] != "MR":
            path = orthanc.file_of(row["id"], folder / f"{row['id']}.dcm")
            found.setdefault(row["modality"], []).append(dcmread(path))
    return found


def thinner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take a voxel's row from the top and from the foot of a structure."""
    upright: NDArray[np.bool_] = np.ones((1, 3, 1), np.bool_)
    return np.asarray(ndimage.binary_erosion(mask, upright))


def texts(report: Dataset) -> str:
    return "\n".join(str(item.get("TextValue", "")) for item in content_of(report))


@pytest.mark.peer
def test_a_disc_edited_in_slicer_is_measured_anew_and_the_others_stay(
    site: tuple[Orthanc, Node], demo_series: Path, tmp_path: Path
) -> None:
    orthanc, node = site
    source = variants.read_bundled(demo_series)
    store(orthanc, demo_series)
    assert job_of(node, str(source[0].SeriesInstanceUID))["state"] == "done"
    (tmp_path / "first").mkdir()
    first = objects_in(orthanc, tmp_path / "first")
    (own,), (before,) = first["SEG"], first["SR"]

    # Our own SEG comes back by the route, and is no correction.
    back = job_of(node, str(own.SeriesInstanceUID))
    assert (back["state"], back["reason"].partition(":")[0]) == (
        "rejected",
        "own_result",
    )

    (tmp_path / "slicer").mkdir()
    edited = edited_in_slicer(
        Path(str(own.filename)), demo_series, tmp_path / "slicer",
        {"L4/L5 disc": thinner},
    )  # fmt: skip
    drawn = dcmread(edited)
    store(orthanc, edited)
    job = job_of(node, str(drawn.SeriesInstanceUID))
    assert (job["state"], job["reason"]) == ("done", "")
    assert job["corrects"] == str(source[0].SeriesInstanceUID)

    (tmp_path / "second").mkdir()
    second = objects_in(orthanc, tmp_path / "second")
    assert len(second["SEG"]) == 2  # ours and the reader's; none was sent again
    (after,) = (
        report
        for report in second["SR"]
        if report.SOPInstanceUID != before.SOPInstanceUID
    )
    assert_heights(heights_mm(before), heights_mm(after), source[0])
    assert_marked(after, before, drawn)
    for modality, text in (("OT", EDITED), ("DOC", EDITED), ("PR", EDITED)):
        marked = [one for one in second[modality] if text in one.SeriesDescription]
        assert len(marked) * 2 == len(second[modality])
    assert_no_loop(node, second)


def assert_heights(
    before: dict[str, float], after: dict[str, float], source: Dataset
) -> None:
    assert set(before) == set(after)
    row_mm = float(source.PixelSpacing[0])
    taken = before["L4/L5 disc"] - after["L4/L5 disc"]
    # Two rows; the disc lies oblique to them by some 10 degrees.
    assert taken == pytest.approx(2 * row_mm, abs=0.15 * row_mm)
    for name in set(before) - {"L4/L5 disc"}:
        assert after[name] == pytest.approx(before[name], abs=0.01), name


def assert_marked(after: Dataset, before: Dataset, drawn: Dataset) -> None:
    """Check that the new report tells what it was measured from."""
    assert after.SeriesDescription == before.SeriesDescription.replace(
        "，", f" {EDITED}，"
    )
    assert "轮廓由Jane Doe修改" in texts(after)
    (former,) = after.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    (instance,) = former.ReferencedSOPSequence
    assert instance.ReferencedSOPInstanceUID == before.SOPInstanceUID
    referenced = {
        item.ReferencedSOPInstanceUID
        for study in after.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert drawn.SOPInstanceUID in referenced
    segments = {
        (item.ReferencedSOPInstanceUID, int(item.ReferencedSegmentNumber))
        for content in content_of(after)
        for item in content.get("ReferencedSOPSequence", ())
        if "ReferencedSegmentNumber" in item
    }
    numbers = {int(one.SegmentNumber) for one in drawn.SegmentSequence}
    assert {uid for uid, _ in segments} == {drawn.SOPInstanceUID}
    assert {number for _, number in segments} <= numbers


def assert_no_loop(node: Node, objects: dict[str, list[Dataset]]) -> None:
    """Wait until every result was here again, and check that none made work."""
    own = {
        str(one.SeriesInstanceUID)
        for found in objects.values()
        for one in found
        if one.Manufacturer == "lumbar-node"
    }
    jobs = node.settled_series(own)
    assert {job["state"] for job in jobs.values()} == {"rejected"}
    assert sum(job["state"] == "done" for job in node.jobs()) == 2


@pytest.fixture(scope="module")
def little(demo_series: Path) -> Series:
    """Return a series for the toy analysis, which takes no time."""
    return variants.small(variants.read_bundled(demo_series))


@pytest.fixture(scope="module")
def toy(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Node, Archive, Path]]:
    """Return a node with the toy analysis, its archive, and the file that holds it."""
    folder = tmp_path_factory.mktemp("toy")
    held = folder / "held"
    with Archive() as archive:
        environment = phantom_plugin.make_installed(folder / "installed")
        node = node_for(
            folder,
            archive,
            analysis=phantom_plugin.NAME,
            environment={**environment, "PHANTOM_HELD": str(held)},
        )
        with node:
            yield node, archive, held


@pytest.fixture
def measured(
    toy: tuple[Node, Archive, Path], little: Series
) -> tuple[Node, Archive, Series]:
    """Return a series of its own that the toy has measured."""
    node, archive, _ = toy
    series = fresh(little)
    send(series, node.port)
    assert job_of(node, str(series[0].SeriesInstanceUID))["state"] == "done"
    return node, archive, series


def drawn(
    series: Series, voxels: int, names: tuple[str, ...] = ("Phantom",), **more: Any
) -> Dataset:
    """Return a SEG of a reader with so many voxels of each segment."""
    shape = (len(series), int(series[0].Rows), int(series[0].Columns))
    labels = np.zeros(shape, np.uint8)
    for number in range(1, len(names) + 1):
        labels[4, 10 * number, 20 : 20 + voxels] = number
    ordered = sorted(series, key=lambda one: int(one.InstanceNumber))
    return redrawn(ordered, labels, dict(enumerate(names, start=1)), **more)


def results_about(archive: Archive, series: Series, modality: str) -> list[Dataset]:
    sources = {str(one.SOPInstanceUID) for one in series}
    return [
        found
        for found in tuple(archive.received)
        if found.Modality == modality and sources & referenced_instances(found)
    ]


def reports_about(archive: Archive, series: Series) -> list[Dataset]:
    return results_about(archive, series, "SR")


def length_in(report: Dataset) -> float:
    (value,) = numbers_of(report).values()
    return value


def predecessor_of(report: Dataset) -> str:
    (former,) = report.PredecessorDocumentsSequence
    (series,) = former.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    return str(instance.ReferencedSOPInstanceUID)


def test_each_correction_replaces_the_last_report_and_new_content_all_of_them(
    measured: tuple[Node, Archive, Series],
) -> None:
    node, archive, series = measured
    for voxels in (7, 9):
        outlines = drawn(series, voxels)
        send([outlines], node.port)
        assert job_of(node, str(outlines.SeriesInstanceUID))["state"] == "done"
        send([outlines], node.port)  # a second time: owed once
    for one in series:
        one.ImageComments = "the same instances with other content"
    send(series, node.port)
    wait_until(
        lambda: len(reports_about(archive, series)) >= 4,
        what="the report of the new content",
    )
    first, second, third, fourth = reports_about(archive, series)
    assert [length_in(one) for one in (second, third)] == [7, 9]
    assert predecessor_of(second) == first.SOPInstanceUID
    assert predecessor_of(third) == second.SOPInstanceUID
    said = first.SeriesDescription
    assert second.SeriesDescription == said.replace(",", " edited,")
    assert third.SeriesDescription == said.replace(",", " edited 2,")
    assert predecessor_of(fourth) == third.SOPInstanceUID
    assert "edited" not in fourth.SeriesDescription
    # One SEG for each time that the network ran.
    segs = {str(one.SOPInstanceUID) for one in results_about(archive, series, "SEG")}
    assert len(segs) == 2


def test_what_is_no_correction_of_ours_is_refused_with_the_reason(
    measured: tuple[Node, Archive, Series], little: Series
) -> None:
    node, archive, series = measured
    sent = {
        "unknown_segments": drawn(series, 7, ("Phantom", "Liver")),
        "other_patient": drawn(series, 7, PatientID="SOMEBODY ELSE"),
        # Of other software, about a series that never came here.
        "not_mr": drawn(fresh(little), 7, ("Liver",)),
    }
    send(sent.values(), node.port)
    uids = {str(one.SeriesInstanceUID): code for code, one in sent.items()}
    jobs = node.settled_series(uids)
    assert {job["state"] for job in jobs.values()} == {"rejected"}
    reasons = {code: jobs[uid]["reason"] for uid, code in uids.items()}
    for code, reason in reasons.items():
        assert reason.startswith(f"{code}: "), reason
    assert "'Liver'; known are Phantom" in reasons["unknown_segments"]
    assert len(reports_about(archive, series)) == 1


def test_a_series_that_left_the_spool_is_asked_for_and_the_job_can_be_retried(
    toy: tuple[Node, Archive, Path], little: Series
) -> None:
    node, archive, _ = toy
    series = fresh(little)
    outlines = drawn(series, 7)
    uid = str(outlines.SeriesInstanceUID)
    send([outlines], node.port)
    job = job_of(node, uid)
    assert job["state"] == "failed"
    assert job["reason"].startswith("source-missing: ")
    assert "send it again, then jobs retry" in job["reason"]
    send(series, node.port)
    assert job_of(node, str(series[0].SeriesInstanceUID))["state"] == "done"
    assert node.command("jobs", "retry", job["id"]).returncode == 0

    def edited() -> bool:
        found = [length_in(report) for report in reports_about(archive, series)]
        return 7.0 in found

    wait_until(edited, what="the corrected report")


def test_the_node_dies_while_it_measures_a_correction(
    measured: tuple[Node, Archive, Series], toy: tuple[Node, Archive, Path]
) -> None:
    node, archive, series = measured
    held = toy[2]
    held.touch()
    outlines = drawn(series, 7)
    send([outlines], node.port)

    def runs() -> bool:
        return any(
            row["event"] == "job_started"
            and row["series_uid"] == outlines.SeriesInstanceUID
            for row in node.events()
        )

    wait_until(runs, what="the correction begins")
    node.kill()
    held.unlink()
    node.start()
    assert job_of(node, str(outlines.SeriesInstanceUID))["state"] == "done"
    reports = reports_about(archive, series)
    assert {str(one.SOPInstanceUID) for one in reports if length_in(one) == 7} == {
        str(reports[-1].SOPInstanceUID)
    }
    assert len({str(one.SOPInstanceUID) for one in reports}) == 2

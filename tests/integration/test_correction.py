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

from tests.support import variants
from tests.support.corrected import edited_in_slicer
from tests.support.encoded import content_of
from tests.support.node_process import Node, settings_for
from tests.support.orthanc import Orthanc
from tests.support.peers import free_port, run_dcmtk
from tests.support.returned import heights_mm

pytestmark = pytest.mark.peer

WITHIN_S = 120


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
    return node.settled_series([series_uid], within_s=WITHIN_S)[series_uid]


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
    for modality, text in (("OT", "edited"), ("DOC", "edited"), ("PR", "edited")):
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
    assert after.SeriesDescription == f"{before.SeriesDescription} edited"
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
    jobs = node.settled_series(own, within_s=WITHIN_S)
    assert {job["state"] for job in jobs.values()} == {"rejected"}
    assert sum(job["state"] == "done" for job in node.jobs()) == 2

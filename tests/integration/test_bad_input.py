"""Everything that must not be measured, thrown at one node that goes on serving."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage, generate_uid

from tests.support import variants
from tests.support.node_process import Node, node_for
from tests.support.peers import HOST, Archive, echo, send, send_bytes, wait_until
from tests.support.variants import AXIAL, CORONAL, T1, Series, fresh, saying, without

SUCCESS = 0x0000
CANNOT_UNDERSTAND = 0xC210
OUT_OF_RESOURCES = 0xA700


@dataclass(frozen=True)
class Case:
    """A series and the reason with which it must be turned away."""

    make: Callable[[Series], Series]
    reason: str


def _mixed(series: Series) -> Series:
    made = fresh(series)
    for instance in made[::2]:
        instance.ImageOrientationPatient = AXIAL
    return made


def _doubled_position(series: Series) -> Series:
    made = fresh(series)
    made[1].ImagePositionPatient = made[0].ImagePositionPatient
    return made


def _gap(series: Series) -> Series:
    made = fresh(series)
    return made[:3] + made[5:]


REJECTED = {
    "no pixel data": Case(lambda s: fresh(s, without("PixelData")), "no_pixel_data"),
    "truncated pixels": Case(lambda s: fresh(s, variants.with_truncated_pixels), ""),
    "no spacing": Case(lambda s: fresh(s, without("PixelSpacing")), ""),
    "no orientation": Case(lambda s: fresh(s, without("ImageOrientationPatient")), ""),
    "no position": Case(lambda s: fresh(s, without("ImagePositionPatient")), ""),
    "mixed orientations": Case(_mixed, "mixed_orientations"),
    "doubled position": Case(_doubled_position, ""),
    "a gap": Case(_gap, ""),
    "axial": Case(lambda s: fresh(s, variants.turned(AXIAL, axis=2)), "not_sagittal"),
    "coronal": Case(
        lambda s: fresh(s, variants.turned(CORONAL, axis=1)), "not_sagittal"
    ),
    "T1": Case(lambda s: fresh(s, T1), "not_t2"),
    "localiser": Case(
        lambda s: fresh(s, saying(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])),
        "localiser",
    ),
    "derived": Case(
        lambda s: fresh(s, saying(ImageType=["DERIVED", "SECONDARY", "MPR"])), "derived"
    ),
    "CT": Case(lambda s: fresh(s, variants.as_ct), "not_mr"),
    "one slice": Case(lambda s: fresh(s[4:5]), "too_few_slices"),
    "two slices": Case(lambda s: fresh(s[4:6]), "too_few_slices"),
}
"""A blank reason: the wording belongs to the reader of the volume."""


@pytest.fixture(scope="module")
def series(demo_series: Path) -> Series:
    return variants.read_bundled(demo_series)


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, archive: Archive) -> Iterator[Node]:
    node = node_for(tmp_path_factory.mktemp("node"), archive)
    with node:
        yield node


def job_of(node: Node, series_uid: str, *, within_s: float = 60) -> dict[str, Any]:
    """Return the job of a series once it is settled."""
    found: list[dict[str, Any]] = []

    def settled() -> bool:
        found[:] = [row for row in node.jobs() if row["series_uid"] == series_uid]
        return bool(found) and found[0]["state"] not in {
            "waiting", "running", "delivering",
        }  # fmt: skip

    wait_until(settled, within_s=within_s, what=f"the job of {series_uid}")
    return found[0]


def assert_still_serves(node: Node, archive: Archive, series: Series) -> None:
    """Send a good series and see its results come back, once."""
    good = fresh(series)
    assert send(good, node.port) == [SUCCESS] * len(good)
    uid = str(good[0].SeriesInstanceUID)
    assert job_of(node, uid)["state"] == "done"
    classes = [str(found.SOPClassUID.name) for found in archive.results_of(uid)]
    assert classes.count("Segmentation Storage") == 1
    assert classes.count("Comprehensive 3D SR Storage") == 1
    assert classes.count("Secondary Capture Image Storage") >= 1


def test_each_series_that_cannot_be_measured_is_rejected_with_its_reason(
    node: Node, archive: Archive, series: Series
) -> None:
    sent: dict[str, str] = {}
    for what, case in REJECTED.items():
        made = case.make(series)
        assert send(made, node.port) == [SUCCESS] * len(made), what
        sent[what] = str(made[0].SeriesInstanceUID)

    jobs = {what: job_of(node, uid) for what, uid in sent.items()}
    assert {what: job["state"] for what, job in jobs.items()} == dict.fromkeys(
        REJECTED, "rejected"
    )
    for what, case in REJECTED.items():
        assert jobs[what]["reason"], what
        assert case.reason in jobs[what]["reason"], what
    assert all(not archive.results_of(uid) for uid in sent.values())
    assert_still_serves(node, archive, series)


def test_bytes_that_are_no_dataset_are_refused_and_make_no_job(
    node: Node, archive: Archive, series: Series
) -> None:
    before = len(node.jobs())
    for content in (b"", b"MZ\x90\x00 no dicom at all" * 50, b"\x08\x00\x16\x00UI"):
        status = send_bytes(
            content, node.port, sop_class=MRImageStorage, sop_uid=generate_uid()
        )
        assert status == CANNOT_UNDERSTAND
    assert len(node.jobs()) == before
    assert_still_serves(node, archive, series)


def test_an_instance_sent_twice_counts_once(
    node: Node, archive: Archive, series: Series
) -> None:
    made = fresh(series)
    assert send([*made, *made[:4]], node.port) == [SUCCESS] * (len(made) + 4)
    job = job_of(node, str(made[0].SeriesInstanceUID))
    assert (job["state"], job["instances"]) == ("done", len(made))


def test_the_same_uid_with_other_content_is_told_in_the_result(
    node: Node, archive: Archive, series: Series
) -> None:
    made = fresh(series)
    send([*made, variants.other_pixels(made[4])], node.port)
    uid = str(made[0].SeriesInstanceUID)
    job = job_of(node, uid)
    assert (job["state"], job["instances"]) == ("done", len(made))
    report = next(node.folder.glob(f"spool/outbox/{job['id']}/report.json"))
    assert "instance_conflict" in report.read_text()


def test_two_series_whose_instances_share_their_uids_both_get_results(
    node: Node, archive: Archive, series: Series
) -> None:
    first, second = fresh(series), fresh(series)
    for one, other in zip(first, second, strict=True):
        variants.name(other, str(one.SOPInstanceUID))
    send(first, node.port)
    send(second, node.port)
    for made in (first, second):
        assert job_of(node, str(made[0].SeriesInstanceUID))["state"] == "done"


def test_uids_with_path_characters_stay_inside_the_spool(
    node: Node, archive: Archive, series: Series
) -> None:
    made = fresh(series)
    for number, instance in enumerate(made):
        instance.SeriesInstanceUID = "../../../../tmp/../x"
        variants.name(instance, f"../../evil/{number}")
    statuses = send(made, node.port)
    assert set(statuses) <= {SUCCESS, CANNOT_UNDERSTAND}
    outside = [
        path
        for path in node.folder.rglob("*")
        if "evil" in path.name or path.name == "x"
    ]
    assert outside == []
    if set(statuses) == {SUCCESS}:
        assert job_of(node, "../../../../tmp/../x")["reason"] is not None
    assert_still_serves(node, archive, series)


def test_an_unknown_calling_ae_is_refused_at_the_association(
    node: Node, series: Series
) -> None:
    with pytest.raises(ConnectionError):
        send(series[:1], node.port, calling="STRANGER")
    with pytest.raises(ConnectionError):
        send(series[:1], node.port, called="ANOTHER_AE")


def test_our_own_results_routed_back_are_never_analysed_again(
    node: Node, archive: Archive, series: Series
) -> None:
    made = fresh(series)
    send(made, node.port)
    uid = str(made[0].SeriesInstanceUID)
    assert job_of(node, uid)["state"] == "done"
    results = archive.results_of(uid)
    count = len(archive.received)

    assert send(results, node.port) == [SUCCESS] * len(results)
    jobs = [job_of(node, str(found.SeriesInstanceUID)) for found in results]
    assert {job["state"] for job in jobs} == {"rejected"}
    assert {job["reason"].partition(":")[0] for job in jobs} == {"own_result"}
    assert len(archive.received) == count


def test_silent_clients_and_a_port_scan_keep_nobody_waiting(
    node: Node, archive: Archive, series: Series
) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(8):
            held.enter_context(socket.create_connection((HOST, node.port), 5))
        for _ in range(50):
            socket.create_connection((HOST, node.port), 5).close()
        chatty = held.enter_context(socket.create_connection((HOST, node.port), 5))
        chatty.sendall(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
        assert echo(node.port)
        assert_still_serves(node, archive, series)


def test_a_full_disk_is_told_to_the_sender(
    tmp_path: Path, archive: Archive, series: Series
) -> None:
    full = node_for(tmp_path, archive)
    full.settings["spool"]["min_free_gb"] = 10_000_000
    with full:
        assert send(series[:1], full.port) == [OUT_OF_RESOURCES]
        assert echo(full.port)
        assert full.jobs() == []


@pytest.fixture
def one_series(series: Series) -> list[Dataset]:
    return fresh(series)


def test_a_peer_that_refuses_the_segmentation_still_gets_the_rest(
    tmp_path: Path, one_series: Series
) -> None:
    with Archive(refused_classes=("1.2.840.10008.5.1.4.1.1.66.4",)) as picky:
        node = node_for(tmp_path, picky)
        with node:
            send(one_series, node.port)
            job = job_of(node, str(one_series[0].SeriesInstanceUID))
            kinds = {str(found.Modality) for found in picky.received}
            assert "SR" in kinds
            assert job["state"] == "failed"
            assert job["reason"]


def test_a_peer_that_aborts_half_way_gets_everything_once_it_stops(
    tmp_path: Path, one_series: Series
) -> None:
    with Archive(abort_at=2) as rude:
        node = node_for(tmp_path, rude)
        with node:
            send(one_series, node.port)
            wait_until(lambda: rude.requests >= 3, within_s=60, what="three attempts")
            rude.abort_at = None
            job = job_of(node, str(one_series[0].SeriesInstanceUID))
            assert job["state"] == "done"
            assert {str(f.Modality) for f in rude.received} >= {"SEG", "SR"}

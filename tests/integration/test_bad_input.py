"""Everything that must not be measured, thrown at one node that goes on serving."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from pynetdicom.dsutils import encode

from analysis.contract.errors import UnsuitableInput
from analysis.lumbar.plugin import LumbarMri
from dicom_node.plugins.analyse_series import analyse_series
from tests.support import phantom_plugin, variants
from tests.support.mr_series import transcode
from tests.support.mr_sources import reheader_rsna
from tests.support.node_process import Node, node_for
from tests.support.peers import Archive, connected, dcmsend, echo, send
from tests.support.raw_association import store_raw
from tests.support.variants import (
    AXIAL,
    CORONAL,
    STIR,
    T1,
    Series,
    fresh,
    saying,
    without,
)

RSNA = Path(__file__).parents[3] / "shared/data/rsna_dicom/100206310"
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
)
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


def _three_axial(series: Series) -> Series:
    made = fresh(series)
    for instance in made[-3:]:
        instance.ImageOrientationPatient = AXIAL
    return made


def _doubled_position(series: Series) -> Series:
    made = fresh(series)
    made[1].ImagePositionPatient = made[0].ImagePositionPatient
    return made


def _gap(series: Series) -> Series:
    made = fresh(series)
    return made[:3] + made[5:]


def _two_echoes(series: Series) -> Series:
    first = fresh(series)
    uid = first[0].SeriesInstanceUID
    return first + [
        variants.other_pixels(one)
        for one in fresh(series, saying(SeriesInstanceUID=uid, EchoTime=248.0))
    ]


def _two_patients(series: Series) -> Series:
    made = fresh(series)
    made[3].PatientID = "SOMEBODY-ELSE"
    return made


def _two_names(series: Series) -> Series:
    made = fresh(series)
    for instance in made[4:]:
        instance.PatientName = "Else^Someone"
    return made


def _two_phases(series: Series) -> Series:
    made = fresh(series)
    for number in (1, 4):
        made[number].ImageType = ["ORIGINAL", "PRIMARY", "P", "ND"]
    return made


def _fan(series: Series) -> Series:
    made = fresh(series)
    for number, instance in enumerate(made):
        angle = np.deg2rad(3.0 * number)
        instance.ImageOrientationPatient = [
            *(float(np.sin(angle)), float(np.cos(angle)), 0.0),
            *(0.0, 0.0, -1.0),
        ]
    return made


REJECTED = {
    "no pixel data": Case(lambda s: fresh(s, without("PixelData")), "no_pixel_data"),
    "truncated pixels": Case(
        lambda s: fresh(s, variants.with_truncated_pixels), "unreadable_pixels"
    ),
    "no spacing": Case(lambda s: fresh(s, without("PixelSpacing")), "missing_spacing"),
    "no spacing in the numbers": Case(
        lambda s: fresh(s, saying(PixelSpacing=[0.0, 0.0])), "bad_spacing"
    ),
    "no orientation": Case(
        lambda s: fresh(s, without("ImageOrientationPatient")), "not_sagittal"
    ),
    "no position": Case(
        lambda s: fresh(s, without("ImagePositionPatient")), "missing_position"
    ),
    "every other slice axial": Case(_mixed, "not_sagittal"),
    "three slices axial": Case(_three_axial, "not_sagittal"),
    "phase": Case(
        lambda s: fresh(s, saying(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])),
        "not_magnitude",
    ),
    "phase in two": Case(_two_phases, "uneven_spacing"),
    "T2 map": Case(
        lambda s: fresh(s, saying(ImageType=["ORIGINAL", "PRIMARY", "T2 MAP", "T2"])),
        "parametric_map",
    ),
    "fat of a Dixon series": Case(
        lambda s: fresh(s, saying(ImageType=["DERIVED", "PRIMARY", "DIXON", "FAT"])),
        "dixon_component",
    ),
    "an animal": Case(
        lambda s: fresh(s, saying(PatientSpeciesDescription="Canis lupus familiaris")),
        "not_human",
    ),
    "two names": Case(_two_names, "mixed_patients"),
    "slices in a fan": Case(_fan, "mixed_orientation"),
    "doubled position": Case(_doubled_position, "doubled_position"),
    "two echoes": Case(_two_echoes, "several_volumes"),
    "two patients": Case(_two_patients, "mixed_patients"),
    "a gap": Case(_gap, "uneven_spacing"),
    "axial": Case(lambda s: fresh(s, variants.turned(AXIAL, axis=2)), "not_sagittal"),
    "coronal": Case(
        lambda s: fresh(s, variants.turned(CORONAL, axis=1)), "not_sagittal"
    ),
    "T1": Case(lambda s: fresh(s, T1), "not_t2"),
    "STIR": Case(lambda s: fresh(s, STIR), "not_t2"),
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
UNSUITABLE = {
    "blank": Case(lambda s: fresh(s, variants.blanked), "blank"),
    "one slice": REJECTED["one slice"],
    "two slices": REJECTED["two slices"],
}


@pytest.fixture(scope="module")
def series(demo_series: Path) -> Series:
    return variants.read_bundled(demo_series)


@pytest.fixture
def little(series: Series) -> Series:
    return variants.small(series)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment in which the toy analysis is installed."""
    return phantom_plugin.make_installed(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory,
    archive: Archive,
    phantom: dict[str, str],
    series: Series,
) -> Iterator[Node]:
    """Return the node at which everything is thrown; its analysis is the toy."""
    folder = tmp_path_factory.mktemp("node")
    environment = {**phantom, "PHANTOM_MIN_SLICES": "3"}
    node = node_for(
        folder, archive, analysis=phantom_plugin.NAME, environment=environment
    )
    node.settings["work"] = {"device": "cuda"}
    with node:
        yield node
        # After all that was thrown at it.
        assert_still_serves(node, archive, variants.small(series))


def test_a_gpu_that_is_not_there_is_a_warning_and_no_dead_worker(
    node: Node, archive: Archive, little: Series
) -> None:
    assert_still_serves(node, archive, little)
    (warned, *_) = (row for row in node.events() if row["event"] == "device_missed")
    assert warned["level"] == "warning"
    assert "computes on the CPU" in warned["reason"]


def jobs_of(node: Node, series_uids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the jobs of these series once all are settled."""
    rows = node.settled_series(series_uids)
    return [rows[uid] for uid in series_uids]


def job_of(node: Node, series_uid: str) -> dict[str, Any]:
    """Return the job of a series once it is settled."""
    return jobs_of(node, [series_uid])[0]


def encoded(dataset: Dataset) -> bytes:
    """Return a dataset in explicit little endian, as a C-STORE carries it."""
    content = encode(dataset, is_implicit_vr=False, is_little_endian=True)
    assert content is not None
    return content


def assert_still_serves(node: Node, archive: Archive, series: Series) -> None:
    """Send a good series and see its results come back, once."""
    good = fresh(series)
    assert send(good, node.port) == [SUCCESS] * len(good)
    uid = str(good[0].SeriesInstanceUID)
    assert job_of(node, uid)["state"] == "done"
    classes = [str(found.SOPClassUID.name) for found in archive.results_of(good)]
    assert classes.count("Segmentation Storage") == 1
    assert classes.count("Comprehensive 3D SR Storage") == 1
    assert classes.count("Secondary Capture Image Storage") >= 1


@pytest.mark.peer
def test_each_series_that_cannot_be_measured_is_rejected_with_its_reason(
    tmp_path: Path, node: Node, archive: Archive, little: Series
) -> None:
    """All by one dcmsend."""
    made = {what: case.make(little) for what, case in REJECTED.items()}
    sent = {what: str(one[0].SeriesInstanceUID) for what, one in made.items()}
    dcmsend(variants.write_all(tmp_path, made.values()), node.port)
    jobs = node.settled_series(sent.values())
    outcomes = {what: jobs[uid]["state"] for what, uid in sent.items()}
    assert outcomes == dict.fromkeys(REJECTED, "rejected")
    for what, case in REJECTED.items():
        code, _, text = jobs[sent[what]]["reason"].partition(": ")
        assert (code, bool(text)) == (case.reason, True), what
        assert archive.results_of(made[what]) == []
    assert echo(node.port)


@pytest.mark.parametrize("what", UNSUITABLE)
def test_the_real_analysis_refuses_what_does_not_show_a_spine(
    tmp_path: Path, series: Series, what: str
) -> None:
    case = UNSUITABLE[what]
    paths = sorted(variants.write_all(tmp_path, [case.make(series)]).iterdir())
    with pytest.raises(UnsuitableInput) as caught:
        analyse_series(paths, LumbarMri(), threads=1)
    assert caught.value.code == case.reason


def test_bytes_that_are_no_dataset_are_refused_and_make_no_job(
    node: Node, little: Series
) -> None:
    before = len(node.jobs())
    for content in (b"MZ\x90\x00 no dicom at all" * 50, b"\x08\x00\x16\x00UI"):
        status = store_raw(content, node.port, sop_uid=generate_uid())
        assert status == CANNOT_UNDERSTAND
    assert len(node.jobs()) == before
    assert echo(node.port)


def test_a_dataset_that_breaks_off_is_refused_or_its_series_rejected(
    node: Node, little: Series
) -> None:
    made = fresh(little)
    assert send(made[1:], node.port) == [SUCCESS] * (len(made) - 1)
    content = encoded(made[0])
    cut = content[: len(content) - 1000]
    status = store_raw(cut, node.port, sop_uid=str(made[0].SOPInstanceUID))
    came = len(made) if status == SUCCESS else len(made) - 1
    job = node.settled_whole(str(made[0].SeriesInstanceUID), came)
    if status == SUCCESS:
        assert job["state"] == "rejected"
        assert job["reason"].startswith("unreadable_pixels: ")
    else:
        assert status == CANNOT_UNDERSTAND
        assert job["state"] == "done"
    assert echo(node.port)


def test_an_instance_sent_twice_counts_once(
    node: Node, archive: Archive, little: Series
) -> None:
    made = fresh(little)
    assert send([*made, *made[:4]], node.port) == [SUCCESS] * (len(made) + 4)
    job = job_of(node, str(made[0].SeriesInstanceUID))
    assert (job["state"], job["instances"]) == ("done", len(made))


def test_the_same_uid_with_other_content_is_told_in_the_result(
    node: Node, archive: Archive, little: Series
) -> None:
    made = fresh(little)
    send([*made, variants.other_pixels(made[4])], node.port)
    uid = str(made[0].SeriesInstanceUID)
    job = job_of(node, uid)
    assert (job["state"], job["instances"]) == ("done", len(made))
    report = next(node.folder.glob(f"spool/outbox/{job['id']}/report.json"))
    assert "instance_conflict" in report.read_text()


def test_two_series_whose_instances_share_their_uids_both_get_results(
    node: Node, archive: Archive, little: Series
) -> None:
    first, second = fresh(little), fresh(little)
    for one, other in zip(first, second, strict=True):
        variants.name(other, str(one.SOPInstanceUID))
    send(first, node.port)
    send(second, node.port)
    both = [str(made[0].SeriesInstanceUID) for made in (first, second)]
    assert [job["state"] for job in jobs_of(node, both)] == ["done", "done"]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_uids_with_path_characters_stay_inside_the_spool(
    node: Node, little: Series
) -> None:
    made = fresh(little)
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
        job = job_of(node, "../../../../tmp/../x")
        assert job["state"] == "rejected"
        assert job["reason"].startswith("bad_uid: ")
    assert echo(node.port)


@pytest.mark.shared
def test_raw_files_without_class_and_modality_harm_nobody(
    node: Node, little: Series
) -> None:
    """The RSNA files as they are: no SOP Class UID, no Modality, and instance UIDs
    that collide between series."""
    before = {row["series_uid"] for row in node.jobs()}
    statuses, sent = set(), set()
    for path in sorted(RSNA.rglob("[1-9].dcm")):
        raw = dcmread(path)
        raw.decompress(generate_instance_uid=False)
        uid = str(raw.SOPInstanceUID)
        statuses.add(store_raw(encoded(raw), node.port, sop_uid=uid))
        sent.add(str(raw.SeriesInstanceUID))
    assert len(sent) == 3
    assert statuses <= {SUCCESS, CANNOT_UNDERSTAND}
    if SUCCESS in statuses:
        for job in jobs_of(node, sorted(sent)):
            assert job["state"] == "rejected"
            assert job["reason"].startswith("headers_incomplete: ")
    else:
        assert {row["series_uid"] for row in node.jobs()} == before
    assert echo(node.port)


@pytest.mark.peer
@pytest.mark.shared
def test_real_files_of_another_hospital_are_sorted_out_series_by_series(
    tmp_path: Path, node: Node
) -> None:
    """The RSNA study with the headers that a PACS demands; pixels are RLE."""
    sent = {
        folder.name: reheader_rsna(folder)[:9]
        for folder in sorted(RSNA.iterdir())
        if folder.is_dir()
    }
    dcmsend(variants.write_all(tmp_path, sent.values()), node.port)
    jobs = jobs_of(node, [str(made[0].SeriesInstanceUID) for made in sent.values()])
    outcome = {name: job["state"] for name, job in zip(sent, jobs, strict=True)}
    assert outcome == {
        "ax_T2_1012284084": "rejected",
        "sag_T1_2092806862": "rejected",
        "sag_T2_STIR_1792451510": "done",
    }


@pytest.mark.peer
def test_every_transfer_syntax_that_is_accepted_is_analysed(
    tmp_path: Path, node: Node, little: Series
) -> None:
    made = {syntax: fresh(little) for syntax in SYNTAXES}
    for number, syntax in enumerate(made):
        folder = tmp_path / str(number)
        folder.mkdir()
        for path in variants.write_all(folder, [made[syntax]]).iterdir():
            transcode(path, syntax)
    dcmsend(tmp_path, node.port, options=("-dn",))
    jobs = jobs_of(node, [str(series[0].SeriesInstanceUID) for series in made.values()])
    assert [job["state"] for job in jobs] == ["done"] * len(SYNTAXES)


def test_an_unknown_calling_ae_is_refused_at_the_association(
    node: Node, little: Series
) -> None:
    with pytest.raises(ConnectionError):
        send(little[:1], node.port, calling="STRANGER")
    with pytest.raises(ConnectionError):
        send(little[:1], node.port, called="ANOTHER_AE")


def test_our_own_results_routed_back_are_never_analysed_again(
    node: Node, archive: Archive, little: Series
) -> None:
    made = fresh(little)
    send(made, node.port)
    uid = str(made[0].SeriesInstanceUID)
    assert job_of(node, uid)["state"] == "done"
    results = archive.results_of(made)
    count = len(archive.received)

    assert send(results, node.port) == [SUCCESS] * len(results)
    own = sorted({str(found.SeriesInstanceUID) for found in results})
    jobs = jobs_of(node, own)
    assert {job["state"] for job in jobs} == {"rejected"}
    assert {job["reason"].partition(":")[0] for job in jobs} == {"own_result"}
    assert len(archive.received) == count


def test_silent_clients_and_a_port_scan_keep_nobody_waiting(
    node: Node, archive: Archive, little: Series
) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(8):
            held.enter_context(connected(node.port))
        for _ in range(50):
            connected(node.port).close()
        chatty = held.enter_context(connected(node.port))
        chatty.sendall(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
        assert echo(node.port)
        assert_still_serves(node, archive, little)


def test_a_full_disk_is_told_to_the_sender(
    tmp_path: Path, archive: Archive, phantom: dict[str, str], little: Series
) -> None:
    full = node_for(
        tmp_path, archive, analysis=phantom_plugin.NAME, environment=phantom
    )
    full.settings["spool"]["min_free_gb"] = 10_000_000
    with full:
        assert send(little[:1], full.port) == [OUT_OF_RESOURCES]
        assert echo(full.port)
        assert full.jobs() == []

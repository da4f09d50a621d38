"""Archives take every kind of result and give it back unchanged."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info, read_preamble
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt

from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.main import main
from dicom_node.decode.volume import read_volume
from dicom_node.dimse.contexts import PROPOSED_SYNTAXES
from dicom_node.encode.result_objects import encode_result
from dicom_node.peers.send import send_instances
from dicom_node.records import InstanceOutcome
from dicom_node.settings.sections import Peer
from tests.support.encoded import REQUEST
from tests.support.orthanc import Orthanc
from tests.support.peers import HOST, free_port, listens, wait_until
from tests.support.phantom_result import phantom_result
from tests.support.result_files import write_source

pytestmark = pytest.mark.peer

STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
QRSCP = """\
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 4
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ARCHIVE {folder} RW (100, 1024mb) ANY
AETable END
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return a file of each kind, of a patient with a Chinese name."""
    folder = tmp_path_factory.mktemp("results")
    source, labels = write_source(folder / "source", "chinese")
    request = replace(REQUEST, objects=("seg", "sr", "sc", "pdf", "gsps"))
    paths = []
    for encoded in encode_result(phantom_result(labels), read_volume(source), request):
        paths.append(folder / f"{encoded.name}.dcm")
        encoded.dataset.save_as(paths[-1], enforce_file_format=True)
    assert len(paths) == 5
    return paths


def dataset_bytes(path: Path) -> bytes:
    """Return what follows the file meta information."""
    meta = read_file_meta_info(path)
    with path.open("rb") as file:
        read_preamble(file, force=False)
        head = 132 + 12 + int(meta.FileMetaInformationGroupLength)
        file.seek(head)
        return file.read()


def by_uid(paths: Sequence[Path]) -> dict[str, bytes]:
    return {
        str(read_file_meta_info(path).MediaStorageSOPInstanceUID): dataset_bytes(path)
        for path in paths
    }


def sent(paths: Sequence[Path], port: int, title: str) -> tuple[InstanceOutcome, ...]:
    peer = Peer(ae_title=title, host=HOST, port=port)
    return send_instances("archive", peer, paths, calling_ae="LUMBAR_AI")


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with Orthanc(
        folder=folder, node_port=free_port(), dicom_port=free_port()
    ) as running:
        yield running


def test_orthanc_gives_back_what_it_took(
    orthanc: Orthanc, results: list[Path], tmp_path: Path
) -> None:
    outcomes = sent(results, orthanc.dicom_port, "TESTPACS")
    assert [one.text for one in outcomes] == ["stored"] * 5
    kept = [
        orthanc.file_of(row["id"], tmp_path / f"{row['id']}.dcm")
        for row in orthanc.instances()
    ]
    assert by_uid(kept) == by_uid(results)


@pytest.fixture(scope="module")
def label_maps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return a label map, the same in RLE, and the report beside it."""
    folder = tmp_path_factory.mktemp("label maps")
    source, labels = write_source(folder / "source", "oblique")
    series, result = read_volume(source), phantom_result(labels)
    paths = []
    for kind, objects in (("labelmap", ("seg",)), ("labelmap-rle", ("seg", "sr"))):
        request = replace(REQUEST, job_id=kind, segmentation=kind, objects=objects)
        for encoded in encode_result(result, series, request):
            paths.append(folder / f"{kind}-{encoded.name}.dcm")
            encoded.dataset.save_as(paths[-1], enforce_file_format=True)
    assert len(paths) == 3
    return paths


WITHOUT_LABEL_MAPS = [
    "the peer accepts no such SOP class",
    "the peer accepts no such SOP class",
    "stored",
]


def test_orthanc_that_knows_no_label_maps_says_so_and_takes_the_rest(
    orthanc: Orthanc, label_maps: list[Path]
) -> None:
    outcomes = sent(label_maps, orthanc.dicom_port, "TESTPACS")
    assert [one.text for one in outcomes] == WITHOUT_LABEL_MAPS


def test_orthanc_keeps_label_maps_that_come_over_http_as_they_are(
    orthanc: Orthanc, label_maps: list[Path], tmp_path: Path
) -> None:
    kept = [
        orthanc.file_of(orthanc.put(path), tmp_path / path.name) for path in label_maps
    ]
    assert by_uid(kept) == by_uid(label_maps)


def probed(port: int, title: str, folder: Path) -> tuple[int, dict[str, Any]]:
    """Return what `lumbar-node probe` ends with, and what it prints."""
    config = folder / "node.yaml"
    config.write_text(
        f"""
version: 1
node: {{ae_title: LUMBAR_AI}}
peers: {{pacs: {{ae_title: {title}, host: {HOST}, port: {port}, may_send: true}}}}
spool: {{folder: spool}}
routes:
  - {{name: plain, analysis: lumbar-mri, deliver_to: [pacs]}}
  - {{name: maps, analysis: lumbar-mri, deliver_to: [pacs], objects: [seg, pdf],
     segmentation: labelmap}}
"""
    )
    output = io.StringIO()
    with redirect_stdout(output):
        code = main(["probe", "pacs", "--json", "--config", str(config)])
    return code, json.loads(output.getvalue())


def test_a_probe_of_orthanc_says_which_results_it_would_refuse(
    orthanc: Orthanc, tmp_path: Path
) -> None:
    before = len(orthanc.instances())
    code, told = probed(orthanc.dicom_port, "TESTPACS", tmp_path)
    assert (code, told["missing"]) == (ExitCode.FAILED, ["seg (labelmap)"])
    accepts = {row["name"]: row for row in told["accepts"]}
    refused = [name for name, row in accepts.items() if not row["accepted"]]
    assert refused == ["seg (labelmap)", "seg (labelmap-rle)"]
    assert told["smallest_segmentation"] == "binary"
    assert accepts["sr"]["transfer_syntaxes"] == list(PROPOSED_SYNTAXES)
    assert accepts["pdf"]["needed_by"] == "route maps"
    assert len(orthanc.instances()) == before


def test_dcmqrscp_that_knows_no_label_maps_says_so_and_takes_the_rest(
    qrscp: int, label_maps: list[Path]
) -> None:
    outcomes = sent(label_maps, qrscp, "ARCHIVE")
    assert [one.text for one in outcomes] == WITHOUT_LABEL_MAPS


@pytest.fixture
def qrscp(tmp_path: Path) -> Iterator[int]:
    """Run DCMTK's archive, and return its port."""
    port = free_port()
    folder = tmp_path / "archive"
    folder.mkdir()
    settings = tmp_path / "dcmqrscp.cfg"
    settings.write_text(QRSCP.format(port=port, folder=folder))
    process = subprocess.Popen(
        ["dcmqrscp", "-c", str(settings), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: listens(port), what="dcmqrscp listens")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_dcmqrscp_gives_back_what_it_took(
    qrscp: int, results: list[Path], tmp_path: Path
) -> None:
    outcomes = sent(results, qrscp, "ARCHIVE")
    assert [one.text for one in outcomes] == ["stored"] * 5
    received = retrieved(results, qrscp, tmp_path / "received")
    assert by_uid(received) == by_uid(results)


def retrieved(results: Sequence[Path], port: int, folder: Path) -> list[Path]:
    """Return the study by C-GET, each instance in a file, its bytes as they came."""
    folder.mkdir()
    received: list[Path] = []

    def keep(event: evt.Event) -> int:
        path = folder / f"{len(received)}.dcm"
        path.write_bytes(event.encoded_dataset())
        received.append(path)
        return 0x0000

    ae = AE(ae_title="LUMBAR_AI")
    ae.add_requested_context(STUDY_ROOT_GET)
    classes = {
        str(read_file_meta_info(path).MediaStorageSOPClassUID) for path in results
    }
    for sop_class in classes:
        ae.add_requested_context(sop_class, ExplicitVRLittleEndian)
    association = ae.associate(
        HOST,
        port,
        ae_title="ARCHIVE",
        ext_neg=[build_role(each, scp_role=True) for each in classes],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    assert association.is_established
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = dcmread(results[0]).StudyInstanceUID
    for status, _ in association.send_c_get(query, STUDY_ROOT_GET):
        assert status.Status in {0x0000, 0xFF00}
    association.release()
    return received

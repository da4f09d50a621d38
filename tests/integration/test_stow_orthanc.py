"""A node delivers to Orthanc's DICOMweb plugin, and to services that come up late."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.support import phantom_plugin, variants
from tests.support.fhir_server import FhirServer
from tests.support.hl7_receiver import Hl7Receiver, acknowledging
from tests.support.node_process import Node, settings_for
from tests.support.orthanc import Orthanc
from tests.support.peers import HOST, free_port, send, wait_until
from tests.support.variants import fresh, saying
from tests.support.web_archive import REFERENCED, Asked, WebArchive, named

pytestmark = pytest.mark.peer


@dataclass(frozen=True)
class Site:
    """A node whose results go to two web services."""

    node: Node
    orthanc: Orthanc
    port: int
    his_port: int
    ris_port: int


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    node_port, late_port = free_port(), free_port()
    his_port, ris_port = free_port(), free_port()
    orthanc = Orthanc(
        folder=folder / "orthanc",
        node_port=node_port,
        routes_nothing=True,
        answers_dicom_web=True,
    )
    settings = settings_for(
        folder,
        node_port=node_port,
        peers={"sender": ("PACS", free_port())},
        analysis=phantom_plugin.NAME,
    )
    settings["web_peers"] = {
        "cloud": {"url": f"http://{HOST}:{orthanc.http_port}/dicom-web"},
        "late": {"url": f"http://{HOST}:{late_port}/dicom-web"},
    }
    settings["fhir_peers"] = {"his": {"url": f"http://{HOST}:{his_port}/fhir"}}
    settings["hl7_peers"] = {"ris": {"host": HOST, "port": ris_port}}
    settings["routes"][0]["deliver_to"] = ["cloud", "late", "his", "ris"]
    node = Node(
        folder=folder,
        settings=settings,
        environment=phantom_plugin.make_installed(folder / "installed"),
    )
    with orthanc, node:
        yield Site(
            node=node,
            orthanc=orthanc,
            port=late_port,
            his_port=his_port,
            ris_port=ris_port,
        )


def stored(asked: Asked) -> None:
    asked.reply(200, named(REFERENCED, asked.uid))


def frame_status(orthanc: Orthanc, tags: dict[str, str], number: int) -> int:
    """Ask for one frame of an instance, as viewers do, and return the HTTP status."""
    url = (
        f"http://{HOST}:{orthanc.http_port}/dicom-web/studies/{tags['StudyInstanceUID']}"
        f"/series/{tags['SeriesInstanceUID']}/instances/{tags['SOPInstanceUID']}"
        f"/frames/{number}"
    )
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def check_frames(orthanc: Orthanc, rows: Iterable[dict[str, str]]) -> None:
    """Check that each frame which an object says it has is there, and no other.

    A viewer that asks for one too many gets an error: no other one, no half a picture.
    """
    for row in rows:
        tags = orthanc.get(f"/instances/{row['id']}/simplified-tags")
        if "Rows" in tags:
            count = int(tags.get("NumberOfFrames", 1))
            statuses = [frame_status(orthanc, tags, n) for n in (1, count, count + 1)]
            assert statuses[:2] == [200, 200]
            assert statuses[2] in {400, 404}, tags["SOPClassUID"]


def test_results_are_stored_in_orthanc_as_they_are_and_late_where_a_service_was_down(
    site: Site, demo_series: Path, tmp_path: Path
) -> None:
    node, orthanc = site.node, site.orthanc
    series = fresh(
        variants.small(variants.read_bundled(demo_series)),
        saying(StudyInstanceUID=generate_uid(), PatientName="Wang^Fang=\u738b^\u82b3"),
        saying(SpecificCharacterSet="GB18030"),
    )
    study = str(series[0].StudyInstanceUID)
    send(series, node.port)

    def deliveries() -> dict[str, str]:
        # In the moment in which triage makes the job, both are listed.
        rows = [one for one in node.jobs() if one["study_uid"] == study]
        found: list[dict[str, str]] = [one["deliveries"] for one in rows]
        return next(filter(None, found), {})

    wait_until(lambda: deliveries().get("cloud") == "stored", what="Orthanc has all")
    assert deliveries()["late"] in {"waiting", "sending"}
    with WebArchive(stored, port=site.port) as late:
        wait_until(
            lambda: deliveries()["late"] == "stored", what="the late service has all"
        )
    # The report's peers were away until now, and no attempt cost the job.
    assert {deliveries()["his"], deliveries()["ris"]} <= {"waiting", "sending"}
    with (
        FhirServer(port=site.his_port) as his,
        Hl7Receiver(acknowledging("AE", "101"), port=site.ris_port) as ris,
    ):
        row = node.settled_jobs_of(str(series[0].SeriesInstanceUID))[0]
        assert (row["state"], deliveries()["his"]) == ("failed", "stored")
        assert "MSA-1 AE, error 101" in deliveries()["ris"]
        assert "MSA-1 AE, error 101" in node.command("jobs", "show", row["id"]).stdout
        ris.answer = acknowledging("AA")
        assert node.command("jobs", "retry", row["id"]).returncode == 0
        wait_until(
            lambda: set(deliveries().values()) == {"stored"}, what="the RIS has it"
        )
    assert len(his.bundles) == 1
    first, last = ris.messages
    assert first == last
    assert "Wang^Fang^^^^^L^A~\u738b^\u82b3^^^^^L^I" in last
    log = node.log.read_text()
    assert [word for word in ("Wang", "\u738b") if word in log] == []
    rows = {row["sop_uid"]: row for row in orthanc.instances()}
    assert {one.uid for one in late.asked} == set(rows)
    for one in late.asked:
        held = orthanc.file_of(rows[one.uid]["id"], tmp_path / "held.dcm")
        (tmp_path / "sent.dcm").write_bytes(one.content)
        assert dcmread(held) == dcmread(tmp_path / "sent.dcm")
        assert rows[one.uid]["study_uid"] == study
    url = f"http://{HOST}:{orthanc.http_port}/dicom-web/studies/{study}/series"
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.status == 200
    check_frames(orthanc, rows.values())

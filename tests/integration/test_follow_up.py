"""A patient is examined twice: the PACS is asked, and the change is told."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from tests.support import phantom_plugin, variants
from tests.support.encoded import named
from tests.support.node_process import Node, settings_for
from tests.support.orthanc import Orthanc
from tests.support.peers import HOST, WITHIN_S, dcmsend, free_port, wait_until
from tests.support.variants import Series, fresh, saying

pytestmark = pytest.mark.peer

DCIODVFY = str(Path(sys.executable).with_name("dciodvfy"))
THEN, NOW, DAYS = "20240101", "20250201", 397
SHRUNK = 0.8


def route(
    name: str, body_part: str, *, analysis: str = phantom_plugin.NAME, **asked: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "accept": {"body_part": [body_part]},
        "analysis": analysis,
        "deliver_to": ["pacs"],
        "follow_up": {"peer": "pacs", "wait_s": 200, **asked},
    }


ROUTES = [
    route("lumbar", "LSPINE", analysis="lumbar-mri"),
    route("got", "SPINE"),
    route("moved", "TSPINE", retrieve="c-move"),
    route("got-again", "CSPINE", analyse_earlier=True),
    route("moved-again", "SSPINE", analyse_earlier=True, retrieve="c-move"),
    route("silent", "PELVIS", peer="silent", wait_s=2),
    route("held", "HIP", peer="held"),
]


@dataclass
class Site:
    """An archive that routes nothing, and a node that asks it.

    Parameters
    ----------
    held
        Where the node asks an archive that answers as a test decides.
    """

    orthanc: Orthanc
    node: Node
    held: socket.socket

    def archive(self, series: Series) -> None:
        """Store a series in the archive alone."""
        _send(series, self.orthanc.dicom_port, "SCANNER", "TESTPACS")

    def examine(self, many: Mapping[str, Series]) -> dict[str, dict[str, Any]]:
        """Send series to the node, and return their reports once all are delivered.

        The log tells how jobs ended; a command that lists them takes seconds.
        """
        for series in many.values():
            self.send(series)
        return self.reports(many)

    def send(self, series: Series) -> None:
        """Send a series to the node."""
        _send(series, self.node.port, "TESTPACS", "LUMBAR_AI")

    def reports(self, many: Mapping[str, Series]) -> dict[str, dict[str, Any]]:
        """Return the reports of series that were sent, once all are delivered."""
        uids = {name: str(series[0].SeriesInstanceUID) for name, series in many.items()}
        rows: dict[str, dict[str, Any]] = {}

        def settled() -> bool:
            for row in self.node.events():
                if row["event"] == "job_settled":
                    rows[row["series_uid"]] = row
            return rows.keys() >= set(uids.values())

        wait_until(settled, what="the jobs settle", every_s=0.3)
        assert {rows[uid]["state"] for uid in uids.values()} == {"done"}
        outbox = Path(self.node.settings["spool"]["folder"]) / "outbox"
        return {
            name: json.loads((outbox / rows[uid]["job_id"] / "report.json").read_text())
            for name, uid in uids.items()
        }

    def objects(self, study_uid: str, modality: str, folder: Path) -> list[Dataset]:
        """Return the objects of a modality that the archive holds of a study."""
        folder.mkdir(exist_ok=True)
        return [
            dcmread(self.orthanc.file_of(row["id"], folder / f"{row['id']}.dcm"))
            for row in self.orthanc.instances()
            if row["study_uid"] == study_uid and row["modality"] == modality
        ]


def _send(series: Series, port: int, calling: str, called: str) -> None:
    # By DCMTK: pynetdicom's own sender stalls now and then on a busy machine.
    with tempfile.TemporaryDirectory() as folder:
        files = variants.write_all(Path(folder), [series])
        dcmsend(files, port, options=("-aet", calling, "-aec", called))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    node_port, dicom_port = free_port(), free_port()
    with (
        socket.create_server((HOST, 0)) as silent,  # accepts, and never answers
        socket.create_server((HOST, 0)) as held,
    ):
        held.settimeout(WITHIN_S)
        settings = settings_for(
            folder,
            node_port=node_port,
            peers={
                "pacs": ("TESTPACS", dicom_port),
                "silent": ("SILENT", silent.getsockname()[1]),
                "held": ("HELD", held.getsockname()[1]),
            },
        )
        settings["routes"] = ROUTES
        node = Node(
            folder=folder,
            settings=settings,
            environment=phantom_plugin.make_installed(folder / "installed"),
        )
        orthanc = Orthanc(
            folder=folder / "orthanc",
            node_port=node_port,
            dicom_port=dicom_port,
            routes_nothing=True,
        )
        with node, orthanc:
            yield Site(orthanc=orthanc, node=node, held=held)


def shrunk(instance: Dataset) -> None:
    """Make all that an instance shows a fifth smaller."""
    instance.PixelSpacing = [SHRUNK * float(mm) for mm in instance.PixelSpacing]
    x, y, z = instance.ImagePositionPatient
    instance.ImagePositionPatient = [x, SHRUNK * float(y), SHRUNK * float(z)]
    instance.MagneticFieldStrength = 3.0


@dataclass
class Rounds:
    """Every patient examined twice: what was sent, and what was reported."""

    first: dict[str, Series]
    second: dict[str, Series]
    reports: dict[str, dict[str, Any]]

    def told(self, name: str) -> dict[str, Any]:
        """Return what the report of the second examination says of the first."""
        told: dict[str, Any] = self.reports[name]["follow_up"]
        return told

    def codes(self, name: str) -> set[str]:
        """Return the warnings of the second report."""
        return {warning["code"] for warning in self.reports[name]["warnings"]}


IN_THE_ARCHIVE_ALONE = {"pictures, c-get", "pictures, c-move"}
BODY_PARTS = {
    "lumbar": "LSPINE",
    "c-move": "TSPINE",
    "pictures, c-get": "CSPINE",
    "pictures, c-move": "SSPINE",
    "never answers": "PELVIS",
}
"""The route by the name of a patient; of all others `SPINE`."""
PATIENTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "lumbar": ({}, {}),
    "c-move": ({}, {}),
    "pictures, c-get": ({}, {}),
    "pictures, c-move": ({}, {}),
    "never answers": ({}, {}),
    "other name": ({"PatientName": "OTHER^NAME"}, {}),
    "similar id": ({"PatientID": "0077"}, {"PatientID": "77"}),
    "wild card": ({"PatientID": "WILD1"}, {"PatientID": "WILD*"}),
    "other software": ({"PatientID": "FOREIGN"}, {"PatientID": "FOREIGN-2"}),
    "same day": ({"StudyDate": NOW}, {}),
}
"""What the two examinations say of the patient."""


@pytest.fixture(scope="module")
def rounds(
    site: Site, demo_series: Path, tmp_path_factory: pytest.TempPathFactory
) -> Rounds:
    bundled = variants.read_bundled(demo_series)
    # For the toy, which measures the distance of the slices.
    little = variants.small(bundled)

    def sent(name: str, day: str, said: dict[str, str]) -> Series:
        who = {
            "PatientID": name.upper(),
            "StudyDate": day,
            "BodyPartExamined": BODY_PARTS.get(name, "SPINE"),
        }
        source = bundled if name == "lumbar" else little
        return fresh(
            source, saying(StudyInstanceUID=generate_uid(), **who), saying(**said)
        )

    first = {name: sent(name, THEN, then) for name, (then, _) in PATIENTS.items()}
    second = {name: sent(name, NOW, now) for name, (_, now) in PATIENTS.items()}
    for instance in second["lumbar"]:
        shrunk(instance)
    for name in IN_THE_ARCHIVE_ALONE:
        site.archive(first[name])
    examined = {name for name in first if name not in IN_THE_ARCHIVE_ALONE}
    site.examine({name: first[name] for name in examined})
    of_other_software(site, first, tmp_path_factory.mktemp("foreign"))
    return Rounds(first=first, second=second, reports=site.examine(second))


def of_other_software(site: Site, first: dict[str, Series], folder: Path) -> None:
    """Store a report that is like ours, but for who made it."""
    study = str(first["other software"][0].StudyInstanceUID)
    (foreign,) = site.objects(study, "SR", folder)
    foreign.Manufacturer = "Another"
    foreign.PatientID = "FOREIGN-2"
    foreign.StudyInstanceUID = generate_uid()
    foreign.SeriesInstanceUID = generate_uid()
    variants.name(foreign, generate_uid())
    site.archive([foreign])


def test_the_discs_of_two_examinations_are_compared(rounds: Rounds) -> None:
    told, report = rounds.told("lumbar"), rounds.reports["lumbar"]
    assert told["status"] == "compared"
    assert told["days"] == DAYS
    earlier = str(rounds.first["lumbar"][0].StudyInstanceUID)
    assert told["earlier"]["study_uid"] == earlier
    assert {one["code"] for one in told["warnings"]} == {"field_strength_differs"}
    assert "field_strength_differs" in rounds.codes("lumbar")
    now = {row["level"]: row["disc_height_mm"] for row in report["levels"]}
    for row in told["levels"]:
        change = row["changes"]["disc_height_mm"]
        assert change["now"] == pytest.approx(now[row["level"]], abs=1e-3)
        # The same picture a fifth smaller; the outline is not the very same.
        expected = (SHRUNK - 1) * change["earlier"]
        assert change["change"] == pytest.approx(expected, abs=0.5)
        assert change["verdict"] == "decreased"


def test_the_archive_gets_the_change_and_a_reference_to_the_earlier_report(
    site: Site, rounds: Rounds, tmp_path: Path
) -> None:
    then, now = (
        str(series["lumbar"][0].StudyInstanceUID)
        for series in (rounds.first, rounds.second)
    )
    (earlier,) = site.objects(then, "SR", tmp_path / "1")
    (later,) = site.objects(now, "SR", tmp_path / "2")
    (reference,) = later.PertinentOtherEvidenceSequence
    (instance,) = reference.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert instance.ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    assert len(named(later, "CHANGE-HEIGHT")) == 10  # number and verdict, five discs
    said = [item.TextValue for item in named(later, "121106")]
    assert any(f"{DAYS} days earlier" in text for text in said)
    assert len(site.objects(now, "OT", tmp_path / "3")) == 2
    for path in tmp_path.glob("*/*.dcm"):
        assert errors_in(path) == []


def errors_in(path: Path) -> list[str]:
    said = subprocess.run(
        [DCIODVFY, "-new", str(path)], capture_output=True, text=True, check=False
    ).stderr
    return [line for line in said.splitlines() if re.match("Error", line)]


def test_an_earlier_report_comes_by_c_move(rounds: Rounds) -> None:
    told = rounds.told("c-move")
    assert told["status"] == "compared"
    assert told["days"] == DAYS
    assert told["then"] == pytest.approx([1.8], rel=1e-5)
    assert told["refused"] == []


@pytest.mark.parametrize("name", sorted(IN_THE_ARCHIVE_ALONE))
def test_earlier_pictures_without_a_report_are_measured(
    site: Site, rounds: Rounds, name: str
) -> None:
    told, earlier = rounds.told(name), rounds.first[name][0]
    assert told["status"] == "compared"
    assert told["earlier"]["measured_now"] is True
    assert told["earlier"]["series_uid"] == str(earlier.SeriesInstanceUID)
    assert "prior_measured_now" in rounds.codes(name)
    study = str(earlier.StudyInstanceUID)
    held = [r["modality"] for r in site.orthanc.instances() if r["study_uid"] == study]
    assert set(held) == {"MR"}  # nothing was stored to the earlier study


def test_what_was_fetched_started_no_job(site: Site, rounds: Rounds) -> None:
    complete = {
        row["series_uid"]
        for row in site.node.events()
        if row["event"] == "series_complete"
    }
    fetched = {
        rounds.told(name)["earlier"]["series_uid"]
        for name in ("lumbar", "c-move", *IN_THE_ARCHIVE_ALONE)
    }
    assert len(fetched) == 4
    assert complete.isdisjoint(fetched)


def test_another_name_under_the_same_id_is_refused(site: Site, rounds: Rounds) -> None:
    told = rounds.told("other name")
    assert told["status"] == "no_prior"
    assert told["refused"] == [{"code": "other_name", "count": 1}]
    assert "prior_refused" in rounds.codes("other name")
    assert "OTHER" not in json.dumps(rounds.reports["other name"])
    assert "OTHER^NAME" not in site.node.log.read_text()


@pytest.mark.parametrize("name", ["similar id", "same day"])
def test_nothing_is_compared_with_what_is_no_earlier_examination_of_the_patient(
    rounds: Rounds, name: str
) -> None:
    assert rounds.told(name) == {"status": "no_prior", "refused": []}


def test_a_wild_card_in_the_id_asks_for_nobody(rounds: Rounds) -> None:
    told = rounds.told("wild card")
    assert told["status"] == "unavailable"
    assert "wild card" in told["reason"]
    assert "prior_unavailable" in rounds.codes("wild card")


def test_a_report_of_other_software_is_left_alone(rounds: Rounds) -> None:
    told = rounds.told("other software")
    assert told["status"] == "no_prior"
    assert told["refused"] == [{"code": "not_ours", "count": 1}]


def test_an_archive_that_never_answers_does_not_hold_up_the_result(
    site: Site, rounds: Rounds, tmp_path: Path
) -> None:
    told = rounds.told("never answers")
    assert told["status"] == "unavailable"
    assert told["reason"] == "silent did not answer in full within 2 s"
    assert "prior_unavailable" in rounds.codes("never answers")
    study = str(rounds.second["never answers"][0].StudyInstanceUID)
    (report,) = site.objects(study, "SR", tmp_path)
    said = [item.TextValue for item in named(report, "121106")]
    assert any("prior_unavailable" in text for text in said)


def test_a_worker_that_is_killed_while_it_asks_asks_again(
    site: Site, rounds: Rounds
) -> None:
    said = saying(StudyInstanceUID=generate_uid(), BodyPartExamined="HIP")
    series = fresh(rounds.second["never answers"], said)
    uid = str(series[0].SeriesInstanceUID)

    def begun() -> int:
        return sum(
            row["event"] == "job_started" and row.get("series_uid") == uid
            for row in site.node.events()
        )

    site.send(series)
    asked, _ = site.held.accept()
    for worker in site.node.workers():
        worker.send_signal(signal.SIGKILL)
    again, _ = site.held.accept()
    for connection in (asked, again):
        connection.close()
    told = site.reports({"killed": series})["killed"]["follow_up"]
    assert told["status"] == "unavailable"
    assert begun() == 2

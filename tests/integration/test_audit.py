"""A whole node tells a real syslog server of everything that the standard asks for."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from dicom_node.passwords import line_of
from tests.support import phantom_plugin, variants
from tests.support.audit_messages import TABLES, Read
from tests.support.certificates import authority, signed
from tests.support.node_process import Node, node_for
from tests.support.page_client import PageClient
from tests.support.peers import Archive, echo, free_port, send, wait_until
from tests.support.rsyslog import Rsyslog, require_rsyslog
from tests.support.variants import fresh, saying

USER, PASSWORD = "ann", "correct horse"
PATIENT_ID = "AUDIT-4711"


@dataclass(frozen=True)
class Site:
    """A node that tells a repository of events."""

    node: Node
    archive: Archive
    repository: Rsyslog

    def told(self, event: str, *types: str) -> list[Read]:
        """Return the messages of one event, and of a type of it."""
        return [
            message
            for message in self.repository.messages()
            if message.event == event and set(types) <= set(message.types)
        ]

    def wait_told(self, event: str, *types: str, times: int = 1) -> Read:
        """Return the last of so many messages of an event."""
        wait_until(
            lambda: len(self.told(event, *types)) >= times,
            what=f"{event} is told: {Counter(one.event for one in self.all())}",
        )
        return self.told(event, *types)[-1]

    def wait_told_of(self, study: str, event: str, *, times: int) -> list[Read]:
        """Return the messages of an event about a study, once there are so many."""

        def told() -> list[Read]:
            return [
                message
                for message in self.told(event)
                if study in message.values("//@ParticipantObjectID")
            ]

        wait_until(lambda: len(told()) >= times, what=f"{event} of the study is told")
        return told()

    def all(self) -> list[Read]:
        """Return all messages."""
        return self.repository.messages()


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require_rsyslog()
    folder = tmp_path_factory.mktemp("site")
    by = authority(folder)
    archive = Archive(ae_title="PACS")
    repository = Rsyslog(
        folder / "rsyslog", by.certificate, signed(folder, "server", by)
    )
    node = node_for(
        folder,
        archive,
        analysis=phantom_plugin.NAME,
        environment=phantom_plugin.make_installed(folder / "installed"),
    )
    repository.port = free_port()
    (folder / "users").write_text(line_of(USER, PASSWORD) + "\n")
    node.settings["peers"]["pacs"]["answers_c_find"] = True
    node.settings["series"]["confirm_by_c_find"] = True
    node.settings["audit"] = {
        "host": "127.0.0.1",
        "port": repository.port,
        "tls": {"ca_file": str(by.certificate)},
        "source_id": "lumbar-1",
        "site_id": "hospital",
    }
    node.settings["ops"] = {
        "port": free_port(),
        "page": {"password_file": "users", "actions": True, "patient_data": True},
    }
    with archive, repository:
        node.start()
        yield Site(node=node, archive=archive, repository=repository)
        node.kill()


@pytest.fixture
def site(whole_site: Site) -> Site:
    """Return the site with its node running, whatever test was before."""
    if whole_site.node.process.poll() is not None:
        whole_site.node.start()
    return whole_site


def test_every_event_is_told_in_a_valid_message(site: Site, demo_series: Path) -> None:
    node, archive = site.node, site.archive
    series = fresh(
        variants.small(variants.read_bundled(demo_series)),
        saying(StudyInstanceUID=generate_uid(), PatientID=PATIENT_ID),
    )
    study, uid = str(series[0].StudyInstanceUID), str(series[0].SeriesInstanceUID)
    archive.counts[uid] = len(series)
    send(series, node.port)
    (job,) = node.settled_jobs_of(uid)
    assert job["state"] == "done"
    assert not echo(node.port, calling="STRANGER")

    page = PageClient(node.settings["ops"]["port"])
    wait_until(lambda: page.get("/login").status == 200, what="the page answers")
    assert page.send("/login", "/login", user="bob", password="x", next="/").status
    page.log_in(USER, PASSWORD)
    at = f"/jobs/{job['id']}"
    assert PATIENT_ID in page.get(at).text
    page.send(at, f"{at}/rerun")
    page.send("/", "/logout")

    site.wait_told("110100", "110120")
    moved, began, accessed = (
        site.wait_told_of(study, event, times=times)
        for event, times in (("110104", 2), ("110102", 1), ("110103", 2))
    )
    site.wait_told("110114", "110122", times=2)
    site.wait_told("110114", "110123")
    site.wait_told("110113", "110126")
    action = site.wait_told("110113", "110132")
    query = site.wait_told("110112")
    assert {message.event for message in site.all()} == set(TABLES)

    patients = "//ParticipantObjectIdentification[@ParticipantObjectTypeCode='1']"
    for message in (*moved, *began, *accessed):
        assert message.values(f"{patients}/@ParticipantObjectID") == [PATIENT_ID]
        assert message.values("//@AuditSourceID") == ["lumbar-1"]
        assert message.values("//@AuditEnterpriseSiteID") == ["hospital"]
    counts = sum(map(int, moved[-1].values("//@NumberOfInstances")))
    assert counts == len(archive.results_of(series))
    (asked,) = query.values("//ParticipantObjectQuery/text()")
    assert uid.encode() in base64.b64decode(asked)
    assert USER in action.values("//@UserID")
    (text,) = action.values("//ParticipantObjectDetail/@value")
    assert base64.b64decode(text) == f"rerun of job {job['id']}".encode()
    assert PATIENT_ID not in node.log.read_text()


def test_what_happens_while_the_repository_is_down_is_told_afterwards(
    site: Site, demo_series: Path
) -> None:
    site.wait_told("110100", "110120")
    before = len(site.told("110104"))
    starts = len(site.told("110100", "110120"))
    site.repository.stop()
    series = fresh(
        variants.small(variants.read_bundled(demo_series)),
        saying(StudyInstanceUID=generate_uid()),
    )
    send(series, site.node.port)
    (job,) = site.node.settled_jobs_of(str(series[0].SeriesInstanceUID))
    assert job["state"] == "done"
    assert site.node.stop() == 0
    assert site.node.stop_took_s() < 10
    site.repository.start()
    site.node.start()
    site.wait_told("110104", times=before + 2)
    site.wait_told("110100", "110120", times=starts + 1)
    site.wait_told("110100", "110121")


def test_a_node_that_stops_says_so_before_it_has_ended(site: Site) -> None:
    stops = len(site.told("110100", "110121"))
    assert site.node.stop() == 0
    assert len(site.told("110100", "110121")) == stops + 1
    spool = Path(site.node.settings["spool"]["folder"]) / "audit"
    assert list(spool.iterdir()) == []

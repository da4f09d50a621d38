"""A person is told what is new and what is over: in one message, not too often."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.job_troubles import JobTroubles, JobTroublesReader
from dicom_node.node_report import (
    ChildReport,
    Counted,
    NodeReport,
    NotifyPlan,
    SilentPlan,
    WorkingTime,
)
from dicom_node.ops.notification import Digest, Kind, Problem, body_of
from dicom_node.ops.notification_loop import URLS, Notifier
from dicom_node.ops.notification_state import FILE
from dicom_node.ops.working_time import worked_s
from tests.support.ops_plan import plan_for

HOUR_S = 3600.0
GIB = 2**30
BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = WorkingTime(weekdays=frozenset(range(5)), from_hour=8, to_hour=18, zone=BERLIN)
MONDAY_8 = datetime(2026, 11, 30, 8, tzinfo=BERLIN).timestamp()
MAIL, HOOK = "mailto://user:secret@mail.example", "json://hook.example/secret"
Usage = namedtuple("Usage", "total used free")


class Site:
    """A notifier whose jobs, disk and addresses are what a test says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.failed: dict[str, str] = {}
        self.kept_waiting: dict[str, str] = {}
        self.free = 100 * GIB
        self.is_database_up = True
        self.instances = {"PACS": 0}
        self.delivered = {"pacs": 0}
        self.pid = 7
        self.answers: Callable[[str], str] = lambda _address: ""
        self.sent: list[tuple[str, str, str]] = []
        self.addresses = MAIL
        self.plan = NotifyPlan(
            urls_file=None,
            every_s=900.0,
            failed_jobs=True,
            disk_below_bytes=10 * GIB,
            unreachable_s=2 * HOUR_S,
            silent=SilentPlan(
                senders={"PACS": "pacs"}, after_s=4 * HOUR_S, working_time=OFFICE
            ),
            zone=BERLIN,
        )
        monkeypatch.setattr(JobTroublesReader, "read", lambda _reader: self._read())
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _path: Usage(200 * GIB, 0, self.free)
        )
        self.restart()

    def restart(self) -> None:
        self.notifier = Notifier(
            plan_for(spool_folder=self.folder, min_free_bytes=5 * GIB),
            self.plan,
            transmit=self._transmit,
            environment={URLS: self.addresses},
        )

    def _read(self) -> JobTroubles:
        if not self.is_database_up:
            message = "locked"
            raise JobDatabaseError(message)
        return JobTroubles(
            failed=dict(self.failed), kept_waiting=dict(self.kept_waiting)
        )

    def _transmit(self, address: str, title: str, body: str) -> str:
        why = self.answers(address)
        if not why:
            self.sent.append((address, title, body))
        return why

    def at(self, hours: float) -> list[str]:
        """Let so many hours have passed since Monday at 8; return the new texts."""
        before = len(self.sent)
        report = NodeReport(
            turned_at_s=0.0,
            children=(
                ChildReport(name="supervisor", pid=self.pid, starts=1, deaths=0),
            ),
            counts={
                Counted.INSTANCES: {
                    (title,): count for title, count in self.instances.items()
                },
                Counted.DELIVERIES: {
                    **{(peer, "done"): n for peer, n in self.delivered.items()},
                    ("pacs", "again"): 5,
                },
            },
            times={},
        )
        self.instances["PACS"] += 1  # it sends, unless a test sets it back
        self.notifier.turn(report, MONDAY_8 + hours * HOUR_S)
        return [body for _, _, body in self.sent[before:]]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def test_jobs_that_fail_make_one_message_and_not_one_each(site: Site) -> None:
    assert site.at(0) == []
    site.failed = {f"job{number:02}": "timed_out" for number in range(12)}
    site.failed["other"] = "encoding"
    (text,) = site.at(0.1)
    assert "13 jobs failed: timed_out (12), encoding (1)." in text
    assert "job00" in text
    assert "and 3 more" in text
    assert site.at(0.2) == []  # nobody is told twice

    site.failed["late"] = "encoding"
    assert site.at(0.3) == []  # 12 minutes after the last message
    (text,) = site.at(0.4)
    assert "1 job failed: encoding (1)." in text
    assert "Told before, and not over: 13" in text


def test_jobs_that_are_retried_are_told_of_with_the_next_message_alone(
    site: Site,
) -> None:
    site.failed = {"a": "encoding"}
    assert len(site.at(0)) == 1
    site.failed = {}
    assert site.at(1) == []
    site.free = GIB
    (text,) = site.at(2)
    assert "1 job that had failed: retried, cancelled or removed" in text


def test_a_disk_is_told_of_while_it_is_low_and_when_it_is_well(site: Site) -> None:
    site.free = 9 * GIB
    (text,) = site.at(0)
    assert "9.0 GiB free, less than 10.0; below 5.0 senders are refused" in text
    site.free = round(10.5 * GIB)
    assert site.at(1) == []  # hardly well again
    site.free = 12 * GIB
    (text,) = site.at(2)
    assert text.startswith("Over:\n- the disk of the spool")


def test_a_peer_is_told_of_when_it_has_taken_nothing_for_long(site: Site) -> None:
    site.kept_waiting = {"pacs": "peer-unreachable"}
    assert site.at(0) == []
    site.delivered["pacs"] = 1  # it takes some, and fails with others
    assert site.at(1) == []
    assert site.at(2.9) == []
    (text,) = site.at(3.1)
    assert "pacs has taken no results since 2026-11-30 09:00 (peer-unreachable)" in text
    site.kept_waiting = {}
    (text,) = site.at(4)
    assert text.startswith("Over:\n- pacs has taken no results")


def test_a_silent_sender_is_told_of_in_working_time_alone(site: Site) -> None:
    site.at(0)

    def silent(hours: float) -> list[str]:
        site.instances["PACS"] = 1
        return site.at(hours)

    silent(8)  # 16:00: it has sent
    assert silent(9.9) == []
    assert silent(20) == []  # 04:00: two hours of working time
    assert silent(25.9) == []
    (text,) = silent(26.1)
    assert "PACS (pacs) has sent nothing for 4 hours of working time" in text
    assert "not since 2026-11-30 16:00" in text
    site.instances["PACS"] = 2
    (text,) = site.at(27)
    assert text.startswith("Over:\n- PACS (pacs)")


def test_a_restart_repeats_nothing_and_goes_on_counting(site: Site) -> None:
    site.failed = {"a": "encoding"}
    site.kept_waiting = {"pacs": "peer-unreachable"}
    assert len(site.at(0)) == 1
    site.restart()
    site.pid, site.instances["PACS"], site.delivered["pacs"] = 8, 0, 0
    assert site.at(1.9) == []
    site.restart()
    (text,) = site.at(2.1)
    assert "no results since 2026-11-30 08:00" in text
    assert "failed" not in text


def test_an_address_that_takes_nothing_hears_of_it_all_later(site: Site) -> None:
    site.addresses = f"{MAIL}\n{HOOK}"
    site.restart()
    site.answers = lambda address: "refused" if address == MAIL else ""
    site.failed = {"a": "encoding"}
    site.at(0)
    site.failed["b"] = "timed_out"
    site.at(1)
    assert [address for address, _, _ in site.sent] == [HOOK, HOOK]
    site.answers = lambda _address: ""
    site.at(3)
    address, title, body = site.sent[-1]
    assert (address, title) == (MAIL, "lumbar-node LUMBAR_AI: 2 new, 0 over")
    assert "2 jobs failed" in body


def test_an_address_that_fails_is_tried_less_and_less_often(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[float] = []
    hours = 0.0

    def answers(_address: str) -> str:
        tried.append(hours)
        return "refused"

    site.answers = answers
    site.failed = {"a": "encoding"}
    while hours < 4:
        site.at(hours)
        hours += 1 / 60
    pauses = [after - before for before, after in pairwise(tried)]
    assert pauses == sorted(pauses)
    assert len(tried) < 12
    fields = [vars(record)["node_fields"] for record in caplog.records]
    assert fields[0]["reason"] == "address 1 (mailto): refused"
    assert "secret" not in str(fields)


def test_what_could_not_be_read_is_not_over(site: Site) -> None:
    site.failed = {"a": "encoding"}
    assert len(site.at(0)) == 1
    site.is_database_up = False
    site.free = GIB
    (text,) = site.at(1)
    assert "retried" not in text
    assert "Told before, and not over: 1" in text


def test_a_disk_that_takes_no_state_makes_no_message_come_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dicom_node.ops.notification_state.write_durable", full)
    site.free = 1
    assert len(site.at(0)) == 1
    assert site.at(1) == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"version": 1}'])
def test_a_state_that_cannot_be_read_is_begun_anew(site: Site, content: bytes) -> None:
    (site.folder / FILE).write_bytes(content)
    site.failed = {"a": "encoding"}
    site.restart()
    assert len(site.at(0)) == 1
    assert json.loads((site.folder / FILE).read_text())["version"] == 1


def test_the_state_holds_no_address(site: Site) -> None:
    site.failed = {"a": "encoding"}
    site.at(0)
    text = (site.folder / FILE).read_text()
    assert "secret" not in text
    assert "example" not in text


def test_addresses_come_from_a_file_that_may_change(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    file = site.folder / "urls"
    site.plan = replace(site.plan, urls_file=file)
    site.restart()
    site.failed = {"a": "encoding"}
    assert site.at(0) == []
    assert site.at(1) == []
    told = [record.getMessage() for record in caplog.records]
    assert told == ["notification_without_address"]  # once
    file.write_text(f"# of the radiology\n{HOOK}\n\n")
    assert len(site.at(2)) == 1
    assert site.sent[0][0] == HOOK


def test_jobs_may_be_left_out(site: Site) -> None:
    site.plan = replace(site.plan, failed_jobs=False, silent=None)
    site.restart()
    site.failed = {"a": "encoding"}
    assert site.at(0) == []


def test_a_clock_that_was_set_back_holds_no_message_up(site: Site) -> None:
    site.failed = {"a": "encoding"}
    assert len(site.at(100)) == 1
    site.failed["b"] = "encoding"
    assert len(site.at(0)) == 1


def test_an_address_that_failed_is_tried_again_after_the_clock_was_set_back(
    site: Site,
) -> None:
    site.answers = lambda _address: "refused"
    site.failed = {"a": "encoding"}
    site.at(10_000)
    site.answers = lambda _address: ""
    assert len(site.at(0)) == 1


def test_a_clock_that_was_set_back_makes_nobody_heard_of_in_the_future(
    site: Site,
) -> None:
    site.kept_waiting = {"pacs": "peer-unreachable"}
    site.at(10_000)

    def silent(hours: float) -> str:
        site.instances["PACS"] = 1
        return "".join(site.at(hours))

    assert silent(0) == ""
    text = silent(5)
    assert "pacs has taken no results since 2026-11-30 08:00" in text
    assert "not since 2026-11-30 08:00" in text


def test_nothing_is_no_message() -> None:
    assert body_of(Digest(new=(), over=(), still=0)) == ""
    one = Problem(kind=Kind.DISK, name="", text="low")
    assert body_of(Digest(new=(one,), over=(), still=0)) == "New:\n- low\n"


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("2026-11-30T09:00", "2026-11-30T11:30", 2.5),  # a Monday
        ("2026-11-30T05:00", "2026-11-30T23:00", 10),
        ("2026-11-27T17:00", "2026-11-30T09:00", 2),  # over a weekend
        ("2026-11-28T00:00", "2026-11-29T23:59", 0),
        ("2026-10-23T17:00", "2026-10-26T09:00", 2),  # summer time ends
        ("2026-11-30T11:00", "2026-11-30T10:00", 0),
    ],
)
def test_working_time(since: str, until: str, hours: float) -> None:
    since_s, until_s = (
        datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()
        for text in (since, until)
    )
    assert worked_s(since_s, until_s, OFFICE) == hours * HOUR_S


def test_a_day_may_last_until_midnight_and_no_more_than_sixty_days_count() -> None:
    always = WorkingTime(
        weekdays=frozenset(range(7)), from_hour=0, to_hour=24, zone=ZoneInfo("UTC")
    )
    until = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
    assert worked_s(until - 30 * HOUR_S, until, always) == 30 * HOUR_S
    assert worked_s(0.0, until, always) == 60 * 24 * HOUR_S
    here = replace(always, zone=None)
    assert worked_s(until - HOUR_S, until, here) == HOUR_S

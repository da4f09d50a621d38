"""What is removed when, and what is never removed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dicom_node.jobs.job_state import lacking_peers
from dicom_node.jobs.queue import JobQueue
from dicom_node.node.enqueue_series import Intake
from dicom_node.node.housekeeping import Housekeeping
from dicom_node.records import (
    Completion,
    JobRow,
    JobState,
    ReceivedSeries,
    StoredInstance,
)
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.manifest import mark_owed, write_pending
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout

NOW_S = 10_000_000.0
HOUR_S = 3600.0
GIB = 2**30


class Jobs:
    """The jobs of a node, as its queue would list them."""

    def __init__(self) -> None:
        self.contents = self
        self.refreshed = 0
        self.rows: list[JobRow] = []
        self.kept: Collection[str] = ()
        self.triages_forgotten: list[str] = []

    def unsettled(self) -> Mapping[str, str]:
        return {row.id: row.digest for row in self.rows if row.settled_at_s is None}

    def refresh(self) -> Iterator[None]:
        self.refreshed += 1
        yield

    def states_of(self, digest: str) -> frozenset[JobState]:
        return frozenset(row.state for row in self.rows if row.digest == digest)

    def lacking(self) -> Mapping[str, Sequence[str]]:
        found = {row.id: lacking_peers(row) for row in self.rows}
        return {job_id: peers for job_id, peers in found.items() if peers}

    def prune(
        self, *, settled_before_s: float, keep: Collection[str]
    ) -> Iterator[tuple[JobRow, ...]]:
        assert settled_before_s < NOW_S
        self.kept = set(keep)
        yield ()

    def forget_triages(self, _study_uid: str, series_uid: str) -> None:
        self.triages_forgotten.append(series_uid)


class Arriving:
    """The series that are arriving."""

    def __init__(self) -> None:
        self.uids: set[str] = set()

    def collects(self, key: SeriesKey) -> bool:
        return key.series_uid in self.uids

    def forget(self, key: SeriesKey) -> None:
        assert key.series_uid not in self.uids


class Site:
    """A spool that keeps everything for 3 days, and rejected series for 6 hours."""

    def __init__(self, folder: Path, *, first_at_s: float = 0.0) -> None:
        settings = Settings.model_validate(
            {
                "version": 1,
                "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
                "spool": {"folder": str(folder), "min_free_gb": 5},
                "routes": [{"name": "r", "analysis": "a", "deliver_to": ["pacs"]}],
            }
        )
        self.layout = SpoolLayout(folder)
        self.layout.prepare()
        self.jobs, self.arriving = Jobs(), Arriving()
        self.housekeeping = Housekeeping(
            settings,
            cast("JobQueue", self.jobs),
            cast("Intake", self.arriving),
            first_at_s=first_at_s,
        )

    def settled(
        self, uid: str, state: JobState, *, hours_ago: float, told: str = "stored"
    ) -> None:
        """Let a series have come, and its job have ended, some hours ago."""
        folder = self.layout.series_folder("ST", uid)
        folder.mkdir()
        path = folder / "instance.dcm"
        path.write_bytes(b"dataset")
        series = ReceivedSeries(
            study_uid="ST",
            series_uid=uid,
            calling_ae="PACS",
            instances=(
                StoredInstance(
                    path=path,
                    sop_class_uid="1",
                    sop_instance_uid="2",
                    study_uid="ST",
                    series_uid=uid,
                    transfer_syntax_uid="3",
                    calling_ae="PACS",
                    sha256="4",
                    size_bytes=7,
                    received_at_s=0.0,
                ),
            ),
            digest=uid,
            completion=Completion.RELEASED_AND_QUIET,
        )
        write_pending(self.layout, series)
        mark_owed(self.layout, series)
        outbox = self.layout.job_outbox(f"job-{uid}")
        outbox.mkdir()
        (outbox / "seg.dcm").write_bytes(b"result")
        ended_s = NOW_S - hours_ago * HOUR_S
        for one in (folder, outbox):
            for entry in (*one.iterdir(), one):
                os.utime(entry, (ended_s, ended_s))
        self.jobs.rows.append(
            JobRow(
                id=f"job-{uid}",
                state=state,
                route="r",
                series_uid=uid,
                study_uid="ST",
                calling_ae="PACS",
                instances=1,
                accepted_at_s=ended_s,
                settled_at_s=ended_s,
                reason="",
                digest=uid,
                revision=1,
                deliveries=(("pacs", told),),
            )
        )

    def series_left(self) -> set[str]:
        """Return the series of which the content is there."""
        return {
            row.series_uid
            for row in self.jobs.rows
            if self.layout.series_folder("ST", row.series_uid).exists()
        }

    def results_left(self) -> set[str]:
        """Return the jobs of which the results are there."""
        return {path.name for path in self.layout.outbox.iterdir()}


def wholly(steps: Iterator[None]) -> None:
    for _ in steps:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "spool")


def test_a_rejected_series_goes_after_hours_and_a_delivered_one_after_days(
    site: Site,
) -> None:
    site.settled("ct", JobState.REJECTED, hours_ago=7)
    site.settled("young ct", JobState.REJECTED, hours_ago=5)
    site.settled("mr", JobState.DONE, hours_ago=71)
    site.settled("old mr", JobState.DONE, hours_ago=73)
    wholly(site.housekeeping.clean(now_s=NOW_S))
    assert site.series_left() == {"young ct", "mr"}
    # Sent again, it is looked at again.
    assert sorted(site.jobs.triages_forgotten) == ["ct", "old mr"]


def test_results_that_a_peer_lacks_stay_whatever_their_age(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        "dicom_node.log.warning", lambda name, **told: events.append((name, told))
    )
    lacking = "failed not-stored: no association"
    site.settled("owed", JobState.FAILED, hours_ago=10_000, told=lacking)
    site.settled("had", JobState.DONE, hours_ago=10_000)
    wholly(site.housekeeping.clean(now_s=NOW_S))
    wholly(site.housekeeping.free_early(now_s=NOW_S))
    assert site.results_left() == {"job-owed"}
    assert set(site.jobs.kept) == {"job-owed"}
    told = dict(events)["results_undelivered"]
    assert (told["peer"], told["instances"], told["bytes"]) == ("pacs", 1, 6)


def test_a_busy_node_is_cleaned_up_but_for_what_is_arriving(site: Site) -> None:
    for uid in ("arriving", "old"):
        site.settled(uid, JobState.DONE, hours_ago=100)
    site.arriving.uids = {"arriving"}
    wholly(site.housekeeping.clean(now_s=NOW_S))
    assert site.series_left() == {"arriving"}


def test_when_the_disk_fills_what_was_delivered_goes_the_oldest_first(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.settled("oldest", JobState.DONE, hours_ago=4)
    site.settled("old", JobState.REJECTED, hours_ago=3)
    site.settled("failed", JobState.FAILED, hours_ago=5)
    site.settled("young", JobState.DONE, hours_ago=0.1)

    def free_bytes(_housekeeping: Housekeeping) -> int:
        return 10 * GIB if "old" not in site.series_left() else 9 * GIB

    # Twice `min_free_gb` is enough.
    monkeypatch.setattr(Housekeeping, "_free_bytes", free_bytes)
    wholly(site.housekeeping.free_early(now_s=NOW_S))
    assert site.series_left() == {"failed", "young"}
    assert len(site.results_left()) == 4
    wholly(site.housekeeping.free_early(now_s=NOW_S))
    assert site.series_left() == {"failed", "young"}


def test_who_has_just_taken_over_receives_first_and_cleans_up_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, first_at_s=600.0)
    cleaned: list[float] = []

    def clean(*, now_s: float) -> Iterator[None]:
        cleaned.append(now_s)
        yield

    monkeypatch.setattr(site.housekeeping, "clean", clean)
    monkeypatch.setattr(site.housekeeping, "_has_enough", lambda: True)
    counts = []
    for now_s in (599.0, 600.0, 601.0):
        site.housekeeping.turn(now_s)
        counts.append(len(cleaned))
    assert counts == [0, 1, 1]


def test_what_becomes_needed_while_it_is_cleaned_up_stays(site: Site) -> None:
    """A turn of the supervisor ends between two steps, and an operator re-runs."""
    for number in range(45):
        site.settled(f"{number:02}", JobState.DONE, hours_ago=200 - number)
    steps = site.housekeeping.clean(now_s=NOW_S)
    while len(site.series_left()) == 45:
        next(steps)
    left = site.series_left()
    assert 0 < len(left) < 45, "it does all in one step"
    again = max(left)
    site.jobs.rows.append(
        replace(site.jobs.rows[int(again)], id="again", settled_at_s=None)
    )
    wholly(steps)
    assert site.series_left() == {again}


def test_a_turn_ends_after_a_moment_and_the_next_one_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.node.housekeeping._MOMENT_S", 0.0)
    monkeypatch.setattr(site.housekeeping, "_has_enough", lambda: True)
    monkeypatch.setattr("time.time", lambda: NOW_S)
    site.settled("old mr", JobState.DONE, hours_ago=73)
    turns = 0
    while site.housekeeping.turn(1.0):
        turns += 1
        assert turns < 100
    assert turns > 3
    assert site.series_left() == set()
    assert not site.housekeeping.turn(3600.0)
    assert site.housekeeping.turn(3601.0)


def test_the_disk_is_freed_before_what_is_merely_old(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.node.housekeeping._MOMENT_S", 0.0)
    done: list[str] = []

    def noted(name: str) -> Iterator[None]:
        for _ in range(2):
            done.append(name)
            yield

    monkeypatch.setattr(site.housekeeping, "clean", lambda *, now_s: noted("clean"))
    monkeypatch.setattr(site.housekeeping, "free_early", lambda *, now_s: noted("free"))
    is_short = False
    monkeypatch.setattr(site.housekeeping, "_has_enough", lambda: not is_short)
    site.housekeeping.turn(0.0)
    is_short = True
    for now_s in (10.0, 11.0, 12.0, 13.0):
        site.housekeeping.turn(now_s)
    assert done == ["clean", "free", "free", "clean"]


def test_what_a_killed_process_was_writing_goes_and_what_is_being_written_stays(
    site: Site,
) -> None:
    tmp, audit = site.layout.tmp, site.layout.audit
    torn = [tmp / "17-1", audit / "1-17-1.partial"]
    waiting = audit / "1-17-2.msg"
    growing = [tmp / "18-1", audit / "2-18-1.partial"]
    for path in (*torn, waiting, *growing):
        path.write_bytes(b"half")
    long_ago_s = NOW_S - 2 * HOUR_S
    for path in (*torn, waiting):
        os.utime(path, (long_ago_s, long_ago_s))
    for path in growing:
        os.utime(path, (NOW_S - 60, NOW_S - 60))
    wholly(site.housekeeping.clean(now_s=NOW_S))
    assert not any(path.exists() for path in torn)
    assert all(path.exists() for path in (waiting, *growing))


def test_torn_files_are_the_first_to_go_when_the_disk_fills(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = site.layout.tmp / "17-1"
    torn.write_bytes(b"half")
    os.utime(torn, (0, 0))
    site.settled("delivered", JobState.DONE, hours_ago=24)
    free = 1 * GIB

    def disk_usage(_folder: Path) -> Any:
        return SimpleNamespace(free=free if torn.exists() else 20 * GIB)

    monkeypatch.setattr("dicom_node.node.housekeeping.shutil.disk_usage", disk_usage)
    wholly(site.housekeeping.free_early(now_s=NOW_S))
    assert not torn.exists()
    assert site.series_left() == {"delivered"}

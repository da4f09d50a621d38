"""Jobs as an operator sees them, read without DBOS and in bounded number."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import sqlalchemy as sa

from dicom_node.errors import JobNotFoundError
from dicom_node.jobs.changed_parts import ChangedParts, Part
from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.job_filter import JobFilter
from dicom_node.jobs.job_state import (
    job_made_by,
    job_of,
    job_row,
    last_attempt,
    latest_attempts,
    order_of,
    state_and_reason,
    triage_row,
)
from dicom_node.jobs.triage_order import order_id, series_key
from dicom_node.jobs.workflow_names import DELIVERY, JOB, TRIAGE
from dicom_node.jobs.workflow_table import (
    MS,
    STATUS,
    JobDatabase,
    Step,
    Workflow,
    begins_with,
    due_times,
    parts_of,
    steps,
    with_inputs,
    workflows,
)
from dicom_node.records import JobRow, JobState, ReceivedSeries
from dicom_node.spool_layout import REPORT

_STEPS = frozenset({"triage", "analyse", "encode", "send", "prove"})
_MOST_REPORT_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs, the latest first.

    Parameters
    ----------
    before, more
        How many there are that were accepted later, and how many earlier.
    """

    rows: tuple[JobRow, ...]
    before: int
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A step on the way of one series.

    Parameters
    ----------
    name
        `triage`, `analyse`, `encode`, `send` or `prove`.
    peer, attempt
        Of `send` and `prove`; else empty and 0.
    started_s, ended_s
        POSIX times.
    verdict, code, text
        How it ended, and why.
    stored
        How many instances the peer holds after `send`, or has proven after `prove`.
    """

    name: str
    started_s: float
    ended_s: float
    verdict: str
    code: str = ""
    text: str = ""
    peer: str = ""
    attempt: int = 0
    stored: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStory:
    """One series from its arrival until its results are stored.

    Parameters
    ----------
    first_s, last_s
        POSIX times at which its first and its last instance arrived.
    completion
        The evidence by which it was called complete.
    queued_s
        When its triage was queued; None if that is forgotten.
    first_file
        Of one of its instances.
    due
        Peer, and the POSIX time of the next attempt to deliver that waits for its time.
    """

    row: JobRow
    first_s: float
    last_s: float
    completion: str
    queued_s: float | None
    first_file: Path | None
    stages: tuple[Stage, ...]
    due: tuple[tuple[str, float], ...] = ()


class JobReader(JobDatabase):
    """Reads jobs for the page; whoever keeps it reads again only what has changed."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self._parts: ChangedParts[Sequence[_Seen]] = ChangedParts(_seen)
        self._reading = Lock()

    def page(self, wanted: JobFilter, *, most: int, number: int = 1) -> JobPage:
        """Return the jobs accepted last that pass a filter.

        A record that cannot be read is left out.

        Parameters
        ----------
        number
            From 1: those that come after so many pages less one of `most` jobs.

        Raises
        ------
        JobDatabaseError
            If the database cannot be read.
        """
        with self.opened() as connection:
            with self._reading:
                found = [one for one in self._all(connection) if _may_pass(wanted, one)]
            found.sort(key=lambda one: one.created_at, reverse=True)
            before = (number - 1) * most
            ids = [one.workflow_id for one in found[before : before + most]]
            return JobPage(
                rows=tuple(wanted.of(_rows(connection, ids))),
                before=min(before, len(found)),
                more=max(len(found) - before - len(ids), 0),
            )

    def _all(self, connection: sa.Connection) -> Iterator[_Seen]:
        """Yield every job, and every triage that an operator has to see."""
        for _ in self._parts.refresh(connection):
            pass
        for _, triage in self._parts.shown(connection):
            yield _seen_triage(triage)
        for part in self._parts.made:
            yield from part

    def story(self, job_id: str) -> JobStory:
        """Return all that is known of one job.

        The id of a triage that has made a job stands for that job.

        Raises
        ------
        JobNotFoundError
            If there is none.
        JobDatabaseError
            If the database cannot be read.
        """
        with self.opened() as connection:
            found = _found(connection, job_id)
            if found is None:
                message = f"no job has the id {job_id}"
                raise JobNotFoundError(message)
            return _story(connection, found)


class _Seen(NamedTuple):
    """What is kept of a job or a triage to find it by."""

    created_at: int
    workflow_id: str
    state: JobState
    peers: frozenset[str]


def _seen(_connection: sa.Connection, part: Part) -> Sequence[_Seen]:
    found = [_seen_triage(triage) for triage in part.waiting]
    for job in part.jobs:
        with suppress(ValueError):  # an id that no version of ours has written
            latest = latest_attempts(part.attempts.get(job.workflow_id, ()))
            found.append(
                _Seen(
                    created_at=job.created_at,
                    workflow_id=job.workflow_id,
                    state=state_and_reason(job, latest)[0],
                    peers=frozenset(which.peer for which in latest),
                )
            )
    return found


def _seen_triage(triage: Workflow) -> _Seen:
    state, _ = state_and_reason(triage, {})
    return _Seen(
        created_at=triage.created_at,
        workflow_id=triage.workflow_id,
        state=JobState.WAITING if state is JobState.DONE else state,
        peers=frozenset(),
    )


def _may_pass(wanted: JobFilter, one: _Seen) -> bool:
    return (
        (not wanted.states or one.state.value in wanted.states)
        and (not wanted.peer or wanted.peer in one.peers)
        and (
            wanted.since_s is None
            # A job is enqueued after its series was accepted.
            or one.created_at / MS >= wanted.since_s
        )
    )


def _rows(connection: sa.Connection, ids: Sequence[str]) -> Iterator[JobRow]:
    """Yield what an operator sees of some jobs and triages, in their order."""
    whole: dict[str, Workflow] = {}
    attempts: dict[str, list[Workflow]] = defaultdict(list)
    for some in parts_of(ids):
        found = list(workflows(connection, STATUS.c.workflow_uuid.in_(some)))
        whole |= {one.workflow_id: one for one in with_inputs(connection, found)}
        of_these = [begins_with(connection, f"{job_id}:") for job_id in some]
        for one in workflows(connection, STATUS.c.name == DELIVERY, sa.or_(*of_these)):
            attempts[one.workflow_id.partition(":")[0]].append(one)
    for one in (whole[job_id] for job_id in ids if job_id in whole):
        with suppress(ValueError, TypeError, LookupError):
            if one.name == TRIAGE:
                yield triage_row(one)
            else:
                yield job_row(one, attempts[one.workflow_id])


def _found(connection: sa.Connection, job_id: str) -> Workflow | None:
    """Return the job of an id, or the last attempt of the triage of one."""
    column = STATUS.c.workflow_uuid
    found = list(
        workflows(
            connection,
            STATUS.c.name.in_((TRIAGE, JOB)),
            sa.or_(column == job_id, column.startswith(f"{job_id}-", autoescape=True)),
        )
    )
    found = [one for one in found if order_id(one.workflow_id) == job_id]
    if not found:
        return None
    one = last_attempt(found)
    made = job_made_by(one)
    (whole,) = with_inputs(connection, [one])
    return (_found(connection, made) if made else None) or whole


def _story(connection: sa.Connection, found: Workflow) -> JobStory:
    attempts: list[Workflow] = []
    due: dict[str, float] = {}
    if found.name == TRIAGE:
        row, series = triage_row(found), order_of(found).series
    else:
        prefix = f"{found.workflow_id}:"
        attempts = list(
            workflows(
                connection,
                STATUS.c.name == DELIVERY,
                begins_with(connection, prefix),
            )
        )
        due = due_times(connection, begins_with(connection, prefix))
        row, series = job_row(found, attempts), job_of(found).series
    triages = _triages_of(connection, found, series)
    ids = [one.workflow_id for one in (*triages, found, *attempts)]
    return JobStory(
        row=row,
        **_arrival(series),
        completion=series.completion.value,
        queued_s=min((one.created_at for one in triages), default=0) / MS or None,
        first_file=next((one.path for one in series.instances), None),
        stages=tuple(map(_stage, _ours(steps(connection, list(dict.fromkeys(ids)))))),
        due=tuple((DeliveryId.parse(id_).peer, at_s) for id_, at_s in due.items()),
    )


def _arrival(series: ReceivedSeries) -> dict[str, float]:
    times = [one.received_at_s for one in series.instances]
    return {"first_s": min(times, default=0.0), "last_s": max(times, default=0.0)}


def _triages_of(
    connection: sa.Connection, found: Workflow, series: ReceivedSeries
) -> list[Workflow]:
    """Return every attempt of the triages that named a job, or have to."""
    of_series = list(
        workflows(
            connection,
            STATUS.c.name == TRIAGE,
            STATUS.c.authenticated_user == series_key(*_uids(series)),
        )
    )
    if found.name == TRIAGE:
        orders = {order_id(found.workflow_id)}
    else:
        orders = {
            order_id(one.workflow_id)
            for one in of_series
            if job_made_by(one) == found.workflow_id
        }
    return [one for one in of_series if order_id(one.workflow_id) in orders]


def _uids(series: ReceivedSeries) -> tuple[str, str]:
    return series.study_uid, series.series_uid


def _ours(found: Iterable[Step]) -> Iterator[Step]:
    return (one for one in found if one.name in _STEPS and one.output is not None)


def _stage(step: Step) -> Stage:
    output = step.output or {}
    is_to_peer = step.name in {"send", "prove"}
    which = DeliveryId.parse(step.workflow_id) if is_to_peer else None
    held = output.get("proven" if step.name == "prove" else "stored")
    return Stage(
        name=step.name,
        started_s=step.started_s,
        ended_s=step.ended_s,
        verdict=str(output["verdict"]),
        code=str(output["code"]),
        text=str(output["text"]),
        peer="" if which is None else which.peer,
        attempt=0 if which is None else which.number,
        stored=len(held or ()),
    )


def warnings_of(folder: Path) -> tuple[tuple[str, str], ...]:
    """Return code and text of each warning in the report of a job's results.

    Parameters
    ----------
    folder
        The job's outbox; none are returned where there is no report, or none that can
        be read.
    """
    try:
        with (folder / REPORT).open("rb") as file:
            report: Any = json.loads(file.read(_MOST_REPORT_BYTES))
        listed = report["warnings"]
        return tuple((str(one["code"]), str(one["text"])) for one in listed)
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return ()

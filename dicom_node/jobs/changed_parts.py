"""What the job database holds, of which only that is read again which has changed.

A part of the database is all workflows whose ids begin alike: a job and its deliveries,
the attempts of a triage. One question counts every part; a part of which the count is
another is read. So a look costs what has changed since the last one, and a microsecond
a workflow, however many are settled. No clock is compared, and what was deleted is
seen as what was changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import sqlalchemy as sa

from dicom_node.jobs.job_state import ACTIVE, state_and_reason
from dicom_node.jobs.triage_order import attempt_of, order_id
from dicom_node.jobs.workflow_names import DELIVERY, JOB, TRIAGE
from dicom_node.jobs.workflow_table import (
    STATUS,
    Workflow,
    begins_with,
    inputs,
    parts_of,
    workflows,
)
from dicom_node.records import JobState

_T = TypeVar("_T")

_PART_CHARS = 3
"""Of ids that are hexadecimal digits, these make 4,096 parts. No id is shorter."""
_ENDED_BADLY = frozenset({JobState.FAILED, JobState.CANCELLED})
_Mark = tuple[tuple[str, int, int, int], ...]


@dataclass(slots=True)
class Part:
    """Workflows of one part, without their inputs.

    Parameters
    ----------
    waiting, bad
        Last attempts of triages that have made no job: those that go on, and those that
        ended badly.
    attempts
        Attempts to deliver, by the id of their job.
    """

    waiting: list[Workflow] = field(default_factory=list)
    bad: list[Workflow] = field(default_factory=list)
    jobs: list[Workflow] = field(default_factory=list)
    attempts: Mapping[str, Sequence[Workflow]] = field(default_factory=dict)


class ChangedParts(Generic[_T]):
    """What was made of each part, the last time that it had changed.

    Parameters
    ----------
    make
        Makes of a part what is kept of it.
    parts_a_query
        How many are read at once.
    """

    def __init__(
        self, make: Callable[[sa.Connection, Part], _T], *, parts_a_query: int = 200
    ) -> None:
        self._make = make
        self._parts_a_query = parts_a_query
        self._marks: dict[str, _Mark] = {}
        self._made: dict[str, _T] = {}
        self._bad: dict[str, Sequence[Workflow]] = {}

    def refresh(self, connection: sa.Connection) -> Iterator[None]:
        """Read what has changed, and yield after each question."""
        marks = dict(_marks(connection))
        for gone in self._marks.keys() - marks.keys():
            self._forget(gone)
        changed = [name for name in marks if marks[name] != self._marks.get(name)]
        yield
        for names in parts_of(changed, self._parts_a_query):
            found = _read(connection, names)
            for name in names:
                self._forget(name)
                part = found.get(name)
                if part is not None:
                    self._made[name] = self._make(connection, part)
                    if part.bad:
                        self._bad[name] = part.bad
                # What has changed since it was counted will be counted otherwise.
                self._marks[name] = marks[name]
            yield

    @property
    def made(self) -> Collection[_T]:
        """What was made of every part."""
        return self._made.values()

    def shown(self, connection: sa.Connection) -> Iterator[tuple[str, Workflow]]:
        """Yield each triage that ended badly and is the last of its content.

        Yields
        ------
        str
            Digest of the content.
        Workflow
            The triage.
        """
        bad = {one.workflow_id for found in self._bad.values() for one in found}
        users = {one.user for found in self._bad.values() for one in found}
        last: dict[str, Workflow] = {}
        for digest, triage in _last_of_orders(connection, users):
            last[digest] = max(
                triage, last.get(digest, triage), key=lambda one: one.created_at
            )
        yield from (one for one in last.items() if one[1].workflow_id in bad)

    def _forget(self, name: str) -> None:
        for kept in (self._marks, self._made, self._bad):
            kept.pop(name, None)


def _marks(connection: sa.Connection) -> Iterator[tuple[str, _Mark]]:
    """Yield for each part what is another as soon as one of its workflows changes."""
    column = STATUS.c
    name = sa.func.substr(column.workflow_uuid, 1, _PART_CHARS)
    updated, created = (
        sa.cast(sa.func.sum(sa.func.coalesce(when, 0)), sa.BigInteger)
        for when in (column.updated_at, column.created_at)
    )
    query = (
        sa.select(name, column.status, sa.func.count(), updated, created)
        .where(column.name.in_((TRIAGE, JOB, DELIVERY)))
        .group_by(name, column.status)
    )
    found: dict[str, list[tuple[str, int, int, int]]] = defaultdict(list)
    for part, *mark in connection.execute(query):
        found[part].append(tuple(mark))
    for part, counted in found.items():
        yield part, tuple(sorted(counted))


def _read(connection: sa.Connection, names: Sequence[str]) -> Mapping[str, Part]:
    """Read some parts; one that is gone is not there."""
    rows: dict[str, list[Workflow]] = defaultdict(list)
    begin = (begins_with(connection, name) for name in names)
    for row in workflows(connection, sa.or_(*begin)):
        rows[row.workflow_id[:_PART_CHARS]].append(row)
    return {name: _part(rows[name]) for name in names if name in rows}


def _part(rows: Sequence[Workflow]) -> Part:
    part = Part()
    attempts: dict[str, list[Workflow]] = defaultdict(list)
    triages: list[Workflow] = []
    for row in rows:
        if row.name == TRIAGE:
            triages.append(row)
        elif row.name == JOB:
            part.jobs.append(row)
        else:
            attempts[row.workflow_id.partition(":")[0]].append(row)
    part.attempts = attempts
    for triage in _last_attempts(triages):
        if not triage.has_made_a_job:
            (part.waiting if _goes_on(triage) else part.bad).append(triage)
    return part


def _last_attempts(triages: Sequence[Workflow]) -> Collection[Workflow]:
    """Return the last attempt of each order."""
    # As `job_state.last_attempt`: by number, whatever the clock did in between.
    ordered = sorted(triages, key=lambda one: attempt_of(one.workflow_id))
    return {order_id(one.workflow_id): one for one in ordered}.values()


def _goes_on(triage: Workflow) -> bool:
    if triage.status in ACTIVE:
        return True
    return state_and_reason(triage, {})[0] not in _ENDED_BADLY


def _last_of_orders(
    connection: sa.Connection, users: Collection[str]
) -> Iterator[tuple[str, Workflow]]:
    """Yield the last attempt of each order of some series, by digest of the content."""
    for part in parts_of(sorted(users)):
        is_one = STATUS.c.name == TRIAGE, STATUS.c.authenticated_user.in_(part)
        digests: dict[str, str] = {}
        for workflow_id, record in inputs(connection, *is_one):
            with suppress(TypeError, LookupError):
                digests[order_id(workflow_id)] = str(record["series"]["digest"])
        for triage in _last_attempts(list(workflows(connection, *is_one))):
            with suppress(LookupError):
                yield digests[order_id(triage.workflow_id)], triage

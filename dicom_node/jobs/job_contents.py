"""Where the jobs of a content stand, and which results peers lack: for retention."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from dicom_node.jobs.changed_parts import ChangedParts, Part
from dicom_node.jobs.job_state import (
    delivery_words,
    lacking,
    latest_attempts,
    state_and_reason,
)
from dicom_node.jobs.workflow_table import (
    STATUS,
    JobDatabase,
    Workflow,
    inputs,
    parts_of,
)
from dicom_node.records import JobState

_PARTS_A_QUERY = 20
"""Of 4,096, each with the inputs of its jobs: whoever asks does other things, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """What retention has to know of one part.

    Parameters
    ----------
    states
        States of jobs by the digest of their series.
    lacking
        Peers that lack results which nobody tries to deliver any more, by job.
    """

    states: Mapping[str, Collection[JobState]]
    lacking: Mapping[str, Sequence[str]]


class JobContents(JobDatabase):
    """What retention has to know of all jobs, read again where they have changed."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self._parts: ChangedParts[_Contents] = ChangedParts(
            _contents, parts_a_query=_PARTS_A_QUERY
        )
        self._bad: Mapping[str, JobState] = {}

    def refresh(self) -> Iterator[None]:
        """Read what has changed, and yield after each question.

        Raises
        ------
        JobDatabaseError
            If the database cannot be read, or does not hold what is expected.
        """
        with self.opened() as connection:
            for _ in self._parts.refresh(connection):
                connection.rollback()  # or it would rest in a transaction
                yield
            self._bad = {
                digest: state_and_reason(triage, {})[0]
                for digest, triage in self._parts.shown(connection)
            }

    def states_of(self, digest: str) -> frozenset[JobState]:
        """Return where the jobs of a content stand, as far as read."""
        found = {
            state for part in self._parts.made for state in part.states.get(digest, ())
        }
        return frozenset(found | {self._bad[digest]} if digest in self._bad else found)

    def lacking(self) -> Mapping[str, Sequence[str]]:
        """Return the jobs that have given up to deliver, each with those who lack."""
        found: dict[str, Sequence[str]] = {}
        for part in self._parts.made:
            found.update(part.lacking)
        return found


def _contents(connection: sa.Connection, part: Part) -> _Contents:
    states: dict[str, set[JobState]] = defaultdict(set)
    lacks: dict[str, Sequence[str]] = {}
    digests = _digests(connection, [*part.waiting, *part.jobs])
    for triage in part.waiting:
        if triage.workflow_id in digests:
            states[digests[triage.workflow_id]].add(JobState.WAITING)
    for job in part.jobs:
        with suppress(ValueError, LookupError):  # no version of ours has written it
            latest = latest_attempts(part.attempts.get(job.workflow_id, ()))
            state, _ = state_and_reason(job, latest)
            states[digests[job.workflow_id]].add(state)
            words = delivery_words(latest)
            peers = lacking(state, {peer: word for peer, (word, _) in words.items()})
            if peers:
                lacks[job.workflow_id] = peers
    return _Contents(
        states={digest: tuple(found) for digest, found in states.items()}, lacking=lacks
    )


def _digests(connection: sa.Connection, found: Sequence[Workflow]) -> Mapping[str, str]:
    """Return the digests of the series of workflows, by their ids."""
    digests: dict[str, str] = {}
    for ids in parts_of([one.workflow_id for one in found]):
        for workflow_id, record in inputs(connection, STATUS.c.workflow_uuid.in_(ids)):
            with suppress(TypeError, LookupError):
                digests[workflow_id] = str(record["series"]["digest"])
    return digests

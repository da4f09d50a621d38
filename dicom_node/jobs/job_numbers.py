"""How many jobs stand where, read from the job database without DBOS.

DBOS costs 22 MB of memory, and reading each job as an operator sees it costs a
millisecond. What is counted here needs neither the series of a job nor DBOS: names,
states and outcomes only.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.job_state import (
    ACTIVE,
    delivery_words,
    is_owed,
    latest_attempts,
    state_and_reason,
)
from dicom_node.jobs.triage_order import attempt_of, order_id
from dicom_node.jobs.workflow_names import DELIVERY, JOB, TRIAGE
from dicom_node.records import JobState

_UNSETTLED = frozenset({JobState.WAITING, JobState.RUNNING, JobState.DELIVERING})
_ENDED_BADLY = frozenset({JobState.FAILED, JobState.CANCELLED})
_MS = 1000.0
_SQLITE = "sqlite"
_LOCK_WAIT_S = 5.0
_POSTGRESQL_WAITS = {"connect_timeout": 5, "tcp_user_timeout": 10000}
"""In s and ms (libpq 34.1.2)."""
_OUTCOME_KEYS = {"verdict", "code", "text"}
_USERS_A_QUERY = 200
"""Each is a term of the condition."""

_METADATA = sa.MetaData()
_STATUS = sa.Table(
    "workflow_status",
    _METADATA,
    sa.Column("workflow_uuid", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("authenticated_user", sa.Text),
    sa.Column("created_at", sa.BigInteger),
    sa.Column("output", sa.Text),
    sa.Column("inputs", sa.Text),
    sa.Column("attributes", sa.JSON),
)
_OUTPUT = sa.Table(
    "workflow_output",
    _METADATA,
    sa.Column("workflow_uuid", sa.Text),
    sa.Column("output", sa.Text),
)
_INPUT = sa.Table(
    "workflow_input",
    _METADATA,
    sa.Column("workflow_uuid", sa.Text),
    sa.Column("inputs", sa.Text),
)
"""Tables of DBOS 3.4; a test compares what is read here with `JobQueue.all_rows`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNumbers:
    """What the job database holds, in numbers.

    Parameters
    ----------
    states
        Jobs by state and code of the reason; series of which triage has made no job
        are among them, as in `jobs list`.
    deliveries
        Deliveries by peer and by the state of their last attempt.
    oldest_unsettled_s, oldest_undelivered_s
        POSIX time at which the oldest job was enqueued that is not settled, or of whose
        results a peer lacks some; None if there is none.
    """

    states: Mapping[tuple[str, str], int]
    deliveries: Mapping[tuple[str, str], int]
    oldest_unsettled_s: float | None
    oldest_undelivered_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workflow:
    """A row of `workflow_status`, as `job_state.WorkflowEnd` wants it."""

    workflow_id: str
    name: str
    status: str
    user: str
    created_at: int
    output: Mapping[str, Any] | None
    attributes: Mapping[str, Any] | None
    error: object = None

    @property
    def has_made_a_job(self) -> bool:
        if self.status != "SUCCESS" or self.output is None:
            return False
        return bool(self.output.get("job_id"))


class JobNumbersReader:
    """Reads `JobNumbers`; changes nothing, and waits for no lock for long.

    Parameters
    ----------
    database_url
        As in `Settings.database_url`.
    """

    def __init__(self, database_url: str) -> None:
        url = sa.make_url(database_url)
        is_sqlite = url.get_backend_name() == _SQLITE
        waits = {"timeout": _LOCK_WAIT_S} if is_sqlite else _POSTGRESQL_WAITS
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        if is_sqlite:
            # Read-only: a database that is not there is not made.
            query = {"mode": "ro", "uri": "true"}
            url = url.set(database=f"file:{url.database}", query=query)
        self._engine = sa.create_engine(
            url, connect_args=waits, poolclass=sa.pool.NullPool
        )
        schema = None if is_sqlite else "dbos"
        self._schemas: dict[str | None, str | None] = {None: schema}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.dispose()

    def read(self) -> JobNumbers:
        """Read the numbers of now.

        Raises
        ------
        JobDatabaseError
            If the database cannot be read, or does not hold what is expected.
        """
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(schema_translate_map=self._schemas)
                return _numbers(connection)
        except (sa.exc.SQLAlchemyError, ValueError, TypeError, KeyError) as error:
            message = f"the job database failed: {type(error).__name__}"
            raise JobDatabaseError(message) from error


def _numbers(connection: sa.Connection) -> JobNumbers:
    triages: list[_Workflow] = []
    jobs: list[_Workflow] = []
    attempts: dict[str, list[_Workflow]] = defaultdict(list)
    for row in _workflows(connection):
        if row.name == TRIAGE:
            triages.append(row)
        elif row.name == JOB:
            jobs.append(row)
        else:
            attempts[row.workflow_id.partition(":")[0]].append(row)

    count = _Count()
    for triage in _visible(triages, connection):
        count.add_triage(triage)
    for job in jobs:
        with suppress(ValueError):  # an id that no version of ours has written
            count.add_job(job, attempts[job.workflow_id])
    return count.numbers()


class _Count:
    def __init__(self) -> None:
        self._states: Counter[tuple[str, str]] = Counter()
        self._deliveries: Counter[tuple[str, str]] = Counter()
        self._unsettled_ms: list[int] = []
        self._undelivered_ms: list[int] = []

    def add_triage(self, triage: _Workflow) -> None:
        state, reason = state_and_reason(triage, {})
        if state is JobState.DONE:
            # It had to wait, and the next attempt is being enqueued.
            state = JobState.WAITING
        self._add(state, _code(reason), triage.created_at)

    def add_job(self, job: _Workflow, deliveries: Iterable[_Workflow]) -> None:
        attempts = latest_attempts(deliveries)
        state, _ = state_and_reason(job, attempts)
        _, own_reason = state_and_reason(job, {})
        words = delivery_words(attempts)
        failed = [text for word, text in words.values() if word == "failed"]
        reason = "" if state is JobState.CANCELLED else next(iter(failed), "")
        self._add(state, _code(own_reason or reason), job.created_at)
        for peer, (word, _) in words.items():
            self._deliveries[peer, word] += 1
        if any(is_owed(state, word) for word, _ in words.values()):
            self._undelivered_ms.append(job.created_at)

    def _add(self, state: JobState, code: str, created_at: int) -> None:
        self._states[state.value, code] += 1
        if state in _UNSETTLED:
            self._unsettled_ms.append(created_at)

    def numbers(self) -> JobNumbers:
        return JobNumbers(
            states=dict(self._states),
            deliveries=dict(self._deliveries),
            oldest_unsettled_s=_oldest_s(self._unsettled_ms),
            oldest_undelivered_s=_oldest_s(self._undelivered_ms),
        )


def _code(reason: str) -> str:
    return reason.partition(":")[0]


def _oldest_s(created_ms: Sequence[int]) -> float | None:
    return min(created_ms) / _MS if created_ms else None


def _workflows(connection: sa.Connection) -> Iterator[_Workflow]:
    status = _STATUS.c
    joined = _STATUS.outerjoin(_OUTPUT, status.workflow_uuid == _OUTPUT.c.workflow_uuid)
    query = (
        sa.select(
            status.workflow_uuid,
            status.name,
            status.status,
            status.authenticated_user,
            status.created_at,
            sa.func.coalesce(_OUTPUT.c.output, status.output).label("output"),
            status.attributes,
        )
        .select_from(joined)
        .where(status.name.in_((TRIAGE, JOB, DELIVERY)))
    )
    for row in connection.execute(query):
        yield _Workflow(
            workflow_id=row.workflow_uuid,
            name=row.name,
            status=row.status,
            user=row.authenticated_user or "",
            created_at=row.created_at or 0,
            output=_outcome(row.output),
            attributes=row.attributes,
        )


def _outcome(text: str | None) -> Mapping[str, Any] | None:
    """Return the record of an outcome; None if it is not one of ours."""
    try:
        outcome = json.loads(text or "null")
    except ValueError:
        return None
    if isinstance(outcome, dict) and outcome.keys() >= _OUTCOME_KEYS:
        return outcome
    return None


def _visible(
    triages: Sequence[_Workflow], connection: sa.Connection
) -> Iterator[_Workflow]:
    """Yield the triages that an operator sees: the last of each content without a job.

    Only those that have ended badly are compared by content, which their input tells:
    of a triage that waits, there is none after it.
    """
    latest: dict[str, _Workflow] = {}
    # As `job_state.last_attempt`: by number, whatever the clock did in between.
    for triage in sorted(triages, key=lambda one: attempt_of(one.workflow_id)):
        latest[order_id(triage.workflow_id)] = triage
    open_ = [one for one in latest.values() if not one.has_made_a_job]
    yield from (one for one in open_ if one.status in ACTIVE or _waits(one))
    bad = [one for one in open_ if one.status not in ACTIVE and not _waits(one)]
    if not bad:
        return
    digests = dict(_digests(connection, sorted({one.user for one in bad})))
    last: dict[str, _Workflow] = {}
    for order, triage in latest.items():
        if order in digests:
            content = digests[order]
            last[content] = max(
                triage, last.get(content, triage), key=lambda one: one.created_at
            )
    shown = {one.workflow_id for one in last.values()}
    yield from (one for one in bad if one.workflow_id in shown)


def _waits(triage: _Workflow) -> bool:
    return state_and_reason(triage, {})[0] not in _ENDED_BADLY


def _digests(
    connection: sa.Connection, users: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield order and digest of the content of each triage of some series."""
    status = _STATUS.c
    joined = _STATUS.outerjoin(_INPUT, status.workflow_uuid == _INPUT.c.workflow_uuid)
    for start in range(0, len(users), _USERS_A_QUERY):
        query = (
            sa.select(
                status.workflow_uuid,
                sa.func.coalesce(_INPUT.c.inputs, status.inputs).label("inputs"),
            )
            .select_from(joined)
            .where(
                status.name == TRIAGE,
                status.authenticated_user.in_(users[start : start + _USERS_A_QUERY]),
            )
        )
        for row in connection.execute(query):
            with suppress(ValueError, TypeError, LookupError):
                series = json.loads(row.inputs)["positionalArgs"][0]["series"]
                yield order_id(row.workflow_uuid), str(series["digest"])

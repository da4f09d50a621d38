"""The job database, read without DBOS: names, states and outcomes of workflows.

DBOS costs 22 MB of memory, and reads all of a workflow.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.database_url import with_driver
from dicom_node.jobs.job_state import ACTIVE, state_and_reason
from dicom_node.jobs.triage_order import attempt_of, order_id
from dicom_node.jobs.workflow_names import DELIVERY, JOB, TRIAGE
from dicom_node.records import JobState

MS = 1000.0
_ENDED_BADLY = frozenset({JobState.FAILED, JobState.CANCELLED})
_SQLITE = "sqlite"
_LOCK_WAIT_S = 5.0
_POSTGRESQL_WAITS = {"connect_timeout": 5, "tcp_user_timeout": 10000}
"""In s and ms (libpq 34.1.2)."""
_OUTCOME_KEYS = {"verdict", "code", "text"}
_TERMS_A_QUERY = 200
"""Each is a term of the condition."""

_METADATA = sa.MetaData()
STATUS = sa.Table(
    "workflow_status",
    _METADATA,
    sa.Column("workflow_uuid", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("authenticated_user", sa.Text),
    sa.Column("created_at", sa.BigInteger),
    sa.Column("updated_at", sa.BigInteger),
    sa.Column("executor_id", sa.Text),
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
_STEP = sa.Table(
    "operation_outputs",
    _METADATA,
    sa.Column("workflow_uuid", sa.Text),
    sa.Column("function_id", sa.Integer),
    sa.Column("function_name", sa.Text),
    sa.Column("output", sa.Text),
    sa.Column("started_at_epoch_ms", sa.BigInteger),
    sa.Column("completed_at_epoch_ms", sa.BigInteger),
)
"""Tables of DBOS 3.4; tests compare what is read here with what `JobQueue` tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow, as `job_state.WorkflowRecord` wants it.

    Parameters
    ----------
    created_at, updated_at
        POSIX time in ms.
    input
        With what it was enqueued; None where that was not read.
    """

    workflow_id: str
    name: str
    status: str
    user: str
    created_at: int
    updated_at: int
    output: Mapping[str, Any] | None
    attributes: Mapping[str, Any] | None
    error: object = None
    executor_id: str | None = None
    input: Mapping[str, Any] | None = None

    @property
    def has_made_a_job(self) -> bool:
        """Whether it is a triage that has named a job."""
        if self.status != "SUCCESS" or self.output is None:
            return False
        return bool(self.output.get("job_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a workflow that has ended.

    Parameters
    ----------
    output
        What it ended with, if that is an outcome of ours.
    """

    workflow_id: str
    name: str
    started_s: float
    ended_s: float
    output: Mapping[str, Any] | None


class JobDatabase:
    """Reads the job database; changes nothing, and waits for no lock for long.

    Parameters
    ----------
    database_url
        As in `Settings.database_url`.
    """

    def __init__(self, database_url: str) -> None:
        url = with_driver(database_url)
        is_sqlite = url.get_backend_name() == _SQLITE
        waits = {"timeout": _LOCK_WAIT_S} if is_sqlite else _POSTGRESQL_WAITS
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

    @contextmanager
    def opened(self) -> Iterator[sa.Connection]:
        """Open it for some questions.

        Raises
        ------
        JobDatabaseError
            If the database cannot be read, or does not hold what is expected.
        """
        try:
            with self._engine.connect() as plain:
                yield plain.execution_options(schema_translate_map=self._schemas)
        except (sa.exc.SQLAlchemyError, ValueError, TypeError, LookupError) as error:
            message = f"the job database failed: {type(error).__name__}"
            raise JobDatabaseError(message) from error


def workflows(
    connection: sa.Connection, *only: sa.ColumnElement[bool]
) -> Iterator[Workflow]:
    """Yield triages, jobs and attempts to deliver, without their inputs.

    Parameters
    ----------
    only
        Conditions on `STATUS`.
    """
    status = STATUS.c
    joined = STATUS.outerjoin(_OUTPUT, status.workflow_uuid == _OUTPUT.c.workflow_uuid)
    query = (
        sa.select(
            status.workflow_uuid,
            status.name,
            status.status,
            status.authenticated_user,
            status.created_at,
            status.updated_at,
            status.executor_id,
            sa.func.coalesce(_OUTPUT.c.output, status.output).label("output"),
            status.attributes,
        )
        .select_from(joined)
        .where(status.name.in_((TRIAGE, JOB, DELIVERY)), *only)
    )
    for row in connection.execute(query):
        yield Workflow(
            workflow_id=row.workflow_uuid,
            name=row.name,
            status=row.status,
            user=row.authenticated_user or "",
            created_at=row.created_at or 0,
            updated_at=row.updated_at or 0,
            output=_outcome(row.output),
            attributes=row.attributes,
            executor_id=row.executor_id,
        )


def with_inputs(
    connection: sa.Connection, found: Sequence[Workflow]
) -> Iterator[Workflow]:
    """Yield workflows with what they were enqueued with, in any order."""
    status = STATUS.c
    by_id = {one.workflow_id: one for one in found}
    for ids in _parts(sorted(by_id)):
        for workflow_id, record in _inputs(connection, status.workflow_uuid.in_(ids)):
            yield replace(by_id[workflow_id], input={"args": [record]})


def steps(connection: sa.Connection, workflow_ids: Sequence[str]) -> list[Step]:
    """Return the steps of workflows that have ended, in the order of their start."""
    column = _STEP.c
    found: list[Step] = []
    for ids in _parts(workflow_ids):
        query = sa.select(_STEP).where(
            column.workflow_uuid.in_(ids), column.completed_at_epoch_ms.is_not(None)
        )
        found.extend(
            Step(
                workflow_id=row.workflow_uuid,
                name=row.function_name,
                started_s=(row.started_at_epoch_ms or row.completed_at_epoch_ms) / MS,
                ended_s=row.completed_at_epoch_ms / MS,
                output=_outcome(row.output),
            )
            for row in connection.execute(query)
        )
    return sorted(found, key=lambda step: step.started_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorkflows:
    """All that the database holds, by what it is.

    Parameters
    ----------
    triages
        Those that an operator sees, as from `visible`.
    attempts
        Attempts to deliver, by the id of their job.
    """

    triages: tuple[Workflow, ...]
    jobs: tuple[Workflow, ...]
    attempts: Mapping[str, Sequence[Workflow]]


def known_workflows(connection: sa.Connection) -> KnownWorkflows:
    """Return all triages that are seen, jobs and attempts, without their inputs."""
    triages: list[Workflow] = []
    jobs: list[Workflow] = []
    attempts: dict[str, list[Workflow]] = defaultdict(list)
    for row in workflows(connection):
        if row.name == TRIAGE:
            triages.append(row)
        elif row.name == JOB:
            jobs.append(row)
        else:
            attempts[row.workflow_id.partition(":")[0]].append(row)
    return KnownWorkflows(
        triages=tuple(visible(triages, connection)), jobs=tuple(jobs), attempts=attempts
    )


def visible(
    triages: Sequence[Workflow], connection: sa.Connection
) -> Iterator[Workflow]:
    """Yield the triages that an operator sees: the last of each content without a job.

    Only those that have ended badly are compared by content, which their input tells:
    of a triage that waits, there is none after it.
    """
    latest: dict[str, Workflow] = {}
    # As `job_state.last_attempt`: by number, whatever the clock did in between.
    for triage in sorted(triages, key=lambda one: attempt_of(one.workflow_id)):
        latest[order_id(triage.workflow_id)] = triage
    open_ = [one for one in latest.values() if not one.has_made_a_job]
    yield from (one for one in open_ if one.status in ACTIVE or _waits(one))
    bad = [one for one in open_ if one.status not in ACTIVE and not _waits(one)]
    if not bad:
        return
    digests = dict(_digests(connection, {one.user for one in bad}))
    last: dict[str, Workflow] = {}
    for order, triage in latest.items():
        if order in digests:
            content = digests[order]
            last[content] = max(
                triage, last.get(content, triage), key=lambda one: one.created_at
            )
    shown = {one.workflow_id for one in last.values()}
    yield from (one for one in bad if one.workflow_id in shown)


def _waits(triage: Workflow) -> bool:
    return state_and_reason(triage, {})[0] not in _ENDED_BADLY


def _digests(
    connection: sa.Connection, users: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield order and digest of the content of each triage of some series."""
    status = STATUS.c
    for part in _parts(sorted(users)):
        is_one = status.name == TRIAGE, status.authenticated_user.in_(part)
        for workflow_id, record in _inputs(connection, *is_one):
            with suppress(TypeError, LookupError):
                yield order_id(workflow_id), str(record["series"]["digest"])


def _inputs(
    connection: sa.Connection, *only: sa.ColumnElement[bool]
) -> Iterator[tuple[str, Any]]:
    """Yield ids of workflows and the records with which they were enqueued."""
    status = STATUS.c
    joined = STATUS.outerjoin(_INPUT, status.workflow_uuid == _INPUT.c.workflow_uuid)
    query = (
        sa.select(
            status.workflow_uuid,
            sa.func.coalesce(_INPUT.c.inputs, status.inputs).label("inputs"),
        )
        .select_from(joined)
        .where(*only)
    )
    for row in connection.execute(query):
        with suppress(ValueError, TypeError, LookupError):
            yield row.workflow_uuid, json.loads(row.inputs)["positionalArgs"][0]


def _outcome(text: str | None) -> Mapping[str, Any] | None:
    """Return the record of an outcome; None if it is not one of ours."""
    try:
        outcome = json.loads(text or "null")
    except ValueError:
        return None
    if isinstance(outcome, dict) and outcome.keys() >= _OUTCOME_KEYS:
        return outcome
    return None


def _parts(words: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(words), _TERMS_A_QUERY):
        yield words[start : start + _TERMS_A_QUERY]

"""The job database, read without DBOS: names, states and outcomes of workflows.

DBOS costs 22 MB of memory, and reads all of a workflow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import sqlalchemy as sa

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.database_reason import why
from dicom_node.jobs.database_url import with_driver
from dicom_node.jobs.workflow_names import DELIVERY, JOB, TRIAGE

MS = 1000.0
_SQLITE = "sqlite"
_LOCK_WAIT_S = 5.0
_POSTGRESQL_WAITS = {"connect_timeout": 5, "tcp_user_timeout": 10000}
"""In s and ms (libpq 34.1.2)."""
_OUTCOME_KEYS = {"verdict", "code", "text"}
_TERMS_A_QUERY = 200
"""Each is a term of the condition."""
_BEYOND = "\U0010ffff"
"""Comes after all that is written in an id."""

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
    sa.Column("delay_until_epoch_ms", sa.BigInteger),
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
        self._file = Path(url.database or "") if is_sqlite else None
        if is_sqlite:
            # Read-only: a database that is not there is not made.
            query = {"mode": "ro", "uri": "true"}
            url = url.set(database=f"file:{quote(url.database or '')}", query=query)
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
        if self._file is not None and not self._file.exists():
            message = "there is none: the node has never run with these settings"
            raise JobDatabaseError(message)
        try:
            with self._engine.connect() as plain:
                yield plain.execution_options(schema_translate_map=self._schemas)
        except (sa.exc.SQLAlchemyError, ValueError, TypeError, LookupError) as error:
            message = f"the job database failed: {why(error)}"
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
            # As text, for hardly a workflow has any.
            sa.cast(status.attributes, sa.Text),
        )
        .select_from(joined)
        .where(status.name.in_((TRIAGE, JOB, DELIVERY)), *only)
    )
    for row in connection.execute(query).all():
        id_, name, word, user, created, updated, executor, output, attributes = row
        yield Workflow(
            workflow_id=id_,
            name=name,
            status=word,
            user=user or "",
            created_at=created or 0,
            updated_at=updated or 0,
            output=_outcome(output),
            attributes=json.loads(attributes) if attributes else None,
            executor_id=executor,
        )


def with_inputs(
    connection: sa.Connection, found: Sequence[Workflow]
) -> Iterator[Workflow]:
    """Yield workflows with what they were enqueued with, in any order."""
    status = STATUS.c
    by_id = {one.workflow_id: one for one in found}
    for ids in parts_of(sorted(by_id)):
        for workflow_id, record in inputs(connection, status.workflow_uuid.in_(ids)):
            yield replace(by_id[workflow_id], input={"args": [record]})


def steps(connection: sa.Connection, workflow_ids: Sequence[str]) -> list[Step]:
    """Return the steps of workflows that have ended, in the order of their start."""
    column = _STEP.c
    found: list[Step] = []
    for ids in parts_of(workflow_ids):
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


def due_times(
    connection: sa.Connection, *only: sa.ColumnElement[bool]
) -> dict[str, float]:
    """Return the POSIX time until which each workflow that is put off is so, by id.

    Parameters
    ----------
    only
        Conditions on `STATUS`.
    """
    status = STATUS.c
    query = sa.select(status.workflow_uuid, status.delay_until_epoch_ms).where(
        status.status == "DELAYED", status.delay_until_epoch_ms.is_not(None), *only
    )
    return {row[0]: row[1] / MS for row in connection.execute(query)}


def begins_with(connection: sa.Connection, prefix: str) -> sa.ColumnElement[bool]:
    """Return the condition that the id of a workflow begins so, by an index."""
    column = STATUS.c.workflow_uuid
    if connection.dialect.name != _SQLITE:
        return column.startswith(prefix, autoescape=True)
    # SQLite compares ids byte by byte, and uses no index for LIKE.
    return sa.and_(column >= prefix, column < prefix + _BEYOND)


def inputs(
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


def parts_of(
    words: Sequence[str], most: int = _TERMS_A_QUERY
) -> Iterator[Sequence[str]]:
    """Yield words in parts, of which each makes the condition of one question."""
    for start in range(0, len(words), most):
        yield words[start : start + most]

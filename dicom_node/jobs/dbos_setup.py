"""How we use DBOS: names, one configuration, no network, no console of its own."""

from __future__ import annotations

import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

import sqlalchemy
from dbos import (
    DBOS,
    DBOSClient,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    error,
)

from dicom_node import log
from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.database_reason import why
from dicom_node.jobs.database_url import with_driver

APPLICATION = "lumbar-node"
APPLICATION_VERSION = "jobs-1"
"""Recovery takes up only workflows of its own version. It names the steps of our
workflows, not the package: a job accepted before an upgrade ends after it. Steps may be
added at the end of a workflow, and workflows beside it; whoever changes the order of
steps drains the node first."""

TRIAGES = "triages"
ANALYSES = "analyses"
REJECTIONS = "rejections"
"""Jobs that need no work; beside `analyses`, so that neither waits for the other."""
WAITING = "waiting"
"""Jobs for which the machine was short of something; beside `analyses`, so that they
hold no place there while they wait."""
DELIVERIES = "deliveries"
"""Partitioned by peer: one that is down or slow delays no other."""

POLL_S = 0.25
"""How long an enqueued workflow waits at most before a worker sees it."""
EAGER_POLL_S = 0.05
"""The same while a job is about to come; each look costs some 2 ms of a core."""
LAST_RESORT = 10_000
"""Starts after which DBOS gives a workflow up. Those are counted, too, that ended with
the whole node; only deaths of workers count for us (`lost_work`)."""
_TRIAGES_PER_WORKER = 16
"""Taken from the queue at one look; they are done one after another."""
_ANALYSES_PER_WORKER = 1
_WAITING_PER_WORKER = 32
"""Each waits in a thread; one at a time is worked on."""
CALM_POLL_S = 1.0
"""Of the queues in which nobody waits for a quick answer, and of all while none is
expected."""
_SCHEDULE_POLL_S = 3600.0
"""We have no schedules."""
_DELIVERIES_PER_PEER = 2
_REPORTED_EVERY_S = 60.0
"""How often the log repeats a warning of DBOS."""
_REPORTED_CHARACTERS = 300
_MOST_KINDS = 1000

_PREFIX_INDEX = (
    "CREATE INDEX IF NOT EXISTS lumbar_node_workflow_prefix "
    "ON dbos.workflow_status (workflow_uuid text_pattern_ops)"
)
_USER_INDEX = (
    "CREATE INDEX IF NOT EXISTS lumbar_node_workflow_user "
    "ON {table} (authenticated_user)"
)

_SQLITE = "sqlite:///"
_LOCK_WAIT_S = 5.0
"""How long a client waits for another process that writes the SQLite file."""
_POSTGRESQL_WAITS = {"connect_timeout": "5", "tcp_user_timeout": "10000"}
"""In s and ms (libpq 34.1.2): how long a client waits for a server that is silent."""


def prepare_database(url: str) -> None:
    """Create or upgrade the database.

    Only one process may do so: two that create one SQLite database at the same moment
    race. Workers then start with `run_migrations` off.

    Raises
    ------
    JobDatabaseError
        If that is impossible.
    """
    _quieten()
    try:
        if url.startswith(_SQLITE):
            path = Path(url.removeprefix(_SQLITE))
            path.parent.mkdir(parents=True, exist_ok=True)
            _use_write_ahead_log(url)
        DBOS.migrate(url)
        _make_indexes(url)
    except (sqlalchemy.exc.SQLAlchemyError, error.DBOSException, OSError) as fault:
        message = f"the job database cannot be made: {why(fault)}"
        raise JobDatabaseError(message) from fault


def open_client(url: str) -> DBOSClient:
    """Open the database for looking and enqueueing, without running any workflow.

    A client waits only briefly for the database, for the supervisor is one: it has to
    go on, and to end the very worker that was frozen while it held the database.
    """
    _quieten()
    if url.startswith(_SQLITE):
        return _Client(system_database_engine=_impatient_engine(url))
    parsed = sqlalchemy.make_url(url)
    parsed = parsed.update_query_dict({**_POSTGRESQL_WAITS, **parsed.query})
    return _Client(system_database_url=parsed.render_as_string(hide_password=False))


class _Client(DBOSClient):
    """A client that raises what DBOS would try again for ever."""

    def __init__(
        self,
        *,
        system_database_url: str | None = None,
        system_database_engine: sqlalchemy.Engine | None = None,
    ) -> None:
        self._our_engine = system_database_engine
        super().__init__(
            system_database_url=system_database_url,
            system_database_engine=system_database_engine,
            application_name=APPLICATION,
            serializer=DBOSPortableJSONSerializer(),
            retry_connection_errors=False,
        )

    def destroy(self) -> None:
        """Close the connections, also those of an engine that DBOS did not make."""
        super().destroy()
        if self._our_engine is not None:
            self._our_engine.dispose()


def open_engine(url: str, *, executor_id: str) -> DBOS:
    """Configure this process as the executor of one worker slot.

    Parameters
    ----------
    executor_id
        The same for a slot whenever it starts, so that it takes up what it left.
    """
    _quieten()
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": url,
        "application_version": APPLICATION_VERSION,
        "executor_id": executor_id,
        "run_migrations": False,
        "serializer": DBOSPortableJSONSerializer(),
        "enable_otlp": False,
        "log_level": "WARNING",
        "scheduler_polling_interval_sec": _SCHEDULE_POLL_S,
        # It asks the database nothing while no workflow waits for a message, and its
        # thread ends within this time.
        "notification_listener_polling_interval_sec": POLL_S,
    }
    return DBOS(config=config)


def executor_id(slot: int, machine: str = "") -> str:
    """Return the name by which the database knows the worker of a slot.

    Parameters
    ----------
    machine
        Of a node on several machines, the one that has the slot.
    """
    return f"{executors_of(machine)}worker-{slot}" if machine else f"worker-{slot}"


def executors_of(machine: str) -> str:
    """Return how the names of all executors of a machine begin."""
    return f"{machine}/"


def register_queues() -> None:
    """Make the queues known; call after launch."""
    DBOS.register_queue(
        TRIAGES,
        worker_concurrency=_TRIAGES_PER_WORKER,
        polling_interval_sec=POLL_S,
        on_conflict="always_update",
    )
    DBOS.register_queue(
        REJECTIONS,
        polling_interval_sec=CALM_POLL_S,
        on_conflict="always_update",
    )
    DBOS.register_queue(
        WAITING,
        worker_concurrency=_WAITING_PER_WORKER,
        polling_interval_sec=CALM_POLL_S,
        on_conflict="always_update",
    )
    DBOS.register_queue(
        ANALYSES,
        worker_concurrency=_ANALYSES_PER_WORKER,
        polling_interval_sec=POLL_S,
        on_conflict="always_update",
    )
    DBOS.register_queue(
        DELIVERIES,
        partition_worker_concurrency=_DELIVERIES_PER_PEER,
        polling_interval_sec=POLL_S,
        on_conflict="always_update",
    )


def set_pace(poll_s: float) -> None:
    """Change how often workers look for series to triage, analyses and deliveries.

    For deliveries never more often than usual.
    """
    paces = {TRIAGES: poll_s, ANALYSES: poll_s, DELIVERIES: max(poll_s, POLL_S)}
    for name, pace_s in paces.items():
        queue = DBOS.retrieve_queue(name)
        if queue is not None:
            queue.set_polling_interval_sec(pace_s)


def _make_indexes(url: str) -> None:
    """Let workflows be found by how their ids begin, and by their series.

    DBOS has no index by their user, which is the key of a series, and one by which only
    a database of locale C finds how ids begin. Without these each triage, and each
    delivery that ends, reads the whole table.
    """
    is_sqlite = url.startswith(_SQLITE)
    table = "workflow_status" if is_sqlite else "dbos.workflow_status"
    engine = sqlalchemy.create_engine(with_driver(url), poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(_USER_INDEX.format(table=table)))
        if not is_sqlite:
            connection.execute(sqlalchemy.text(_PREFIX_INDEX))


def _use_write_ahead_log(url: str) -> None:
    """Let readers and the one writer of the SQLite file not wait for each other."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
    engine.dispose()


def _impatient_engine(url: str) -> sqlalchemy.Engine:
    """Return an engine on an SQLite file, set up as DBOS' own, that gives a lock up."""
    engine = sqlalchemy.create_engine(url)

    @sqlalchemy.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute(f"PRAGMA busy_timeout={round(_LOCK_WAIT_S * 1000)}")
        connection.execute("PRAGMA foreign_keys=ON")

    @sqlalchemy.event.listens_for(engine, "handle_error")
    def give_up(context: sqlalchemy.engine.ExceptionContext) -> None:
        # Left as it is, DBOS would know it by its text, and wait.
        if "locked" in str(context.original_exception):
            message = "the job database failed: another process holds it"
            raise JobDatabaseError(message) from context.original_exception

    return engine


class _ToNodeLog(logging.Handler):
    """Hands DBOS' warnings to our log: what was logged, and never its arguments.

    Each kind at most once in a while: every queue complains at every look while the
    database is away, which were some twenty lines a second of each worker.
    """

    def __init__(self) -> None:
        super().__init__()
        self._due_s: dict[str, float] = {}
        self._kept_back: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        first, *_ = record.getMessage().splitlines() or [""]
        kind = first.partition(":")[0]
        now_s = time.monotonic()
        if now_s < self._due_s.get(kind, now_s):
            self._kept_back[kind] += 1
            return
        if len(self._due_s) >= _MOST_KINDS:
            self._due_s.clear()
        self._due_s[kind] = now_s + _REPORTED_EVERY_S
        reason = first[:_REPORTED_CHARACTERS]
        if times := self._kept_back.pop(kind, 0):
            reason += f" (and {times} times since this was last told)"
        log.event("job_engine_reported", level=record.levelno, reason=reason)


def _quieten() -> None:
    """Keep DBOS from opening a console of its own (it does unless it has a handler)."""
    logger = logging.getLogger("dbos")
    if not any(isinstance(handler, _ToNodeLog) for handler in logger.handlers):
        logger.handlers[:] = [_ToNodeLog()]
    logger.propagate = False
    logger.setLevel(logging.WARNING)

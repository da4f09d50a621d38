"""The job database as a file that can be kept, and laid into another spool.

SQLite alone: PostgreSQL has `pg_dump`, which an administrator runs and schedules
with the databases of everybody else.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.job_state import ACTIVE
from dicom_node.jobs.triage_order import order_id
from dicom_node.jobs.workflow_names import DELIVERY, JOB, TRIAGE
from dicom_node.record_codec import moved

_SQLITE = "sqlite:///"
_WAIT_S = 30.0
"""For another process that is writing."""
_ACTIVE = ", ".join(f"'{state}'" for state in ACTIVE)
_INPUTS = ("workflow_status", "workflow_input")
"""Where DBOS keeps, or once kept, what a workflow was given."""


def sqlite_file(url: str) -> Path | None:
    """Return the file of the job database; None if it is another server's."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def copy_sqlite(source: Path, copy: Path) -> None:
    """Copy an SQLite database that others may be writing, as it is at one moment.

    All pages are read in one transaction: with the write-ahead log that holds nobody
    up, and without it a writer for as long as the copy takes.

    Raises
    ------
    JobDatabaseError
        If it cannot be read, or the copy cannot be written.
    """
    try:
        with (
            closing(sqlite3.connect(_uri(source), uri=True, timeout=_WAIT_S)) as old,
            closing(sqlite3.connect(copy)) as new,
        ):
            old.backup(new)
            # One file, without a log beside it that might be left behind.
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise _failed(source, error) from error


def move_records(database: Path, place: Callable[[Path], Path]) -> None:
    """Write into every job record where its instances lie now.

    Parameters
    ----------
    place
        Returns the new path of an instance.

    Raises
    ------
    JobDatabaseError
        If the database cannot be read or written.
    """
    try:
        with closing(sqlite3.connect(_uri(database), uri=True)) as opened, opened:
            for table in _INPUTS:
                _move(opened, table, place)
    except sqlite3.Error as error:
        raise _failed(database, error) from error


def count_owed(database: Path) -> int:
    """Return how many jobs are not settled, and series not yet triaged.

    Raises
    ------
    JobDatabaseError
        If the database cannot be read, or is none.
    """
    try:
        with closing(sqlite3.connect(_uri(database), uri=True)) as opened:
            rows = opened.execute(
                "SELECT name, workflow_uuid FROM workflow_status "  # noqa: S608 - ours
                f"WHERE status IN ({_ACTIVE})"
            ).fetchall()
        return len({_JOB_IDS[name](one) for name, one in rows if name in _JOB_IDS})
    except sqlite3.Error as error:
        raise _failed(database, error) from error


_JOB_IDS: dict[str, Callable[[str], str]] = {
    TRIAGE: order_id,
    JOB: str,
    DELIVERY: lambda text: text.partition(":")[0],
}


def _move(
    database: sqlite3.Connection, table: str, place: Callable[[Path], Path]
) -> None:
    columns = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
    if "inputs" not in columns:
        return
    rows = database.execute(
        f"SELECT one.workflow_uuid, one.inputs FROM {table} AS one "  # noqa: S608
        "JOIN workflow_status AS status USING (workflow_uuid) "
        "WHERE status.name IN (?, ?, ?) AND one.inputs IS NOT NULL",
        (TRIAGE, JOB, DELIVERY),
    ).fetchall()
    database.executemany(
        f"UPDATE {table} SET inputs = ? WHERE workflow_uuid = ?",  # noqa: S608 - ours
        [(_moved(text, place), one) for one, text in rows],
    )


def _moved(text: str, place: Callable[[Path], Path]) -> str:
    """Return the input of a workflow with its paths moved; one that is none stays."""
    try:
        return json.dumps(moved(json.loads(text), place))
    except ValueError:
        return text


def _uri(path: Path) -> str:
    """Return the address of a database that is not made if it is not there."""
    return f"{path.absolute().as_uri()}?mode=rw"


def _failed(path: Path, error: Exception) -> JobDatabaseError:
    return JobDatabaseError(f"the database {path.name}: {error}")

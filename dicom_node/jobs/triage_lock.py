"""One triage of a study at a time, whichever process or machine of the node does it.

Of two contents of one series the second has to see the job of the first: it cancels
that job, or says that its own results replace those. Two triages at once would both
find nothing, and both contents would be measured and delivered as the only one.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from dicom_node.errors import JobDatabaseError, SpoolFailedError
from dicom_node.identifiers import digest
from dicom_node.jobs.database_copy import sqlite_file
from dicom_node.jobs.database_reason import why
from dicom_node.jobs.machines import engine_for
from dicom_node.spool_layout import TRIAGE_LOCK, SpoolLayout

_NAMESPACE = 0x6C6E_7472
"""Of advisory locks of PostgreSQL: "lntr"."""
_KEY_DIGITS = 7
"""Hexadecimal: 28 bits fit into the key of an advisory lock, and into a file's size."""
_WITHIN_S = 10.0
"""A triage takes a tenth of a second; whoever holds the lock longer is frozen."""
_LOOK_S = 0.01


class TriageLock:
    """Lets one process of the node at a time triage a study.

    It goes with the process that holds it. Within a process it is for one thread.

    Parameters
    ----------
    database_url
        As in `Settings.database_url`: machines share a database, and processes of one
        machine whose database is SQLite share a file of the spool.
    """

    def __init__(self, database_url: str, layout: SpoolLayout) -> None:
        self._path = layout.folder / TRIAGE_LOCK
        self._engine: sa.Engine | None = None
        if sqlite_file(database_url) is None:
            # No connection is kept: the lock goes with it.
            self._engine = engine_for(database_url, pool=sa.NullPool)

    @contextmanager
    def held(self, study_uid: str) -> Iterator[None]:
        """Hold the lock of a study.

        Raises
        ------
        JobDatabaseError
            If another process holds it for too long, or the database fails.
        SpoolFailedError
            If the disk does not take the file.
        """
        key = int(digest(study_uid)[:_KEY_DIGITS], 16)
        holding = (
            self._in_file(key)
            if self._engine is None
            else _in_database(self._engine, key)
        )
        with holding:
            yield

    @contextmanager
    def _in_file(self, key: int) -> Iterator[None]:
        try:
            file = self._path.open("ab")
        except OSError as error:
            message = f"the spool failed: {error.strerror}"
            raise SpoolFailedError(message) from error
        with file:
            until_s = time.monotonic() + _WITHIN_S
            while True:
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, key)
                    break
                except OSError as error:
                    if time.monotonic() >= until_s:
                        raise JobDatabaseError(_held_text()) from error
                    time.sleep(_LOOK_S)
            yield


@contextmanager
def _in_database(engine: sa.Engine, key: int) -> Iterator[None]:
    try:
        connection = engine.connect()
    except sa.exc.SQLAlchemyError as error:
        raise _failed(error) from error
    with connection:
        try:
            wait = sa.text(f"SET LOCAL lock_timeout = '{_WITHIN_S:.0f}s'")
            connection.execute(wait)
            lock = sa.func.pg_advisory_xact_lock(_NAMESPACE, key)
            connection.execute(sa.select(lock))
        except sa.exc.SQLAlchemyError as error:
            raise _failed(error) from error
        yield
        with suppress(sa.exc.SQLAlchemyError):  # it is free, one way or the other
            connection.commit()


def _failed(error: sa.exc.SQLAlchemyError) -> JobDatabaseError:
    is_held = "lock timeout" in str(error)
    return JobDatabaseError(
        _held_text() if is_held else f"the job database failed: {why(error)}"
    )


def _held_text() -> str:
    return "another process of the node has been triaging this study for too long"

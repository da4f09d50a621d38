"""When each content was first accepted: kept for good, for the results' content times.

A series that comes back after retention gets the same results, to the byte. So this
outlives both its files and its jobs. It holds digests and times, some 60 bytes for a
series, and nothing of a patient.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from dicom_node.errors import SpoolFailedError

_WAIT_S = 30.0
"""For another process that is writing."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS content_times "
    "(digest TEXT PRIMARY KEY, accepted_at_s REAL NOT NULL) WITHOUT ROWID"
)


def first_accepted_s(path: Path, digest: str, accepted_at_s: float) -> float:
    """Return when a content was first accepted; note it if that is now.

    Parameters
    ----------
    path
        The SQLite file; it is made if there is none.
    digest
        Of the content, as in `ReceivedSeries`.
    accepted_at_s
        POSIX time of this acceptance.

    Raises
    ------
    SpoolFailedError
        If the file cannot be read or written.
    """
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_S)) as database, database:
            database.execute(_TABLE)
            database.execute(
                "INSERT OR IGNORE INTO content_times VALUES (?, ?)",
                (digest, accepted_at_s),
            )
            (found,) = database.execute(
                "SELECT accepted_at_s FROM content_times WHERE digest = ?", (digest,)
            ).fetchone()
    except sqlite3.Error as error:
        message = f"the content times cannot be kept: {error}"
        raise SpoolFailedError(message) from error
    return float(found)


def known_since_s(path: Path, digest: str) -> float | None:
    """Return when a content was first accepted, as the file says; it is not written.

    Returns
    -------
    float or None
        POSIX time; None where there is no file, or nothing in it.

    Raises
    ------
    SpoolFailedError
        If the file cannot be read.
    """
    if not path.is_file():
        return None
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            found = database.execute(
                "SELECT accepted_at_s FROM content_times WHERE digest = ?", (digest,)
            ).fetchone()
    except sqlite3.Error as error:
        message = f"the content times cannot be read: {error}"
        raise SpoolFailedError(message) from error
    return None if found is None else float(found[0])

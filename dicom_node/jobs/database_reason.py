"""Why the job database failed, for a person at the machine; without DBOS."""

from __future__ import annotations

from sqlalchemy.exc import (
    DatabaseError,
    InternalError,
    OperationalError,
    ProgrammingError,
)

from dicom_node.errors import NodeError

_TOLD = (DatabaseError, InternalError, OperationalError, ProgrammingError)
"""Of the database itself: it is away, closed to us, read-only, or lacks our tables.
What others of their kind say may quote what was written."""


def why(error: Exception) -> str:
    """Return what a person at the machine has to know of an error, on one line.

    The first line of what the driver says names host, port, user and file, and never
    the password.
    """
    if isinstance(error, NodeError):
        return str(error)
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if type(error) in _TOLD and isinstance(error, DatabaseError):
        first, *_ = str(error.orig).strip().splitlines() or [""]
        return first or type(error).__name__
    return type(error).__name__

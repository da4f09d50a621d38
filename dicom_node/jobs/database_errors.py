"""Errors of the job database, as ours and without the URL that they quote."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from dbos import error as dbos_error
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from dicom_node.errors import JobDatabaseError

_P = ParamSpec("_P")
_R = TypeVar("_R")

_TOLD = (DatabaseError, OperationalError)
"""Of the database itself. What others of their kind say may quote what was written."""


def why(error: Exception) -> str:
    """Return what a person at the machine has to know of an error, on one line.

    The first line of what the driver says names host, port, user and file, and never
    the password.
    """
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if type(error) in _TOLD and isinstance(error, DatabaseError):
        first, *_ = str(error.orig).strip().splitlines() or [""]
        return first or type(error).__name__
    return type(error).__name__


def asks_database(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make an error of the database one of ours."""

    @wraps(method)
    def asked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(*args, **kwargs)
        except (SQLAlchemyError, dbos_error.DBOSException) as error:
            message = f"the job database failed: {type(error).__name__}"
            raise JobDatabaseError(message) from error

    return asked

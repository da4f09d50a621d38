"""Errors of the job database, as ours and without the URL that they quote."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.database_reason import why

_P = ParamSpec("_P")
_R = TypeVar("_R")


def asks_database(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make an error of the database one of ours."""

    @wraps(method)
    def asked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(*args, **kwargs)
        except (SQLAlchemyError, dbos_error.DBOSException) as error:
            message = f"the job database failed: {why(error)}"
            raise JobDatabaseError(message) from error

    return asked

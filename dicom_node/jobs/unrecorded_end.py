"""Steps and workflows that a full database ends leave no record, and begin anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError


class NotRecordedError(BaseException):
    """Ends a step and its workflow, of which the database is to know no end.

    DBOS records each Exception as the end of the one and the other, as soon as the
    database takes records again, and that would be the failure of a job.
    """


@contextmanager
def unless_database_fails() -> Iterator[None]:
    """End a step without a record if a database that is full, broken or away ends it.

    Only then: a record that no database would take must not end worker after worker.
    """
    try:
        yield
    except OperationalError as error:
        raise NotRecordedError from error


@contextmanager
def reporting_unrecorded(unrecorded: Callable[[], None]) -> Iterator[None]:
    """End a workflow as `unless_database_fails`, and tell of it."""
    try:
        with unless_database_fails():
            yield
    except NotRecordedError:
        unrecorded()
        raise

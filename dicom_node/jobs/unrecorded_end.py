"""Steps and workflows that a full database or a stop ends leave no record.

They begin anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
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


class WorkflowEnds:
    """Tells the ends that workflows of one executor come to from those forced on them.

    What is forced leaves no record: it is no fault of the job.
    """

    def __init__(self) -> None:
        self._is_lost = threading.Event()
        self._is_stopping = threading.Event()

    @property
    def is_lost(self) -> bool:
        """Whether the database did not take an end, as on a full disk."""
        return self._is_lost.is_set()

    def stop(self) -> None:
        """Take every error from now on for one of the stop.

        DBOS closes its threads and its database below the workflows that still run, and
        they fail where they next use either.
        """
        self._is_stopping.set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Run a workflow."""
        try:
            with unless_database_fails():
                yield
        except NotRecordedError:
            self._is_lost.set()
            raise
        except Exception as error:
            if self._is_stopping.is_set():
                raise NotRecordedError from error
            raise

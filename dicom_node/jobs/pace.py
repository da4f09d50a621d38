"""How often a worker looks into its queues: each look costs some 2 ms of a core."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import log
from dicom_node.jobs import dbos_setup
from dicom_node.jobs.database_reason import why

CALM_AFTER_S = 5.0
"""With nothing before it a worker has nothing to hurry for after that time."""
EXPECTED_FOR_S = 75.0
"""How long a series is expected that has begun to arrive: longer than one is quiet
before it is complete. While instances arrive the supervisor says so again."""


class Pace:
    """Looks often while a job is about to come, and seldom while none is.

    Parameters
    ----------
    set_s
        Changes how often the queues are looked into, for all workers.
    clock
        In seconds.
    """

    def __init__(
        self,
        set_s: Callable[[float], None] = dbos_setup.set_pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._set_s = set_s
        self._clock = clock
        self._lock = threading.Lock()
        self._pace_s = dbos_setup.POLL_S
        self._expected_until_s = 0.0

    def expect(self) -> None:
        """Look most often, until the next analysis begins."""
        with self._lock:
            self._expected_until_s = self._clock() + EXPECTED_FOR_S
            self._set(dbos_setup.EAGER_POLL_S)

    def begin(self, *, is_analysis: bool) -> None:
        """Look as often as usual: an analysis begins, or any step after a rest."""
        with self._lock:
            self._expected_until_s = 0.0
            if is_analysis or self._pace_s == dbos_setup.CALM_POLL_S:
                self._set(dbos_setup.POLL_S)

    def rest(self, idle_s: float) -> None:
        """Look seldom, if nothing has run for a while and nothing is expected.

        Parameters
        ----------
        idle_s
            For how long nothing has run.
        """
        with self._lock:
            if self._pace_s == dbos_setup.CALM_POLL_S:
                return
            if idle_s > CALM_AFTER_S and self._clock() > self._expected_until_s:
                self._set(dbos_setup.CALM_POLL_S)

    def _set(self, pace_s: float) -> None:
        # Also if it was the last that we set: the pace is that of all workers.
        try:
            self._set_s(pace_s)
        except (SQLAlchemyError, dbos_error.DBOSException) as error:
            # A job may come a little later, or a core be a little busier: no more.
            log.warning("pace_not_set", reason=why(error))
        else:
            self._pace_s = pace_s

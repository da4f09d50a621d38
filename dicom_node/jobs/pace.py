"""How often a worker looks into its queues: each look costs some 2 ms of a core."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import log
from dicom_node.jobs import dbos_setup

CALM_AFTER_S = 75.0
"""Longer than the supervisor takes, while instances arrive, to say so again: a worker
that has been told of nothing for so long has nothing before it."""


class Pace:
    """Looks often while a job is about to come, and seldom once none has for long.

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
        self._is_calm = False
        self._expected_s = clock()

    def expect(self) -> None:
        """Look most often, until the next analysis begins."""
        with self._lock:
            self._is_calm, self._expected_s = False, self._clock()
            self._set(dbos_setup.EAGER_POLL_S)

    def begin(self, *, is_analysis: bool) -> None:
        """Look as often as usual: an analysis begins, or any step after a long rest."""
        with self._lock:
            if is_analysis or self._is_calm:
                self._is_calm = False
                self._set(dbos_setup.POLL_S)

    def rest(self, idle_s: float) -> None:
        """Look seldom, if nothing has run or been expected for long.

        Parameters
        ----------
        idle_s
            For how long nothing has run.
        """
        with self._lock:
            quiet_s = min(idle_s, self._clock() - self._expected_s)
            if not self._is_calm and quiet_s > CALM_AFTER_S:
                self._is_calm = True
                self._set(dbos_setup.CALM_POLL_S)

    def _set(self, poll_s: float) -> None:
        try:
            self._set_s(poll_s)
        except (SQLAlchemyError, dbos_error.DBOSException) as error:
            # A job may come a little later, or a core be a little busier: no more.
            log.warning("pace_not_set", reason=type(error).__name__)

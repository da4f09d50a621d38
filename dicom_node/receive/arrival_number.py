"""Numbers by which it is known what came last, whatever the clock says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Generations:
    """Gives each instance a number, greater than those of all that came before.

    The monotonic clock is the same in all processes of a machine and is never set. It
    begins anew with the machine, so the numbers begin behind what lay in the spool when
    the node started. The acceptors need no word with each other, which one that is
    killed might leave half spoken.

    Parameters
    ----------
    first
        Greater than every generation in the spool when the node started.
    started_ns
        The monotonic clock at that moment.
    """

    first: int = 1
    started_ns: int = 0

    @classmethod
    def after(cls, latest: int) -> Generations:
        """Return the numbers that follow the latest one in the spool."""
        return cls(first=latest + 1, started_ns=time.monotonic_ns())

    def next(self, clock: Callable[[], int] = time.monotonic_ns) -> int:
        """Return a number."""
        return self.first + clock() - self.started_ns

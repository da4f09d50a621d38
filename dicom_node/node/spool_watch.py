"""Whether a machine has lost the shared spool, which others may see."""

from __future__ import annotations

from collections.abc import Callable

from dicom_node.errors import JobDatabaseError

_LOOK_S = 3.0
GIVE_UP_AFTER_S = 20.0
"""A file system that is away for less is nothing to change machines for."""


class SpoolWatch:
    """Gives up what this machine does, where the spool is gone and another can go on.

    Who receives answers 0xA700 until then, and a worker keeps jobs from the others: it
    takes them, and has to put them back. Where no other can go on, both stay, and go on
    by themselves once the spool is back.

    Parameters
    ----------
    is_gone
        Whether the spool is.
    another_can
        Go on. Asked only while it is gone.
    """

    def __init__(
        self, is_gone: Callable[[], bool], another_can: Callable[[], bool]
    ) -> None:
        self._is_gone = is_gone
        self._another_can = another_can
        self._due_s = float("-inf")
        self._gone_since_s: float | None = None
        self.is_lost = False

    def turn(self, now_s: float) -> None:
        """Look at the spool, unless that was done a moment ago.

        Parameters
        ----------
        now_s
            Monotonic time.
        """
        if now_s < self._due_s:
            return
        self._due_s = now_s + _LOOK_S
        if not self._is_gone():
            self._gone_since_s = None
            return
        if self._gone_since_s is None:
            self._gone_since_s = now_s
        if now_s - self._gone_since_s >= GIVE_UP_AFTER_S:
            try:
                self.is_lost = self._another_can()
            except JobDatabaseError:
                return  # who cannot tell stays

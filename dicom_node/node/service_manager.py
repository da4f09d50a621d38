"""What the node tells the service manager that started it (systemd's sd_notify).

References
----------
sd_notify(3): one datagram of `NAME=value` lines to the socket in NOTIFY_SOCKET; a name
that begins with @ is in the abstract name space. sd_watchdog_enabled(3): WATCHDOG_USEC.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

_MICROSECONDS = 1e6
_SAFETY = 3.0
"""Signs of life are sent this many times as often as they are demanded."""


_STATUS_CHARACTERS = 200


class ServiceManager:
    """Tells that the node is ready, alive or stopping; without a manager, nobody.

    Parameters
    ----------
    environment
        As the manager has set it.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        known = os.environ if environment is None else environment
        self._address = known.get("NOTIFY_SOCKET", "")
        demanded = known.get("WATCHDOG_USEC", "")
        self._every_s = (
            int(demanded) / _MICROSECONDS / _SAFETY if demanded.isdecimal() else None
        )
        self._alive_at_s = float("-inf")

    def ready(self) -> None:
        """Tell that clients are served."""
        self._notify("READY=1")

    def alive(self, now_s: float) -> None:
        """Tell that the node's loop turns, as often as the manager wants to know.

        Parameters
        ----------
        now_s
            Monotonic time.
        """
        if self._every_s is not None and now_s - self._alive_at_s >= self._every_s:
            self._alive_at_s = now_s
            self._notify("WATCHDOG=1")

    def reloading(self) -> None:
        """Tell that the settings are being read again, until `reloaded`."""
        now_us = round(time.monotonic() * _MICROSECONDS)
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def reloaded(self, what: str) -> None:
        """Tell what came of it, in one line that `systemctl status` shows."""
        self._notify(f"READY=1\nSTATUS={what.splitlines()[0][:_STATUS_CHARACTERS]}")

    def stopping(self) -> None:
        """Tell that the node ends on purpose."""
        self._notify("STOPPING=1")

    def _notify(self, state: str) -> None:
        if not self._address:
            return
        name = self._address.replace("@", "\0", 1)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.sendto(state.encode(), name)
        except OSError:
            return  # a manager that does not listen is no reason to stop serving

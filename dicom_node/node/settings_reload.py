"""Settings that are read again while the node runs, and taken as a whole or not at all.

A process of its own reads them: a disk that hangs or a file without an end keeps nobody
waiting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING

from dicom_node.node.children import Child
from dicom_node.settings.sections import Settings
from dicom_node.supervisor_messages import STOP, SettingsRead, SettingsRefused

if TYPE_CHECKING:
    from pathlib import Path

_READER = "dicom_node.cli.load_settings:send_settings"
_WITHIN_S = 30.0
_FIXED = (
    "node.ae_title",
    "node.bind",
    "node.port",
    "node.acceptors",
    "spool.folder",
    "work.processes",
)
"""What the supervisor has opened, or named itself by, for as long as it runs."""
_DATABASE = "database"
"""Likewise; its URL is not repeated, for it may hold a password."""


class SettingsReader:
    """Reads a file of settings when asked to, one reading at a time."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._child: Child | None = None
        self._leaving: list[Child] = []
        self._is_asked = False
        self._deadline_s = 0.0

    @property
    def children(self) -> tuple[Child, ...]:
        """The process that reads, if there is one, and those that are done."""
        reading = () if self._child is None else (self._child,)
        return (*reading, *self._leaving)

    def ask(self) -> None:
        """Have the file read, once more if it is being read now."""
        self._is_asked = True

    def turn(self, now_s: float) -> SettingsRead | SettingsRefused | None:
        """Begin to read if asked to, and return what has come of it.

        Parameters
        ----------
        now_s
            Monotonic time.
        """
        for one in self._leaving:
            one.tend(now_s)
        self._leaving = [one for one in self._leaving if one.pid is not None]
        if self._child is None:
            return self._begin(now_s) if self._is_asked else None
        child, is_alive = self._child, self._child.is_alive
        found = next(child.messages(SettingsRead, SettingsRefused), None)
        if found is None and is_alive:
            if now_s < self._deadline_s:
                return None
            found = self._refused(f"is not read within {_WITHIN_S:g} s")
        # One that hangs with its disk may not even die: nobody waits for that.
        child.retire(STOP, gone_by_s=max(now_s, self._deadline_s))
        self._leaving.append(child)
        self._child = None
        return found or self._refused("the process that reads it has ended")

    def cancel(self) -> None:
        """End what reads, at once: the node stops."""
        for child in self.children:
            child.kill()

    def _begin(self, now_s: float) -> SettingsRefused | None:
        self._is_asked = False
        self._deadline_s = now_s + _WITHIN_S
        child = Child("settings", _READER, lambda _start: (str(self._config),))
        try:
            child.start()
        except OSError as error:
            return self._refused(f"is not read: {error.strerror}")
        self._child = child
        return None

    def _refused(self, why: str) -> SettingsRefused:
        return SettingsRefused((f"{self._config}: {why}",))


def unchangeable(
    config: Path, running: Settings, new: Settings, lines: Mapping[str, int]
) -> Iterator[str]:
    """Yield one line for each setting that only a restart changes.

    Parameters
    ----------
    lines
        As in `SettingsRead`; a key that was left out stands where its section does.
    """

    def place(key: str) -> str:
        line = lines.get(key) or lines.get(key.partition(".")[0]) or 1
        return f"{config}:{line} {key}"

    for key in _FIXED:
        value, wanted = attrgetter(key)(running), attrgetter(key)(new)
        if value != wanted:
            yield (
                f"{place(key)}: is {value} until the node is started again, "
                f"and cannot become {wanted}"
            )
    if running.database_url != new.database_url:
        yield f"{place(_DATABASE)}: cannot change until the node is started again"


def changed_sections(running: Settings, new: Settings) -> tuple[str, ...]:
    """Return the names of the sections that differ."""
    return tuple(
        name
        for name in Settings.model_fields
        if getattr(running, name) != getattr(new, name)
    )

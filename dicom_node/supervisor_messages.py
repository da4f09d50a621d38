"""What the supervisor says to its child processes, and hears of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dicom_node.records import StoredInstance

STOP = "stop"
"""Take nothing more, end what you can, go."""
FINISH = "finish"
"""Said to a worker: take nothing more, end what you are doing, go."""
WARM = "warm"
"""Said to a worker when a series begins to arrive: load the science now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyseAhead:
    """Said to a worker: what a series will probably hold when it is complete.

    Parameters
    ----------
    until_s
        When it is too late to begin, on the monotonic clock.
    """

    instances: tuple[StoredInstance, ...]
    until_s: float


@dataclass(frozen=True, slots=True)
class SettingsRead:
    """Settings without a mistake, as JSON.

    Parameters
    ----------
    lines
        Where sections and their keys stand in the file, counted from 1, by their names
        (`node`, `node.port`); of keys that are left out none.
    """

    text: str
    lines: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SettingsRefused:
    """What is wrong with settings: one line each, as in `SettingsError`."""

    problems: tuple[str, ...]

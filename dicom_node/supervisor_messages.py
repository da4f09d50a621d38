"""What the supervisor says to its child processes, and hears of settings."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Settings without a mistake, as JSON."""

    text: str


@dataclass(frozen=True, slots=True)
class SettingsRefused:
    """What is wrong with settings: one line each, as in `SettingsError`."""

    problems: tuple[str, ...]

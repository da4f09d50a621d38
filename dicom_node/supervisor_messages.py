"""What the supervisor says to its child processes, and hears of settings."""

from __future__ import annotations

from dataclasses import dataclass

STOP = "stop"
"""Take nothing more, end what you can, go."""
FINISH = "finish"
"""Said to a worker: take nothing more, end what you are doing, go."""
WARM = "warm"
"""Said to a worker when a series begins to arrive: load the science now."""


@dataclass(frozen=True, slots=True)
class SettingsRead:
    """Settings without a mistake, as JSON."""

    text: str


@dataclass(frozen=True, slots=True)
class SettingsRefused:
    """What is wrong with settings: one line each, as in `SettingsError`."""

    problems: tuple[str, ...]

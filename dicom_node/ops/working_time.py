"""How much of a time was working time."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicom_node.node_report import WorkingTime

_MOST_DAYS = 60
"""Whoever asks wants to know whether some hours have passed."""
_HOURS = 24
_DAY_S = 86400.0


def worked_s(since_s: float, until_s: float, rule: WorkingTime) -> float:
    """Return the seconds of working time between two POSIX times.

    Of the last sixty days only.
    """
    zone = rule.zone  # None stands for that of the machine
    since_s = max(since_s, until_s - _MOST_DAYS * _DAY_S)
    day = datetime.fromtimestamp(since_s, zone).date()
    last = datetime.fromtimestamp(until_s, zone).date()
    total_s = 0.0
    while day <= last:
        if day.weekday() in rule.weekdays:
            begin_s = _posix_s(day, rule.from_hour, zone)
            end_s = _posix_s(day, rule.to_hour, zone)
            total_s += max(0.0, min(end_s, until_s) - max(begin_s, since_s))
        day += timedelta(days=1)
    return total_s


def _posix_s(day: date, hour: int, zone: tzinfo | None) -> float:
    midnight = day + timedelta(days=1) if hour == _HOURS else day
    return datetime.combine(midnight, time(hour % _HOURS), zone).timestamp()

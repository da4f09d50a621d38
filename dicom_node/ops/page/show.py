"""Values as people read them, the same in every language."""

from __future__ import annotations

from datetime import datetime

from markupsafe import Markup, escape

NOTHING = "\N{EN DASH}"
_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86400.0
_GIB, _MIB = 2**30, 2**20
_TENTHS_BELOW = 10


def moment(posix_s: float | None) -> str:
    """Return a time in the zone of the machine."""
    if not posix_s:
        return NOTHING
    return datetime.fromtimestamp(posix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """Return a time that something took, with two digits or three."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    for limit_s, unit_s, unit in (
        (_MINUTE_S, 1.0, "s"),
        (_HOUR_S, _MINUTE_S, "min"),
        (2 * _DAY_S, _HOUR_S, "h"),
        (float("inf"), _DAY_S, "d"),
    ):
        if seconds < limit_s:
            digits = 1 if seconds / unit_s < _TENTHS_BELOW else 0
            return f"{seconds / unit_s:.{digits}f}".removesuffix(".0") + f" {unit}"
    return NOTHING


def size(count: float) -> str:
    """Return a number of bytes."""
    if count < _GIB:
        return f"{count / _MIB:.0f} MiB"
    return f"{count / _GIB:.1f} GiB"


def amount(value: float | None, unit: str) -> str:
    """Return the value of a check, or its limit."""
    if value is None:
        return NOTHING
    if unit == "bytes":
        return size(value)
    if unit == "s":
        return span(value)
    return f"{value:g} {unit}" if unit == "d" else f"{value:g}"


def code(text: str) -> Markup:
    """Return a text as HTML, what stands between backticks as code."""
    parts = text.split("`")
    marked = [
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    ]
    return Markup("").join(marked)

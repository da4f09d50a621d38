"""Signal that no spine gives: the grey values are not what they seem to be.

Where the zero of the scale lies elsewhere, or the picture is a map and no picture,
ratios of grey values come out all the same. What no disc can have gives it away.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.lumbar.doubt import GEOMETRY_ONLY, Doubt, unfit_signal
from analysis.lumbar.measure.measurements import SpineMeasurements
from analysis.lumbar.measure.signal_difference import SCALE

MAX_RATIO = 1.5
"""Of the signal of a disc over that of CSF, which is the brightest of the spine on T2;
the rest is left to fluid that has lost signal by flowing. Of 55 series and slices of
train the highest ratio is 1.10 and the highest delta-SI 355, both of a nucleus that is
brighter than CSF."""
_POSSIBLE = {
    "signal_ratio_csf": ("disc to CSF signal ratio", 0.0, MAX_RATIO),
    "nucleus_ratio_csf": ("nucleus to CSF signal ratio", 0.0, MAX_RATIO),
    "delta_si": ("delta-SI", 0.0, MAX_RATIO * SCALE),
}
_MIN_DISCS = 3
"""Fewer may have the same value by chance."""
_SAME = 1e-6
"""Of values of the order of 1 and more; noise alone parts them by more."""


def impossible_signal(measured: SpineMeasurements) -> tuple[Doubt, ...]:
    """Doubt all signal of a series of which one value is impossible."""
    found = "; ".join((*_beyond(measured), *_same(measured)))
    if not found:
        return ()
    text = (
        f"{found}: the zero of the grey values lies elsewhere, or they show something "
        f"else. {GEOMETRY_ONLY}"
    )
    return (unfit_signal("signal_impossible", text),)


def _beyond(measured: SpineMeasurements) -> Iterator[str]:
    for key, (name, low, high) in _POSSIBLE.items():
        outside = [
            f"{row.level} {value:.2f}"
            for row in measured.discs
            if (value := row.number(key)) is not None and not low <= value <= high
        ]
        if outside:
            levels = ", ".join(outside)
            yield f"{name} of {levels}, possible are {low:.0f} to {high:g}"


def _same(measured: SpineMeasurements) -> Iterator[str]:
    for key, (name, _, _) in _POSSIBLE.items():
        known = [
            value for row in measured.discs if (value := row.number(key)) is not None
        ]
        if len(known) >= _MIN_DISCS and max(known) - min(known) < _SAME:
            yield f"{name} is {known[0]:.2f} in all {len(known)} discs"

"""Counters and histograms of the supervisor; a few additions an event, no library."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from dicom_node.node_report import BOUNDS_S, Counted, Histogram, Labels, Timed

MOST_LABELS = 100
"""Values of one counter. AE titles come from outside, and each value costs memory in
every process that the numbers pass through."""
OTHER = "other"
"""Stands for all values beyond these."""
_MOST_CHARACTERS = 64


class Tally:
    """What has happened since the supervisor started."""

    def __init__(self) -> None:
        self._counts: dict[Counted, dict[Labels, int]] = {what: {} for what in Counted}
        self._times: dict[Timed, dict[Labels, list[int]]] = {what: {} for what in Timed}
        self._sums_s: dict[tuple[Timed, Labels], float] = {}
        self._analyses: set[tuple[str, str]] = set()

    def expect(self, what: Counted, *labels: str) -> None:
        """Begin a counter at 0, so that its first event shows as an increase."""
        self.count(what, *labels, by=0)

    def count(self, what: Counted, *labels: str, by: int = 1) -> None:
        """Add to a counter; beyond `MOST_LABELS` to that of all others."""
        table = self._counts[what]
        key = _key(table, labels)
        table[key] = table.get(key, 0) + by

    def time(self, what: Timed, seconds: float, *labels: str) -> None:
        """Add one duration to a histogram."""
        table, bounds = self._times[what], BOUNDS_S[what]
        key = _key(table, labels)
        if key not in table:
            table[key] = [0] * (len(bounds) + 1)
        table[key][bisect_left(bounds, seconds)] += 1
        self._sums_s[what, key] = self._sums_s.get((what, key), 0.0) + seconds

    def loaded(self, analyses: Iterable[tuple[str, str]]) -> None:
        """Take note of analyses that a worker has loaded, with their versions."""
        known = {*self._analyses, *analyses}
        if len(known) <= MOST_LABELS:
            self._analyses = known

    @property
    def analyses(self) -> tuple[tuple[str, str], ...]:
        """All of them, in order."""
        return tuple(sorted(self._analyses))

    def counts(self) -> Mapping[Counted, Mapping[Labels, int]]:
        """Return a copy of the counters."""
        return {what: dict(table) for what, table in self._counts.items()}

    def times(self) -> Mapping[Timed, Mapping[Labels, Histogram]]:
        """Return a copy of the histograms."""
        return {
            what: {
                key: Histogram(tuple(counts), self._sums_s[what, key])
                for key, counts in table.items()
            }
            for what, table in self._times.items()
        }


def _key(table: Mapping[Labels, object], labels: Labels) -> Labels:
    key = tuple(map(_printable, labels))
    if key in table or len(table) < MOST_LABELS:
        return key
    return (OTHER,) * len(key)


def _printable(label: str) -> str:
    return "".join(
        char if " " <= char <= "~" else "?" for char in label[:_MOST_CHARACTERS]
    )

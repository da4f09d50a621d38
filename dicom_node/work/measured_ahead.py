"""What was measured while its series was quiet, before a job was owed for it.

In memory alone, as the result that `analyse` holds for `encode`. Whoever takes it asks
for the very same instances, analysis and writing: a series to which anything was added
since is measured anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.contract.errors import UnsuitableInput
from dicom_node.errors import SeriesRejectedError
from dicom_node.records import StoredInstance

if TYPE_CHECKING:
    from analysis.contract.plugin import Writing
    from dicom_node.plugins.analyse_series import Analysed

_KEPT = 2
"""A study may have two series that are measured; more would cost memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All that decides what is found in a series, but for what the worker is set to."""

    instances: tuple[StoredInstance, ...]
    analysis: str
    writing: Writing


Refusal = SeriesRejectedError | UnsuitableInput
"""Why a series cannot be measured, which is a finding as well."""


class MeasuredAhead:
    """The latest findings of one worker that nobody has taken yet."""

    def __init__(self) -> None:
        self._found: dict[Measurement, Analysed | Refusal] = {}

    def holds(self, wanted: Measurement) -> bool:
        """Tell whether something was found."""
        return wanted in self._found

    def keep(self, wanted: Measurement, found: Analysed | Refusal) -> None:
        """Keep what was found, instead of what was found longest ago."""
        while len(self._found) >= _KEPT:
            del self._found[next(iter(self._found))]
        self._found[wanted] = found

    def take(self, wanted: Measurement) -> Analysed | None:
        """Return what was found, and let go of it; None if nothing was.

        Raises
        ------
        SeriesRejectedError, UnsuitableInput
            If it was found that the series cannot be measured.
        """
        found = self._found.pop(wanted, None)
        if isinstance(found, Refusal):
            raise found
        return found

"""The retry rule: when something is tried again, and when it is given up.

It counts time and no attempts: a PACS that is down over a long weekend has to get its
results when it is back, however often it was tried in between.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicom_node.settings.sections import Jobs

_DAY_S = 86400.0
LONGEST_PAUSE_S = 900.0
"""Nothing waits longer for a peer that is up again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """Growing pauses up to a longest one, until an age.

    Parameters
    ----------
    pauses_s
        Pause after the first, second ... attempt; the last one is repeated.
    give_up_after_s
        Age from the start of the first attempt.
    """

    pauses_s: tuple[float, ...]
    give_up_after_s: float

    def pause_s(self, attempt: int) -> float:
        """Return the pause after an attempt, counted from 1."""
        return self.pauses_s[min(attempt, len(self.pauses_s)) - 1]

    def is_over(self, age_s: float) -> bool:
        """Tell whether no further attempt is made at this age."""
        return age_s >= self.give_up_after_s


def retry_rule(jobs: Jobs) -> RetryRule:
    """Return the rule that the settings ask for.

    The pauses of version 0.1.0 (`backoff_s`) are kept to where a site has set them,
    but none is longer than a quarter of an hour; its `attempts` count no longer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        former_s = jobs.backoff_s
    pauses_s = former_s or _doubled(jobs.retry_first_s, jobs.retry_longest_s)
    return RetryRule(
        pauses_s=tuple(min(pause_s, LONGEST_PAUSE_S) for pause_s in pauses_s),
        give_up_after_s=jobs.retry_days * _DAY_S,
    )


def age_text(age_s: float) -> str:
    """Return an age for people."""
    for unit, seconds in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if age_s >= 2 * seconds:
            return f"{age_s / seconds:.0f} {unit}"
    return f"{age_s:.1f} seconds"


def _doubled(first_s: float, longest_s: float) -> list[float]:
    pauses_s = [min(first_s, longest_s)]
    while pauses_s[-1] < longest_s:
        pauses_s.append(min(pauses_s[-1] * 2, longest_s))
    return pauses_s

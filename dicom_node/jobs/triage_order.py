"""What the supervisor queues for a complete series: its triage."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dicom_node.identifiers import digest
from dicom_node.records import ReceivedSeries

_ID_DIGITS = 32
_ATTEMPT = "-"
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageOrder:
    """One triage of one series, which names the job that is owed.

    Parameters
    ----------
    occasion
        Empty for a content that has become complete; else what tells this triage from
        earlier ones at the same content, such as the time of its second arrival.
    is_rerun
        Whether an operator asked for it.
    attempt
        Counted from 1 over the attempts that had to wait.
    waits_for
        Why the last one had to; one sentence for people.
    since_s
        POSIX time at which the first of them ended; None while there was none.
    """

    series: ReceivedSeries
    occasion: str = ""
    is_rerun: bool = False
    attempt: int = 1
    waits_for: str = ""
    since_s: float | None = None

    @property
    def id(self) -> str:
        """What an operator sees until there is a job; the same for every attempt."""
        return digest("triage", self.series.digest, self.occasion)[:_ID_DIGITS]

    @property
    def workflow_id(self) -> str:
        """The id of the workflow that makes this attempt."""
        return self.id if self.attempt == 1 else f"{self.id}{_ATTEMPT}{self.attempt}"

    @property
    def pause_s(self) -> float:
        """How long this attempt is put off: longer the more there were."""
        return min(float(self.attempt - 1), _LONGEST_PAUSE_S)

    def waiting_since_s(self, now_s: float) -> float:
        """Return since when it has had to wait; never a time to come.

        Parameters
        ----------
        now_s
            POSIX time.
        """
        return now_s if self.since_s is None else min(self.since_s, now_s)

    def again(self, *, waits_for: str, now_s: float) -> TriageOrder:
        """Return the order for the next attempt.

        Parameters
        ----------
        now_s
            POSIX time.
        """
        return replace(
            self,
            attempt=self.attempt + 1,
            waits_for=waits_for,
            since_s=self.waiting_since_s(now_s),
        )


def series_key(study_uid: str, series_uid: str) -> str:
    """Return the word by which triages and jobs of a series are found."""
    return digest(study_uid, series_uid)


def order_id(workflow_id: str) -> str:
    """Return the id of the order to which a triage workflow belongs."""
    return workflow_id.partition(_ATTEMPT)[0]


def attempt_of(workflow_id: str) -> int:
    """Return which attempt a triage workflow makes; 1 for any other workflow."""
    number = workflow_id.partition(_ATTEMPT)[2]
    return int(number) if number.isdecimal() else 1

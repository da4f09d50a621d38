"""Which jobs `jobs list`, `jobs retry`, `jobs export` and the page speak of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dicom_node.records import JobRow

_SPAN = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """What a job has to be; what is empty or None asks for nothing.

    Parameters
    ----------
    states
        One of `JobState`.
    peer
        Gets results of the job.
    study_uid
        Study Instance UID.
    since_s, until_s
        POSIX times between which the series was accepted.
    """

    states: tuple[str, ...] = ()
    peer: str = ""
    study_uid: str = ""
    since_s: float | None = None
    until_s: float | None = None

    @property
    def asks_for_all(self) -> bool:
        """Whether every job passes."""
        return self == JobFilter()

    def passes(self, row: JobRow) -> bool:
        """Tell whether a job is what is asked for."""
        return (
            (not self.states or row.state.value in self.states)
            and (not self.peer or self.peer in dict(row.deliveries))
            and (not self.study_uid or self.study_uid == row.study_uid)
            and (self.since_s is None or row.accepted_at_s >= self.since_s)
            and (self.until_s is None or row.accepted_at_s < self.until_s)
        )

    def of(self, rows: Iterable[JobRow]) -> list[JobRow]:
        """Return the jobs that pass, those accepted last first."""
        found = [row for row in rows if self.passes(row)]
        found.sort(key=lambda row: row.accepted_at_s, reverse=True)
        return found


def moment(text: str) -> float:
    """Return the POSIX time of a date, of a time, or of a span before now.

    Parameters
    ----------
    text
        ISO 8601 such as `2026-11-28` or `2026-11-28T08:30`, in the machine's zone where
        it names none; or `90m`, `36h`, `7d`, `2w`.

    Raises
    ------
    ValueError
        If it is neither; the message is for people.
    """
    span = _SPAN.fullmatch(text)
    try:
        if span is not None:
            ago = timedelta(**{_UNITS[span[2]]: int(span[1])})
            return (datetime.now().astimezone() - ago).timestamp()
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        message = (
            f"{text} is no date (2026-11-28), time (2026-11-28T08:30) or span (36h, 7d)"
        )
        raise ValueError(message) from error

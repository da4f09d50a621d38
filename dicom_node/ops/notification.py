"""What a person is told, in one message: what is new, and what is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

_MOST_IDS = 10
_ID_CHARACTERS = 12
"""The beginning of an id is enough for every command."""


class Kind(StrEnum):
    """What may be wrong, and how its line begins a key."""

    JOB = "job"
    DISK = "disk"
    PEER = "peer"
    SENDER = "sender"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that a person shall know of.

    Parameters
    ----------
    name
        Which one of its kind: the id of a job, the name of a peer; empty of the disk.
    text
        One line for people; of a job the code of the reason.
    """

    kind: Kind
    name: str
    text: str

    @property
    def key(self) -> str:
        """By which it is known again."""
        return f"{self.kind.value}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What one address is to be told now.

    Parameters
    ----------
    new, over
        Since the last message to it.
    still
        How many it was told of before, which are not over.
    """

    new: tuple[Problem, ...]
    over: tuple[Problem, ...]
    still: int

    @property
    def is_due(self) -> bool:
        """Whether there is a reason for a message.

        That jobs which failed were retried, or are forgotten, is none by itself.
        """
        return bool(self.new) or any(one.kind is not Kind.JOB for one in self.over)

    @property
    def counts(self) -> str:
        """How much it holds, in a few words."""
        return f"{len(self.new)} new, {len(self.over)} over"


def digest_of(
    now: Mapping[str, Problem],
    told: Mapping[str, Problem],
    *,
    unknown: frozenset[Kind] = frozenset(),
) -> Digest:
    """Return what has changed since a person was told.

    Parameters
    ----------
    now, told
        Problems by their key.
    unknown
        Kinds of which nothing could be learned now: none of them is over.
    """
    over = [
        one for key, one in told.items() if key not in now and one.kind not in unknown
    ]
    return Digest(
        new=tuple(one for key, one in now.items() if key not in told),
        over=tuple(over),
        still=len(told) - len(over),
    )


def title_of(digest: Digest, node: str) -> str:
    """Return the subject of a message."""
    return f"lumbar-node {node}: {digest.counts}"


def body_of(digest: Digest) -> str:
    """Return the text of a message."""
    parts = [
        _part("New", _failed(digest.new), _lines(digest.new)),
        _part("Over", _forgotten(digest.over), _lines(digest.over)),
    ]
    if digest.still:
        parts.append(f"Told before, and not over: {digest.still}\n")
    return "\n".join(part for part in parts if part)


def _part(heading: str, jobs: str, lines: Sequence[str]) -> str:
    listed = [*([jobs] if jobs else []), *lines]
    if not listed:
        return ""
    return "\n".join([f"{heading}:", *(f"- {line}" for line in listed), ""])


def _lines(problems: Iterable[Problem]) -> list[str]:
    return [one.text for one in problems if one.kind is not Kind.JOB]


def _failed(problems: Iterable[Problem]) -> str:
    jobs = [one for one in problems if one.kind is Kind.JOB]
    if not jobs:
        return ""
    codes = Counter(one.text or "unknown" for one in jobs)
    reasons = ", ".join(f"{code} ({count})" for code, count in codes.most_common())
    ids = ", ".join(one.name[:_ID_CHARACTERS] for one in jobs[:_MOST_IDS])
    more = f" and {len(jobs) - _MOST_IDS} more" if len(jobs) > _MOST_IDS else ""
    return (
        f"{_jobs(jobs)} failed: {reasons}. `lumbar-node jobs show ID` tells why, "
        f"`jobs retry ID` begins again; ID: {ids}{more}"
    )


def _forgotten(problems: Iterable[Problem]) -> str:
    jobs = [one for one in problems if one.kind is Kind.JOB]
    if not jobs:
        return ""
    return f"{_jobs(jobs)} that had failed: retried, cancelled or removed"


def _jobs(jobs: Sequence[Problem]) -> str:
    return "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"

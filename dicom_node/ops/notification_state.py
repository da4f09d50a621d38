"""What notification remembers over restarts, in a small file of the spool.

A restart must neither repeat a message nor begin to count hours anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from dicom_node import log
from dicom_node.ops.notification import Kind, Problem
from dicom_node.spool_layout import write_durable

FILE = "notification.json"
FROM, TO = "from ", "to "
"""Begin the names of counters."""
_VERSION = 1
_MOST_BYTES = 4 * 2**20
_NAME_BYTES = 6
"""Enough to tell addresses apart, too few to try secrets by."""


@dataclass
class Told:
    """What one address was told.

    Parameters
    ----------
    sent_s
        POSIX time of the last message.
    problems
        Those that are not over, by their key.
    """

    sent_s: float = 0.0
    problems: dict[str, Problem] = field(default_factory=dict)


class Memory:
    """All that is remembered; `save` writes it if it has changed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self.told: dict[str, Told] = {}
        self._waiting_s: dict[str, float] = {}
        self._last_s: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._supervisor = 0
        self._written = ""
        self._is_failing = False
        try:
            self._read()
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            log.warning("notification_state_lost", reason=type(error).__name__)

    def of(self, address: str) -> Told:
        """Return what an address was told."""
        return self.told.setdefault(name_of(address), Told())

    def forget_others(self, addresses: Iterable[str]) -> None:
        """Drop addresses that are no longer written to."""
        known = set(map(name_of, addresses))
        self.told = {name: one for name, one in self.told.items() if name in known}

    def counted(self, counts: Mapping[str, int], supervisor: int, now_s: float) -> None:
        """Take note of the supervisor's counters, whose increase is a sign of life.

        Parameters
        ----------
        counts
            From senders by `FROM` and AE title, to peers by `TO` and name; since the
            supervisor with this process id has started.
        """
        former = self._counts
        has_restarted = any(counts.get(key, 0) < count for key, count in former.items())
        if supervisor != self._supervisor or has_restarted:
            former = {}
        for key, count in counts.items():
            if count > former.get(key, 0):
                self._last_s[key] = now_s
        self._counts, self._supervisor = dict(counts), supervisor

    def kept_waiting(self, peers: Iterable[str], now_s: float) -> Mapping[str, float]:
        """Return since when each peer has been taking nothing.

        Parameters
        ----------
        peers
            To whom something is owed that has failed at least once.
        """
        never = float("-inf")
        self._waiting_s = {
            peer: min(
                max(
                    self._waiting_s.get(peer, now_s), self._last_s.get(TO + peer, never)
                ),
                now_s,  # the clock may have been set back
            )
            for peer in peers
        }
        return self._waiting_s

    def heard(self, titles: Iterable[str], now_s: float) -> Mapping[str, float]:
        """Return when each sender has sent last; one that never has, as if just now."""
        heard_s: dict[str, float] = {}
        for title in titles:
            # Never in the future: the clock may have been set back.
            heard_s[title] = min(self._last_s.get(FROM + title, now_s), now_s)
            self._last_s[FROM + title] = heard_s[title]
        return heard_s

    def save(self) -> None:
        """Write it down; a disk that takes nothing is told of once."""
        text = json.dumps(self._record(), ensure_ascii=True, indent=1)
        if text == self._written:
            return
        try:
            write_durable(self._path, text.encode())
        except OSError as error:
            if not self._is_failing:
                reason = error.strerror or type(error).__name__
                log.warning("notification_state_not_written", reason=reason)
            self._is_failing = True
            return
        self._is_failing, self._written = False, text

    def _record(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "addresses": {
                name: {
                    "sent_s": one.sent_s,
                    "told": {
                        problem.key: problem.text for problem in one.problems.values()
                    },
                }
                for name, one in self.told.items()
            },
            "waiting_s": self._waiting_s,
            "last_s": self._last_s,
            "counts": self._counts,
            "supervisor": self._supervisor,
        }

    def _read(self) -> None:
        with self._path.open("rb") as file:
            record = json.loads(file.read(_MOST_BYTES))
        told = {
            str(name): Told(
                sent_s=float(one["sent_s"]),
                problems={
                    key: _problem(key, str(text)) for key, text in one["told"].items()
                },
            )
            for name, one in record["addresses"].items()
        }
        waiting_s, last_s = _floats(record["waiting_s"]), _floats(record["last_s"])
        counts = {str(key): int(value) for key, value in record["counts"].items()}
        supervisor = int(record["supervisor"])
        # Whole, or not at all.
        self.told, self._waiting_s, self._last_s = told, waiting_s, last_s
        self._counts, self._supervisor = counts, supervisor


def name_of(address: str) -> str:
    """Return what stands for an address in the file: addresses hold passwords."""
    return blake2b(address.encode(), digest_size=_NAME_BYTES).hexdigest()


def _problem(key: str, text: str) -> Problem:
    kind, _, name = key.partition(":")
    return Problem(kind=Kind(kind), name=name, text=text)


def _floats(record: Mapping[str, Any]) -> dict[str, float]:
    return {str(key): float(value) for key, value in record.items()}

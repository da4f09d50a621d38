"""Delimiters of sequences that are missing or astray, set right before a library reads.

A sequence of undefined length ends at the first tag that is no item, and an item at the
end of its sequence: nothing else can be meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A delimiter that is missing or astray.

    Parameters
    ----------
    at
        Where in the file.
    surplus
        How many bytes from there are left out.
    missing
        What stands there instead.
    """

    at: int
    surplus: int = 0
    missing: bytes = b""


def repaired(content: bytes, repairs: Iterable[Repair]) -> bytes:
    """Return a file with its delimiters set right."""
    parts: list[bytes] = []
    at = 0
    for repair in repairs:
        parts += content[at : repair.at], repair.missing
        at = repair.at + repair.surplus
    return b"".join((*parts, content[at:]))

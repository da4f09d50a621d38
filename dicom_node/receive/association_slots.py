"""How many associations are open, in all acceptors together and of each AE title."""

from __future__ import annotations

import ctypes
import threading
from enum import Enum
from hashlib import blake2b
from multiprocessing.sharedctypes import RawArray

MOST_ASSOCIATIONS = 1000
"""Of one acceptor; the settings allow no more for all of them."""

AssociationTable = ctypes.Array[ctypes.c_uint64]

_FREE = 0
_TITLE_BYTES = 8


def association_table(acceptors: int) -> AssociationTable:
    """Return the table of open associations, one row an acceptor, for all processes.

    An entry holds a number made of the calling AE title, 0 where it is free. Each
    acceptor writes its own row only, so a killed one cannot leave a lock or an entry
    behind: its successor clears the row.
    """
    return RawArray(ctypes.c_uint64, acceptors * MOST_ASSOCIATIONS)


class SlotRefusal(Enum):
    """Why an association gets no slot; a sender may try again later."""

    NODE_FULL = "too many associations"
    TITLE_FULL = "too many associations of this AE title"


class AssociationSlots:
    """The entries of one acceptor, against the limits of all.

    Parameters
    ----------
    table, index
        The table from `association_table`, and our row in it.
    limit, title_limit
        Most associations at a time, of all titles and of one.
    """

    def __init__(
        self, table: AssociationTable, index: int, *, limit: int, title_limit: int
    ) -> None:
        self._table = table
        self._first = index * MOST_ASSOCIATIONS
        self._limit = limit
        self._title_limit = title_limit
        self._lock = threading.Lock()
        for entry in self._own():
            table[entry] = _FREE

    def limit_to(self, limit: int, title_limit: int) -> None:
        """Change the limits for associations that open from now on."""
        with self._lock:
            self._limit, self._title_limit = limit, title_limit

    def take(self, calling_ae: str) -> int | SlotRefusal:
        """Take an entry, or tell which limit leaves none.

        Two acceptors that take the last one at the same moment may both go without,
        but never both with.
        """
        title = _number_of(calling_ae)
        with self._lock:
            entry = next((e for e in self._own() if self._table[e] == _FREE), None)
            if entry is None:
                return SlotRefusal.NODE_FULL
            self._table[entry] = title
            refusal = self._refusal(title)
            if refusal is None:
                return entry
            self._table[entry] = _FREE
            return refusal

    def give(self, entry: int) -> None:
        """Give an entry back."""
        with self._lock:
            self._table[entry] = _FREE

    def _own(self) -> range:
        return range(self._first, self._first + MOST_ASSOCIATIONS)

    def _refusal(self, title: int) -> SlotRefusal | None:
        taken = [number for number in self._table[:] if number != _FREE]
        if len(taken) > self._limit:
            return SlotRefusal.NODE_FULL
        if taken.count(title) > self._title_limit:
            return SlotRefusal.TITLE_FULL
        return None


def _number_of(calling_ae: str) -> int:
    digest = blake2b(calling_ae.encode("latin-1", "replace"), digest_size=_TITLE_BYTES)
    return int.from_bytes(digest.digest(), "little") or 1

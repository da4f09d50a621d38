"""The UIDs of a dataset, read from its first elements without trust.

A walker of its own, since it sees every byte that anyone sends: it allocates nothing
that the data announce, follows nesting with a counter instead of recursion, stops at a
limit of elements and of inflated bytes, and raises one error. It forgives what pydicom
forgives, which reads the same datasets later, in the worker.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dicom_node.errors import InstanceRefusedError

ReadAt = Callable[[int, int], bytes]
"""Returns so many bytes of a dataset from a position on; less at its end."""

_WINDOW_BYTES = 32 * 1024
"""Read at a time; holds the UIDs of nearly every instance."""

_MAX_ELEMENTS = 100_000
"""Of all levels, before the last of the UIDs. References to 10,000 instances, each an
item of two elements, are 40,000; to walk the limit takes 0.2 s."""

_MAX_DEPTH = 64
"""Nesting of sequences; the deepest IODs (TID 1500) use about 12."""

_MAX_INFLATED_BYTES = 4 * 1024 * 1024
"""Of a deflated dataset; 2 MB of it may hold 2 GB."""

_MAX_UID_BYTES = 64 + 64
"""VR UI has at most 64; some senders exceed it, none doubles it."""

_IMPLICIT_LITTLE = "1.2.840.10008.1.2"
_EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_DEFLATED = frozenset(
    {
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.4.95",
        "1.2.840.10008.1.2.4.205",
    }
)
"""Deflated explicit little endian, and the two JPIP referenced deflate (PS3.5 A.5)."""

_SOP_CLASS = 0x00080016
_SOP_INSTANCE = 0x00080018
_STUDY = 0x0020000D
_SERIES = 0x0020000E
_WANTED = frozenset({_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES})

_DELIMITER_GROUP = 0xFFFE
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF

_HEADER_BYTES = 12
"""Of an element with a length of 32 bit; the others have 8."""

_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
     b"UT", b"UV"}
)  # fmt: skip
"""Two reserved bytes and a length of 32 bit (PS3.5 table 7.1-1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetUids:
    """The UIDs that say which instance of which series this is."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str


def in_file(descriptor: int, start: int) -> ReadAt:
    """Return a reader of the dataset that begins at a position of a file."""

    def read_at(count: int, at: int) -> bytes:
        return os.pread(descriptor, count, start + at)

    return read_at


def in_memory(data: bytes) -> ReadAt:
    """Return a reader of a dataset in memory."""
    return partial(_slice, data)


def read_uids(read_at: ReadAt, transfer_syntax_uid: str) -> DatasetUids:
    """Read the UIDs from the beginning of a dataset.

    Parameters
    ----------
    read_at
        Reads the dataset as it was sent.

    Raises
    ------
    InstanceRefusedError
        If the dataset cannot be walked or lacks one of the UIDs.
    OSError
        If it cannot be read.
    """
    if transfer_syntax_uid in _DEFLATED:
        read_at = _Inflated(read_at).read_at
    values = _values(read_at, transfer_syntax_uid, _WANTED)
    missing = _WANTED - values.keys()
    if missing:
        names = ", ".join(
            f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in sorted(missing)
        )
        message = f"the dataset lacks {names}"
        raise InstanceRefusedError(message)
    return DatasetUids(
        sop_class_uid=values[_SOP_CLASS],
        sop_instance_uid=values[_SOP_INSTANCE],
        study_uid=values[_STUDY],
        series_uid=values[_SERIES],
    )


def read_uid(data: bytes, transfer_syntax_uid: str, tag: int) -> str:
    """Read one UID from a dataset in memory; empty if it has none.

    Raises
    ------
    InstanceRefusedError
        If the dataset cannot be walked.
    """
    wanted = frozenset({tag})
    return _values(in_memory(data), transfer_syntax_uid, wanted).get(tag, "")


def _values(
    read_at: ReadAt, transfer_syntax_uid: str, wanted: frozenset[int]
) -> dict[int, str]:
    return _Walk(
        read_at,
        is_implicit=transfer_syntax_uid == _IMPLICIT_LITTLE,
        is_big=transfer_syntax_uid == _EXPLICIT_BIG,
    ).values(wanted)


def _slice(data: bytes, count: int, at: int) -> bytes:
    return data[at : at + count]


class _Inflated:
    """The beginning of a deflated dataset, inflated as far as it is asked for."""

    def __init__(self, deflated: ReadAt) -> None:
        self._deflated = deflated
        self._at = 0
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._data = bytearray()

    def read_at(self, count: int, at: int) -> bytes:
        """Return inflated bytes; none behind `_MAX_INFLATED_BYTES`."""
        stop = min(at + count, _MAX_INFLATED_BYTES)
        while len(self._data) < stop and self._inflate():
            pass
        return bytes(self._data[at:stop])

    def _inflate(self) -> bool:
        """Inflate some more; tell whether there was more."""
        if self._inflater.eof:
            return False
        deflated = self._inflater.unconsumed_tail
        if not deflated:
            deflated = self._deflated(_WINDOW_BYTES, self._at)
            self._at += len(deflated)
        try:
            more = self._inflater.decompress(deflated, _WINDOW_BYTES)
        except zlib.error:
            message = "the dataset is not deflated as its transfer syntax says"
            raise InstanceRefusedError(message) from None
        self._data += more
        return bool(deflated or more)


class _EndOfDataset(Exception):  # noqa: N818 - no error: what was found may suffice
    """A header is cut off by the end of what can be read."""


class _Walk:
    """Goes over the elements of a dataset once, until it has all UIDs."""

    def __init__(self, read_at: ReadAt, *, is_implicit: bool, is_big: bool) -> None:
        order = ">" if is_big else "<"
        self._read_at = read_at
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "I")
        self._is_implicit = is_implicit
        self._at = 0
        self._elements = 0
        self._window = b""
        self._window_at = 0

    def values(self, wanted: frozenset[int]) -> dict[int, str]:
        """Return the wanted values that stand on the outermost level."""
        found: dict[int, str] = {}
        try:
            while len(found) < len(wanted):
                tag, length = self._header()
                if tag in wanted and length != _UNDEFINED:
                    found[tag] = self._uid(length)
                elif tag >> 16 == _DELIMITER_GROUP:
                    continue  # a stray delimiter ends nothing
                elif length == _UNDEFINED:
                    self._skip_undefined()
                else:
                    self._at += length
        except _EndOfDataset:
            return found
        return found

    def _header(self) -> tuple[int, int]:
        """Read tag and length of the element at the position; stop at its value."""
        self._elements += 1
        if self._elements > _MAX_ELEMENTS:
            message = f"more than {_MAX_ELEMENTS} elements and not all UIDs among them"
            raise InstanceRefusedError(message)
        header = self._bytes(_HEADER_BYTES)
        if len(header) < self._tag.size + self._long.size:
            raise _EndOfDataset
        group, element = self._tag.unpack_from(header)
        tag = group << 16 | element
        vr = header[4:6]
        (length,) = self._long.unpack_from(header, 4)
        self._at += 8
        if group == _DELIMITER_GROUP or self._has_no_vr(vr):
            return tag, length
        if vr not in _LONG_VRS:
            (length,) = self._short.unpack_from(header, 6)
            return tag, length
        if len(header) < _HEADER_BYTES:
            raise _EndOfDataset
        (length,) = self._long.unpack_from(header, 8)
        self._at += 4
        return tag, length

    def _has_no_vr(self, vr: bytes) -> bool:
        """Tell whether an element is implicit.

        The items of a UN of undefined length are (PS3.5 6.2.2 note 4), and some writers
        put implicit items into any sequence of an explicit dataset. There, what is no
        VR is the low half of a length.
        """
        return self._is_implicit or not (vr.isalpha() and vr.isupper())

    def _skip_undefined(self) -> None:
        """Go behind the end of a sequence of undefined length.

        What stands in a sequence and is no item ends it, and the end of a sequence ends
        its item: some writers leave the delimiters out, and the reader sets them right.
        """
        depth = 1  # odd in a sequence, even in an item
        while depth > 0:
            start = self._at
            tag, length = self._header()
            in_item = depth % 2 == 0
            if not in_item and tag >> 16 != _DELIMITER_GROUP:
                self._at = start
                depth -= 1
            elif tag == _SEQUENCE_END:
                depth -= 1 + in_item
            elif tag == _ITEM_END:
                depth -= in_item
            elif length != _UNDEFINED:
                self._at += length
            elif depth == _MAX_DEPTH:
                message = f"sequences are nested more than {_MAX_DEPTH} deep"
                raise InstanceRefusedError(message)
            else:
                depth += 1

    def _uid(self, length: int) -> str:
        if length > _MAX_UID_BYTES:
            message = f"a UID of {length} bytes at byte {self._at} of the dataset"
            raise InstanceRefusedError(message)
        value = self._bytes(length)
        if len(value) < length:
            raise _EndOfDataset
        self._at += length
        return value.decode("latin-1").strip("\0 ")

    def _bytes(self, count: int) -> bytes:
        """Return what stands at the position, by way of the window."""
        start = self._at - self._window_at
        if start < 0 or start + count > len(self._window):
            self._window = self._read_at(_WINDOW_BYTES, self._at)
            self._window_at, start = self._at, 0
        return self._window[start : start + count]

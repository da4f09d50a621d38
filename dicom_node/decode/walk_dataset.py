"""What a dataset holds and how deep, counted before a library builds objects of it.

pydicom reads nested sequences by recursion and makes an object of each element. A file
of some kilobytes can therefore exhaust the stack, and one of some megabytes the memory.
This walk follows the same rules with a stack of its own and keeps no value but those
that it is asked for.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from pydicom.datadict import dictionary_VR

from dicom_node.decode.delimiter_repair import Repair

_DELIMITER_GROUP = 0xFFFE
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
_PIXEL_GROUP = 0x7FE0
_OVERLAY_DATA = 0x3000
_OVERLAY_GROUPS = range(0x6000, 0x6020)

_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
     b"UT", b"UV"}
)  # fmt: skip
"""Two reserved bytes and a length of 32 bit (PS3.5 table 7.1-1)."""
_MOST_SHORT_BYTES = 0xFFFF
"""The longest value of all other VRs in explicit VR; in implicit VR nothing but this
limit keeps a decimal string from becoming millions of numbers."""
_MAX_KEPT_BYTES = 256
_SEARCH_BYTES = 2**20


class OverLimitError(Exception):
    """A dataset beyond a limit; the text names what, how much and the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureLimits:
    """How much one dataset may hold.

    Parameters
    ----------
    depth
        Of nested sequences. The deepest objects in use, reports of TID 1500, have
        about 12.
    elements
        With all items; an enhanced MR instance of 1000 frames has some 130 000.
    value_bytes
        Of one element beside pixels and overlays.
    """

    depth: int = 32
    elements: int = 2**18
    value_bytes: int = 2**24


@dataclass(slots=True, kw_only=True)
class Walked:
    """What a walk found.

    Parameters
    ----------
    elements
        How many, with those in sequences, and their items.
    values
        The values that were asked for, of the outermost level, by tag.
    pixels_at
        Where the value of Pixel Data begins; None without.
    repairs
        What makes the delimiters right, in the order of the dataset.
    unended
        Tag of the first sequence that has no end and cannot be given one; 0 if all
        have.
    """

    elements: int = 0
    values: dict[int, bytes] = field(default_factory=dict)
    pixels_at: int | None = None
    repairs: list[Repair] = field(default_factory=list)
    unended: int = 0


@dataclass(slots=True)
class _Level:
    """A dataset or a sequence that has been entered and not left.

    Parameters
    ----------
    end
        Where it ends at the latest; None where nothing tells.
    tag
        Of a sequence.
    is_bounded
        Whether its own length says where it ends, and no delimiter.
    """

    end: int | None
    implicit: bool
    tag: int = 0
    is_bounded: bool = False

    @property
    def holds_items(self) -> bool:
        """Whether it is a sequence."""
        return self.tag != 0


class DatasetWalk:
    """Goes over a dataset once, from where the file stands.

    Parameters
    ----------
    implicit, big
        As the transfer syntax says; items tell for themselves, as pydicom reads them.
    wanted
        Tags of the outermost level whose values are kept.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        implicit: bool,
        big: bool,
        limits: StructureLimits,
        wanted: frozenset[int] = frozenset(),
    ) -> None:
        order = ">" if big else "<"
        self._file = file
        self._short = struct.Struct(f"{order}HH2sH")
        self._long = struct.Struct(f"{order}HHI")
        self._length = struct.Struct(f"{order}I")
        self._delimiter = struct.pack(f"{order}HH", 0xFFFE, 0xE0DD)
        self._item_end = struct.pack(f"{order}HHI", 0xFFFE, 0xE00D, 0)
        self._limits = limits
        self._wanted = wanted
        self._at = file.tell()
        self._size = file.seek(0, io.SEEK_END)
        file.seek(self._at)
        self._levels = [_Level(None, self._is_implicit(outer=implicit))]
        self.found = Walked()

    def run(self, *, stop_at_pixels: bool) -> Walked:
        """Walk to the end, or up to the value of Pixel Data.

        Raises
        ------
        OverLimitError
            If the dataset is beyond a limit; `found` has what came before it.
        """
        while True:
            level = self._levels[-1]
            if level.end is not None and self._at >= level.end:
                self._leave()
                continue
            head = self._file.read(8)
            if len(head) < 8:  # noqa: PLR2004 - the header of an element, or its half
                break
            self._count()
            if level.holds_items:
                self._item(head, level)
                continue
            tag, vr, length = self._header(head, level)
            if tag in (_ITEM_END, _SEQUENCE_END):
                self._delimit(tag)
                continue
            if tag == PIXEL_DATA and len(self._levels) == 1:
                self.found.pixels_at = self._at
                if stop_at_pixels:
                    break
            self._value(tag, vr, length)
        open_ones = (one.tag for one in self._levels if one.tag and not one.is_bounded)
        self.found.unended = next(open_ones, 0)
        return self.found

    def _leave(self) -> None:
        """Go out of a level; where its length says its end, to that."""
        level = self._levels.pop()
        if level.end is not None and (level.is_bounded or self._at > level.end):
            self._at = level.end
            self._file.seek(self._at)

    def _delimit(self, tag: int) -> None:
        """Take a delimiter in a dataset: its end, that of the sequence, or a stray."""
        level = self._levels[-1]
        if len(self._levels) == 1:
            if tag == _ITEM_END:  # which ends the whole for pydicom
                self.found.repairs.append(Repair(at=self._at - 8, surplus=8))
        elif tag == _ITEM_END:
            self._levels.pop()
        elif not level.is_bounded:
            missing = Repair(at=self._at - 8, missing=self._item_end)
            self.found.repairs.append(missing)
            self._levels.pop()
            self._leave()

    def _count(self) -> None:
        self.found.elements += 1
        if self.found.elements > self._limits.elements:
            message = f"more than {self._limits.elements} elements and items"
            raise OverLimitError(message)

    def _item(self, head: bytes, sequence: _Level) -> None:
        group, element, length = self._long.unpack(head)
        tag = group << 16 | element
        if group != _DELIMITER_GROUP:
            self._end_without_delimiter(sequence)
            return
        self._at += 8
        if tag == _SEQUENCE_END:
            self._leave()
            return
        implicit = self._is_implicit(outer=sequence.implicit)
        self._levels.append(
            _Level(
                self._end_of(length),
                sequence.implicit or implicit,
                is_bounded=length != _UNDEFINED,
            )
        )

    def _end_without_delimiter(self, sequence: _Level) -> None:
        """Leave a sequence in which something stands that is no item."""
        if not sequence.is_bounded:
            missing = self._delimiter + bytes(4)
            self.found.repairs.append(Repair(at=self._at, missing=missing))
        self._file.seek(self._at)
        self._leave()

    def _end_of(self, length: int) -> int | None:
        """Return where a value of some length ends: not behind what it stands in."""
        outer = self._levels[-1].end
        if length == _UNDEFINED:
            return outer
        own = self._at + length
        return own if outer is None else min(own, outer)

    def _is_implicit(self, *, outer: bool) -> bool:
        """Tell by its first element whether a dataset has no VRs.

        Items may be implicit inside an explicit dataset (PS3.5 6.2.2), and some senders
        write a whole dataset otherwise than its transfer syntax says.
        """
        head = self._file.read(6)
        self._file.seek(self._at)
        vr = head[4:6]
        if len(vr) < 2:  # noqa: PLR2004 - the two letters of a VR
            return outer
        return not all(0x40 < letter < 0x5B for letter in vr)  # noqa: PLR2004 - A to Z

    def _header(self, head: bytes, level: _Level) -> tuple[int, bytes, int]:
        """Return tag, VR and length; an empty VR where there is none."""
        self._at += 8
        if not level.implicit:
            group, element, vr, length = self._short.unpack(head)
            if vr in _LONG_VRS:
                more = self._file.read(4)
                self._at += 4
                length = self._length.unpack(more)[0] if len(more) == 4 else 0  # noqa: PLR2004
                return group << 16 | element, vr, length
            if b"AA" <= vr <= b"ZZ":
                return group << 16 | element, vr, length
        group, element, length = self._long.unpack(head)
        return group << 16 | element, b"", length

    def _value(self, tag: int, vr: bytes, length: int) -> None:
        is_sequence = self._is_sequence(tag, vr, length)
        if is_sequence:
            self._enter(tag, length)
            return
        if length == _UNDEFINED:
            self._skip_fragments()
            return
        self._check_length(tag, vr, length)
        if tag in self._wanted and len(self._levels) == 1:
            self.found.values[tag] = self._file.read(min(length, _MAX_KEPT_BYTES))
        self._at += length
        self._file.seek(self._at)

    def _is_sequence(self, tag: int, vr: bytes, length: int) -> bool:
        """Tell whether pydicom takes a value for a sequence."""
        if vr == b"SQ":
            return True
        if vr not in (b"", b"UN"):
            return False
        if length == _UNDEFINED and vr == b"UN":
            return True
        head = self._file.read(4)
        self._file.seek(self._at)
        begins_with_item = head == self._long.pack(0xFFFE, 0xE000, 0)[:4]
        if (tag >> 16) % 2:  # private: no dictionary knows it
            return begins_with_item and length == _UNDEFINED
        try:
            return dictionary_VR(tag) == "SQ"
        except KeyError:
            return begins_with_item and length == _UNDEFINED

    def _enter(self, tag: int, length: int) -> None:
        depth = sum(level.holds_items for level in self._levels) + 1
        if depth > self._limits.depth:
            message = f"sequences are nested more than {self._limits.depth} deep"
            raise OverLimitError(message)
        self._levels.append(
            _Level(
                self._end_of(length),
                self._levels[-1].implicit,
                tag=tag,
                is_bounded=length != _UNDEFINED,
            )
        )

    def _check_length(self, tag: int, vr: bytes, length: int) -> None:
        group, element = tag >> 16, tag & 0xFFFF
        if group == _PIXEL_GROUP or (
            group in _OVERLAY_GROUPS and element == _OVERLAY_DATA
        ):
            return
        length = min(length, self._size - self._at)  # what the file does not hold
        limit = self._limits.value_bytes
        if _MOST_SHORT_BYTES < length <= limit and _is_short(tag, vr):
            limit = _MOST_SHORT_BYTES
        if length > limit:
            message = (
                f"({group:04X},{element:04X}) has {length} bytes, the limit is {limit}"
            )
            raise OverLimitError(message)

    def _skip_fragments(self) -> None:
        """Go behind the sequence delimiter of a value of undefined length."""
        while len(head := self._file.read(8)) == 8:  # noqa: PLR2004 - tag and length
            group, element, length = self._long.unpack(head)
            tag = group << 16 | element
            self._at += 8
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM or length == _UNDEFINED:
                self._seek_delimiter()
                return
            self._count()
            self._at += length
            self._file.seek(self._at)

    def _seek_delimiter(self) -> None:
        tail = b""
        while block := self._file.read(_SEARCH_BYTES):
            place = (tail + block).find(self._delimiter)
            if place >= 0:
                self._at += place - len(tail) + 8
                self._file.seek(self._at)
                return
            self._at += len(block)
            tail = block[-3:]


def _is_short(tag: int, vr: bytes) -> bool:
    """Tell whether explicit VR has only 16 bit for the length of an element."""
    if vr not in (b"", b"UN"):
        return vr not in _LONG_VRS
    try:
        known = dictionary_VR(tag)
    except KeyError:
        return False  # stays bytes
    return known.split(" or ")[0].encode() not in _LONG_VRS

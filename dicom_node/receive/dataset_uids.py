"""The UIDs of a dataset, read from its first elements without trust.

A walker of its own, since it sees every byte that anyone sends: it allocates nothing
that the data announce, follows nesting with a counter instead of recursion, and raises
one error. pydicom reads the same datasets later, in the worker.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from dicom_node.errors import InstanceRefusedError

Encoded = bytes | bytearray | memoryview

HEAD_BYTES = 1024 * 1024
"""Series Instance UID stands behind the identifying groups only; even a private block
before it stays far below this."""

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

_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_MAX_DEPTH = 64
"""Nesting of sequences; the deepest IODs (TID 1500) use about 12."""

_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
     b"UT", b"UV"}
)  # fmt: skip
"""Two reserved bytes and a length of 32 bit (PS3.5 table 7.1-1)."""

_MAX_UID_BYTES = 64 + 64
"""VR UI has at most 64; some senders exceed it, none doubles it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetHead:
    """The UIDs that say which instance of which series this is."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str


def read_head(data: Encoded, transfer_syntax_uid: str) -> DatasetHead:
    """Read the UIDs from the beginning of a dataset.

    Parameters
    ----------
    data
        The dataset as it was sent, or its first `HEAD_BYTES`.

    Raises
    ------
    InstanceRefusedError
        If the dataset cannot be walked or lacks one of the UIDs.
    """
    encoded: Encoded = data
    if transfer_syntax_uid in _DEFLATED:
        encoded = _inflated(data)
    walk = _Walk(
        memoryview(encoded),
        implicit=transfer_syntax_uid == _IMPLICIT_LITTLE,
        big=transfer_syntax_uid == _EXPLICIT_BIG,
    )
    values = walk.values()
    missing = _WANTED - values.keys()
    if missing:
        names = ", ".join(
            f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in sorted(missing)
        )
        message = f"the dataset lacks {names}"
        raise InstanceRefusedError(message)
    return DatasetHead(
        sop_class_uid=values[_SOP_CLASS],
        sop_instance_uid=values[_SOP_INSTANCE],
        study_uid=values[_STUDY],
        series_uid=values[_SERIES],
    )


def _inflated(data: Encoded) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, HEAD_BYTES)
    except zlib.error:
        message = "the dataset is not deflated as its transfer syntax says"
        raise InstanceRefusedError(message) from None


class _Walk:
    """Goes over the elements of a dataset once, from the first to Series UID."""

    def __init__(self, data: memoryview, *, implicit: bool, big: bool) -> None:
        order = ">" if big else "<"
        self._data = data
        self._implicit = [implicit]
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "I")
        self._at = 0

    def values(self) -> dict[int, str]:
        """Return the wanted values that stand on the outermost level."""
        found: dict[int, str] = {}
        try:
            while self._at < len(self._data) and len(found) < len(_WANTED):
                tag, vr, length = self._header()
                if tag in _WANTED and length != _UNDEFINED:
                    found[tag] = self._uid(length)
                elif tag > _SERIES:
                    break
                elif length == _UNDEFINED:
                    self._skip_undefined(vr)
                else:
                    self._at += length
        except struct.error:
            # The element's header is cut off: what was found before it may suffice.
            return found
        return found

    def _header(self) -> tuple[int, bytes, int]:
        """Read tag, VR and length of the element at the position; stop at its value."""
        group, element = self._tag.unpack_from(self._data, self._at)
        tag = group << 16 | element
        vr = bytes(self._data[self._at + 4 : self._at + 6])
        if self._implicit[-1] or group == _ITEM >> 16:
            vr = b""
            (length,) = self._long.unpack_from(self._data, self._at + 4)
            self._at += 8
        elif vr in _LONG_VRS:
            (length,) = self._long.unpack_from(self._data, self._at + 8)
            self._at += 12
        elif vr.isalpha() and vr.isupper():
            (length,) = self._short.unpack_from(self._data, self._at + 6)
            self._at += 8
        else:
            message = f"no element at byte {self._at} of the dataset"
            raise InstanceRefusedError(message)
        return tag, vr, length

    def _skip_undefined(self, vr: bytes) -> None:
        """Go behind the end of a sequence of undefined length."""
        outside = len(self._implicit)
        self._enter(vr)
        while len(self._implicit) > outside:
            tag, vr, length = self._header()
            if tag in (_SEQUENCE_END, _ITEM_END):
                self._implicit.pop()
            elif length == _UNDEFINED:
                self._enter(vr)
            else:
                self._at += length

    def _enter(self, vr: bytes) -> None:
        if len(self._implicit) > _MAX_DEPTH:
            message = f"sequences are nested more than {_MAX_DEPTH} deep"
            raise InstanceRefusedError(message)
        # UN of undefined length holds implicit elements (PS3.5 6.2.2 note 4).
        self._implicit.append(self._implicit[-1] or vr == b"UN")

    def _uid(self, length: int) -> str:
        value = bytes(self._data[self._at : self._at + length])
        if length > _MAX_UID_BYTES or len(value) < length:
            message = f"a UID of {length} bytes at byte {self._at} of the dataset"
            raise InstanceRefusedError(message)
        self._at += length
        return value.decode("latin-1").strip("\0 ")

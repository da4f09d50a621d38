"""The beginning of a Part 10 file: preamble and file meta information (PS3.10 7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from dicom_node.errors import InstanceRefusedError

_PREAMBLE = bytes(128) + b"DICM"
_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2s2xI")

_VERSION = 0x0001
_SOP_CLASS = 0x0002
_SOP_INSTANCE = 0x0003
_TRANSFER_SYNTAX = 0x0010
_IMPLEMENTATION = 0x0012
_SOURCE_AE = 0x0016
_PRIVATE_CREATOR = 0x0100
_PRIVATE = 0x0102
_LENGTH_BYTES = 12
_MAX_META_BYTES = 64 * 1024

_IMPLEMENTATION_UID = "2.25.220364158393726418047421632570181853729"
_GENERATION_UID = "2.25.278817096146427338527934208417613829104"
"""Says that (0002,0102) holds the generation, in decimal digits."""
GENERATION_BYTES = 20
"""The last of what `encode_meta` returns: the digits of any 64 bit number, which can be
written over without moving the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What the file meta information of our own files says.

    Parameters
    ----------
    generation
        As in `StoredInstance`; its value does not change the length of the whole.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    generation: int = 0


def encode_meta(meta: FileMeta) -> bytes:
    """Return the bytes that stand before the dataset."""
    elements = b"".join(
        (
            _LONG.pack(2, _VERSION, b"OB", 2) + b"\0\1",
            _element(_SOP_CLASS, b"UI", meta.sop_class_uid, b"\0"),
            _element(_SOP_INSTANCE, b"UI", meta.sop_instance_uid, b"\0"),
            _element(_TRANSFER_SYNTAX, b"UI", meta.transfer_syntax_uid, b"\0"),
            _element(_IMPLEMENTATION, b"UI", _IMPLEMENTATION_UID, b"\0"),
            _element(_SOURCE_AE, b"AE", meta.calling_ae, b" "),
            _element(_PRIVATE_CREATOR, b"UI", _GENERATION_UID, b"\0"),
            _LONG.pack(2, _PRIVATE, b"OB", GENERATION_BYTES),
            encode_generation(meta.generation),
        )
    )
    length = _SHORT.pack(2, 0, b"UL", 4) + struct.pack("<I", len(elements))
    return _PREAMBLE + length + elements


def encode_generation(generation: int) -> bytes:
    """Return the `GENERATION_BYTES` that say it."""
    return str(generation).zfill(GENERATION_BYTES).encode()


def read_meta(file: BinaryIO) -> FileMeta:
    """Read the file meta information; the file then stands at the dataset.

    Raises
    ------
    InstanceRefusedError
        If this is no Part 10 file or lacks what our own files have.
    """
    start = file.read(len(_PREAMBLE) + _LENGTH_BYTES)
    if len(start) < len(_PREAMBLE) + _LENGTH_BYTES or start[128:132] != b"DICM":
        message = "no DICOM file"
        raise InstanceRefusedError(message)
    length = int.from_bytes(start[-4:], "little")
    if length > _MAX_META_BYTES:
        message = f"file meta information of {length} bytes"
        raise InstanceRefusedError(message)
    values = _elements(file.read(length))
    try:
        return FileMeta(
            sop_class_uid=values[_SOP_CLASS],
            sop_instance_uid=values[_SOP_INSTANCE],
            transfer_syntax_uid=values[_TRANSFER_SYNTAX],
            calling_ae=values.get(_SOURCE_AE, ""),
            generation=_generation(values),
        )
    except KeyError as error:
        message = f"file meta information lacks (0002,{error.args[0]:04X})"
        raise InstanceRefusedError(message) from None


def _generation(values: dict[int, str]) -> int:
    """Return the generation; 0 if the file is of version 0.1.0, which wrote none."""
    text = values.get(_PRIVATE, "")
    is_ours = values.get(_PRIVATE_CREATOR) == _GENERATION_UID
    return int(text) if is_ours and text.isdecimal() and text.isascii() else 0


def _element(number: int, vr: bytes, text: str, filler: bytes) -> bytes:
    value = text.encode("latin-1", "replace")
    value += filler * (len(value) % 2)
    return _SHORT.pack(2, number, vr, len(value)) + value


def _elements(data: bytes) -> dict[int, str]:
    values: dict[int, str] = {}
    at = 0
    while at + _SHORT.size <= len(data):
        _, element, vr, length = _SHORT.unpack_from(data, at)
        at += _SHORT.size
        if vr in (b"OB", b"UN") and at + 4 <= len(data):
            (length,) = struct.unpack_from("<I", data, at)
            at += 4
        values[element] = data[at : at + length].decode("latin-1").strip("\0 ")
        at += length
    return values

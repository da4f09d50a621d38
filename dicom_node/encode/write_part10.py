"""Dataset → the bytes of a Part 10 file: those of pydicom, in a fraction of its time.

The library walks a dataset anew for each level of its sequences and opens a buffer for
each element, of which a SEG has 6000. Here the common forms are written at once; all
others are left to the library, element by element.
"""

from __future__ import annotations

import copy
import io
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import (
    correct_ambiguous_vr_element,
    write_data_element,
    write_file_meta_info,
)
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import AMBIGUOUS_VR

from dicom_node.encode.copied_texts import UTF_8

_PREAMBLE = bytes(128) + b"DICM"
_HEAD = struct.Struct("<HH2s")
_SHORT = struct.Struct("<H")
_LONG = struct.Struct("<2xI")
_ITEM = struct.Struct("<HHI")
_ITEM_TAG = (0xFFFE, 0xE000)
_MOST_SHORT_BYTES = 0xFFFF
_CHARACTER_SET = 0x00080005
_ELEMENT = 0xFFFF
"""The part of a tag that is not its group."""
_LAST_GROUP_WITH_LENGTH = 6
"""The lengths of later groups are retired (PS3.5 7.2)."""

_BYTE_VRS = frozenset({"OB", "OW"})
_TEXT_VRS = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
"""In the Specific Character Set (PS3.5 6.1.2.3); PN, which is too, has parts."""
_WORD_VRS = frozenset({"AE", "AS", "CS", "DA", "DT", "TM", "UI"})
_LONG_VRS = _BYTE_VRS | {"SQ", "UC", "UT"}
_PADDED_BY_NULL = _BYTE_VRS | {"UI"}
_NUMBERS = {"FD": "d", "FL": "f", "SL": "i", "UL": "I", "US": "H"}
"""In the words of `struct`."""
_DECIMALS = frozenset({"DS", "IS"})

_Charset = str | list[str]


def encode_file(dataset: Dataset) -> bytes:
    """Return a dataset with preamble and file meta information.

    Raises
    ------
    ValueError, TypeError, AttributeError, LookupError, OSError, struct.error
        If the dataset cannot be written.

    References
    ----------
    PS3.5 7.1.2, 7.5 (explicit VR, sequences); PS3.10 7.1.
    """
    meta = copy.deepcopy(dataset.file_meta)
    if meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        content = io.BytesIO()
        dataset.save_as(content, enforce_file_format=True)
        return content.getvalue()
    head = _buffer()
    write_file_meta_info(head, meta, enforce_standard=True)
    return b"".join((_PREAMBLE, head.getvalue(), *_elements([dataset], [], {})))


def _elements(
    path: list[Dataset], outer: _Charset, known: dict[tuple[int, str], bytes]
) -> list[bytes]:
    """Return the elements of a dataset in the order of their tags.

    Parameters
    ----------
    path
        The dataset, the one in which it is an item, and so on to the first.
    outer
        Character set of the one in which it is an item.
    known
        Items that were written before, by their identity and the character set about
        them: half of those of a SEG, of which each frame refers to the same codes.
    """
    dataset = path[0]
    charset = outer
    written: list[bytes] = []
    # Tags are compared by Python, integers are not.
    for tag, held in sorted(dataset.items(), key=_number):
        number = int(tag)
        if not number & _ELEMENT and number >> 16 > _LAST_GROUP_WITH_LENGTH:
            continue
        element = held if isinstance(held, DataElement) else dataset[tag]
        vr = element.VR
        if vr in AMBIGUOUS_VR:
            correct_ambiguous_vr_element(
                element, dataset, is_little_endian=True, ancestors=path
            )
            vr = element.VR
        if number == _CHARACTER_SET:
            charset = element.value
        if vr == "SQ":
            content = _items(element, path, charset, known)
        else:
            content = _value(element, vr, charset)
        if content is None:
            written.append(_by_library(element, charset))
        else:
            length = _LONG if vr in _LONG_VRS else _SHORT
            written += _head(number, vr), length.pack(len(content)), content
    return written


def _number(pair: tuple[BaseTag, object]) -> int:
    return int(pair[0])


def _items(
    element: DataElement,
    path: list[Dataset],
    charset: _Charset,
    known: dict[tuple[int, str], bytes],
) -> bytes | None:
    """Return the items of a sequence, each with its length."""
    if element.is_undefined_length:
        return None
    written: list[bytes] = []
    for item in element.value:
        if getattr(item, "is_undefined_length_sequence_item", False):
            return None
        key = id(item), str(charset)
        content = known.get(key)
        if content is None:
            content = b"".join(_elements([item, *path], charset, known))
            known[key] = content
        written += _ITEM.pack(*_ITEM_TAG, len(content)), content
    return b"".join(written)


@lru_cache(maxsize=1024)
def _head(number: int, vr: str) -> bytes:
    """Return tag and VR as they are written; a few hundred come again and again."""
    return _HEAD.pack(number >> 16, number & _ELEMENT, vr.encode())


def _value(element: DataElement, vr: str, charset: _Charset) -> bytes | None:
    """Return the value of an element; None if it is left to the library."""
    value = element.value
    content = None
    if isinstance(value, str):
        if vr in _WORD_VRS:
            content = value.encode("latin-1")
        elif vr in _TEXT_VRS and (charset == UTF_8 or value.isascii()):
            content = value.encode("utf-8", "replace")
    elif vr in _NUMBERS and value is not None:
        values = _several(value)
        content = struct.pack(f"<{len(values)}{_NUMBERS[vr]}", *values)
    elif vr in _DECIMALS and value is not None:
        content = "\\".join(map(_digits, _several(value))).encode("latin-1")
    elif vr in _BYTE_VRS and isinstance(value, bytes):
        content = None if element.is_undefined_length else value
    if content is None or (len(content) > _MOST_SHORT_BYTES and vr not in _LONG_VRS):
        return None
    if len(content) % 2:
        content += b"\0" if vr in _PADDED_BY_NULL else b" "
    return content


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, MultiValue | list) else (value,)


def _digits(value: object) -> str:
    """Return a decimal as it came, if it came as text."""
    return str(getattr(value, "original_string", value))


def _by_library(element: DataElement, charset: _Charset) -> bytes:
    buffer = _buffer()
    write_data_element(buffer, element, charset or None)
    return buffer.getvalue()


def _buffer() -> DicomBytesIO:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    return buffer

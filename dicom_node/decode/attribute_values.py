"""Read one attribute, whatever its sender wrote into it.

Senders leave attributes out, empty, multi-valued or filled with text that their value
representation forbids. Each function here returns a plain value or None.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, MutableSequence, Sized
from functools import lru_cache

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag, Tag

UNREADABLE = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    NotImplementedError,
    struct.error,
    BytesLengthException,
)
"""What pydicom raises when the bytes of an element do not fit its VR."""

_MOST_TAGS = 1024
"""Far more than are asked for by name."""
_TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_DECIMAL_COMMA = re.compile(r"^([+-]?\d+),(\d+)$")


def raw(dataset: Dataset, keyword: str | int) -> object:
    """Return the value of an attribute, or None if absent, empty or unreadable.

    A text that is not ASCII stays as it came: results copy its bytes, which pydicom
    forgets where they are not in the character set of their label.
    """
    try:
        tag = _tag(keyword)
        stored = dataset.get_item(tag)
        if stored is None:
            return None
        element = dataset[tag]
    except UNREADABLE:
        return None
    value: object = element.value
    if (
        isinstance(stored, RawDataElement)
        and element.VR in _TEXT_VRS
        and not (stored.value or b"").isascii()
    ):
        dataset[stored.tag] = stored
    if value is None or value == "" or (isinstance(value, Sized) and not len(value)):
        return None
    return value


@lru_cache(maxsize=_MOST_TAGS)
def _tag(keyword: str | int) -> BaseTag:
    return Tag(keyword)


def _parts(dataset: Dataset, keyword: str | int) -> tuple[object, ...]:
    value = raw(dataset, keyword)
    if value is None:
        return ()
    if isinstance(value, MutableSequence):
        return tuple(value)
    return (value,)


def text(dataset: Dataset, keyword: str) -> str:
    """Return the first value as text without padding; empty if there is none."""
    parts = _parts(dataset, keyword)
    return str(parts[0]).strip(" \0") if parts else ""


def words(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return all values as upper-case text without padding."""
    return tuple(
        str(part).strip(" \0").upper() for part in _parts(dataset, keyword) if part
    )


def numbers(dataset: Dataset, keyword: str | int) -> tuple[float, ...]:
    """Return all values as finite numbers; empty if any is not one.

    Numbers count in whatever VR they stand, and with a comma for a point.
    """
    found = []
    for part in _numerals(dataset, keyword):
        try:
            number = float(_DECIMAL_COMMA.sub(r"\1.\2", part))
        except ValueError:
            return ()
        if not math.isfinite(number):
            return ()
        found.append(number)
    return tuple(found)


def _numerals(dataset: Dataset, keyword: str | int) -> Iterator[str]:
    for part in _parts(dataset, keyword):
        if isinstance(part, bytes):  # of VR UN
            part = part.decode("latin-1")  # noqa: PLW2901 - the same, as text
        # Texts of other VRs are not parted by backslashes.
        yield from (text.strip(" \0") for text in str(part).split("\\"))


def number(dataset: Dataset, keyword: str | int) -> float | None:
    """Return the first value as a finite number, or None."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def whole(dataset: Dataset, keyword: str | int) -> int | None:
    """Return the first value as a whole number, or None."""
    found = number(dataset, keyword)
    return int(found) if found is not None and found == int(found) else None


def whole_private(dataset: Dataset, creator: str, tag: int) -> int | None:
    """Return a whole number from the first block of a group, if the creator has it."""
    owner = (tag >> 16 << 16) | 0x10
    try:
        if str(dataset[owner].value).strip(" \0") != creator:
            return None
        value = dataset[tag].value
    except UNREADABLE:
        return None
    if isinstance(value, bytes):  # of an unknown VR, as implicit VR has it
        value = int.from_bytes(value[:2], "little")
    elif isinstance(value, MutableSequence):
        value = value[0] if value else None
    return int(value) if isinstance(value, int) else None


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Return the items of a sequence; empty if it is absent or not a sequence."""
    return tuple(part for part in _parts(dataset, keyword) if isinstance(part, Dataset))


def item(dataset: Dataset, *keywords: str) -> Dataset:
    """Follow first items of nested sequences; an empty dataset where one is absent."""
    found = dataset
    for keyword in keywords:
        inner = items(found, keyword)
        found = inner[0] if inner else Dataset()
    return found

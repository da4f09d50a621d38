"""Datasets that are wrong in one way or in several, and near enough to be looked at."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from analysis.contract.geometry import Frame
from dicom_node.identifiers import derived_uid
from tests.fuzz.mutation import mutated, noise
from tests.support.mr_series import build_series
from tests.support.spine_phantom import SAGITTAL

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
ENCAPSULATED = (
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.201",
)
"""RLE, four of JPEG and JPEG-LS, JPEG 2000, HTJ2K."""

SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, *ENCAPSULATED)

_SLICES, _SIDE = 9, 16
_UNDEFINED = 0xFFFFFFFF
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_STUDY, _SERIES = 0x0020000D, 0x0020000E
_UIDS = frozenset({_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES})
_PIXEL_DATA = 0x7FE00010
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
     b"UT", b"UV"}
)  # fmt: skip
_DEEPEST = 400
_BOMB_BYTES = 60_000_000

_ODD_VALUES = (
    b"", b" ", b"\0", b"NaN ", b"1e400", b"-1", b"0", b"0,5 ", b"70 kg ", b"\\" * 51,
    b"65535", b"99999999999999999999", b"1\\0\\0\\0\\1\\0\\1",
    b"x" * 1030, b"\xff" * 16,
    b"\x1b$B%^%$%/\x1b(B ", b"../../../etc/passwd ", b"%s%n", "λ^μ".encode(),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the outermost level, as explicit little endian writes it."""

    tag: int
    vr: bytes
    value: bytes


def good_series(name: str) -> list[Dataset]:
    """Return a small sagittal series; its UIDs are made of the name."""
    voxels = np.random.default_rng(7).uniform(0, 900, (_SLICES, _SIDE, _SIDE))
    frame = Frame(
        origin_mm=np.zeros(3),
        directions=SAGITTAL,
        spacing_mm=np.array([4.0, 1.0, 1.0]),
    )
    made: list[Dataset] = []
    for instance in build_series(voxels.astype(np.float32), frame, seed=name):
        buffer = BytesIO()
        instance.save_as(buffer, enforce_file_format=True)
        buffer.seek(0)
        made.append(dcmread(buffer))
    return made


def wrong_dataset(
    chance: random.Random, *, series: str, sop_instance_uid: str, syntax: str
) -> bytes:
    """Return the bytes of a dataset that may be wrong anywhere.

    Parameters
    ----------
    series
        Wrong datasets of one name have the same Series Instance UID, unless that is
        what is wrong.
    """
    named = {
        _SOP_INSTANCE: sop_instance_uid,
        _STUDY: str(derived_uid(series)),
        _SERIES: str(derived_uid(series, "series")),
    }
    elements = [
        Element(one.tag, one.vr, _padded(named[one.tag])) if one.tag in named else one
        for one in _elements(chance.randrange(_SLICES))
    ]
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        chance.choice(_CHANGES)(elements, chance)
    if syntax in ENCAPSULATED:
        elements = [one for one in elements if one.tag != _PIXEL_DATA]
    data = b"".join(_encoded(one, syntax) for one in elements)
    if syntax in ENCAPSULATED:
        data += _fragments(chance)
    if chance.random() < 0.3:
        data = mutated(data, chance)
    return _deflated(data, chance) if syntax == DEFLATED else data


def _padded(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


@cache
def _elements(number: int) -> tuple[Element, ...]:
    dataset = good_series("fuzz")[number]
    elements = []
    for element in dataset:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        only = Dataset()
        only.add(element)
        write_dataset(buffer, only)
        data = buffer.getvalue()
        header = 12 if data[4:6] in _LONG_VRS else 8
        elements.append(Element(int(element.tag), data[4:6], data[header:]))
    return tuple(elements)


def _encoded(element: Element, syntax: str) -> bytes:
    """Return an element in a syntax; its value stays little endian, also wrongly."""
    group, number = element.tag >> 16, element.tag & 0xFFFF
    order = ">" if syntax == EXPLICIT_BIG else "<"
    value = element.value
    if syntax == IMPLICIT_LITTLE:
        return struct.pack("<HHI", group, number, len(value)) + value
    if element.vr in _LONG_VRS:
        header = struct.pack(order + "HH2sHI", group, number, element.vr, 0, len(value))
        return header + value
    value = value[:0xFFFE]
    return struct.pack(order + "HH2sH", group, number, element.vr, len(value)) + value


def _any(elements: Sequence[Element], chance: random.Random) -> int:
    """Return the place of an element, of a UID seldom, so that more is looked at."""
    places = [at for at, one in enumerate(elements) if one.tag not in _UIDS]
    if not places or chance.random() < 0.05:
        return chance.randrange(len(elements))
    return chance.choice(places)


def _odd_value(elements: list[Element], chance: random.Random) -> None:
    at = _any(elements, chance)
    former = elements[at]
    value = chance.choice(
        (*_ODD_VALUES, noise(chance, 40), mutated(former.value, chance))
    )
    elements[at] = Element(former.tag, former.vr, value)


def _other_vr(elements: list[Element], chance: random.Random) -> None:
    at = _any(elements, chance)
    former = elements[at]
    vr = chance.choice(
        (b"UN", b"SQ", b"OB", b"US", b"DS", b"UT", b"??", b"ZZ", b"\0\0")
    )
    elements[at] = Element(former.tag, vr, former.value)


def _lost(elements: list[Element], chance: random.Random) -> None:
    if len(elements) > 1:
        del elements[_any(elements, chance)]


def _twice(elements: list[Element], chance: random.Random) -> None:
    elements.insert(_any(elements, chance), elements[_any(elements, chance)])


def _disordered(elements: list[Element], chance: random.Random) -> None:
    element = elements.pop(_any(elements, chance))
    elements.insert(chance.randint(0, len(elements)), element)


def _nested(elements: list[Element], chance: random.Random) -> None:
    """Sequences in sequences, of undefined length, ended or not."""
    depth = chance.choice((1, 3, 20, _DEEPEST))
    opened = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, _UNDEFINED)
    opened += struct.pack("<HHI", 0xFFFE, 0xE000, _UNDEFINED)
    closed = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack(
        "<HHI", 0xFFFE, 0xE0DD, 0
    )
    inside = noise(chance, 30) if chance.random() < 0.3 else b""
    value = opened * depth + inside + closed * chance.choice((depth, depth - 1, 0))
    elements.insert(_any(elements, chance), Element(0x00081140, b"SQ", value[12:]))


def _stray(elements: list[Element], chance: random.Random) -> None:
    number = chance.choice((0xE000, 0xE00D, 0xE0DD))
    tag = 0xFFFE0000 | number
    elements.insert(_any(elements, chance), Element(tag, b"UN", b""))


def _many(elements: list[Element], chance: random.Random) -> None:
    filler = [
        Element(0x00091000 + n, b"LO", b"") for n in range(chance.choice((99, 3000)))
    ]
    at = _any(elements, chance)
    elements[at:at] = filler


def _huge_picture(elements: list[Element], chance: random.Random) -> None:
    """Rows, columns, frames and bits that no picture has."""
    tag = chance.choice((0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280002))
    number = chance.choice((0, 1, 7, 16, 64, 0x7FFF, 0xFFFF))
    elements.append(
        Element(0x00280008, b"IS", chance.choice((b"2147483647", b"0 ", b"-1")))
    )
    elements.append(Element(tag, b"US", struct.pack("<H", number)))
    elements.sort(key=lambda one: one.tag)


_CHANGES: tuple[Callable[[list[Element], random.Random], None], ...] = (
    _odd_value, _odd_value, _odd_value, _other_vr, _lost, _twice, _disordered, _nested,
    _stray, _many, _huge_picture,
)  # fmt: skip


def _fragments(chance: random.Random) -> bytes:
    """Return encapsulated pixel data that hold no picture, or the beginning of one."""
    starts = (
        b"",
        b"\xff\xd8\xff\xe0",
        b"\xff\x4f\xff\x51",
        b"\xff\xd8\xff\xf7",
        b"\1\0\0\0@\0\0\0",
    )
    data = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, _UNDEFINED)
    data += struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    for _ in range(chance.randint(0, 3)):
        fragment = chance.choice(starts) + noise(chance, 300)
        fragment += b"\0" * (len(fragment) % 2)
        data += struct.pack("<HHI", 0xFFFE, 0xE000, len(fragment)) + fragment
    return data + chance.choice((struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), b""))


def _deflated(data: bytes, chance: random.Random) -> bytes:
    """Deflate, at times without an end, or with more inside than memory holds."""
    fault = chance.random()
    if fault < 0.02:
        return _bomb(data)
    stream = _deflate(data)
    if fault < 0.2:
        return stream[: chance.randrange(1, len(stream))] if len(stream) > 1 else stream
    return mutated(stream, chance) if fault < 0.4 else stream


@cache
def _zeros() -> bytes:
    return bytes(_BOMB_BYTES)


def _bomb(data: bytes) -> bytes:
    """Return a deflated dataset with a private element of 60 MB of zeros at its end."""
    header = struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"OB", 0, _BOMB_BYTES)
    return _deflate(data + header + _zeros())


def _deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()

"""UIDs from the beginning of a dataset, in every encoding and from noise."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom_node.errors import InstanceRefusedError
from dicom_node.receive.dataset_uids import DatasetUids, in_memory, read_uids
from tests.support.dicom_files import encoded, mr_instance


def read(content: bytes, syntax: str) -> DatasetUids:
    return read_uids(in_memory(content), syntax)


EXPECTED = DatasetUids(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    sop_instance_uid=str(mr_instance().SOPInstanceUID),
    study_uid=str(mr_instance().StudyInstanceUID),
    series_uid=str(mr_instance().SeriesInstanceUID),
)


def _with_sequences(*, undefined: bool) -> Dataset:
    """Return an instance with nested sequences before the series UID."""
    found = mr_instance()
    code = Dataset()
    code.CodeValue = "T-11500"
    code.StudyInstanceUID = "9.9.9"  # inside a sequence: not the study's UID
    outer = Dataset()
    outer.PurposeOfReferenceCodeSequence = Sequence([code])
    found.ReferencedStudySequence = Sequence([outer, outer])
    found.SourceImageSequence = Sequence([])
    for keyword in ("ReferencedStudySequence", "SourceImageSequence"):
        found[keyword].is_undefined_length = undefined
    for item in found.ReferencedStudySequence:
        item.is_undefined_length_sequence_item = undefined
        item["PurposeOfReferenceCodeSequence"].is_undefined_length = undefined
    return found


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_the_uids_are_found_in_every_encoding(syntax: UID, undefined: bool) -> None:
    found = _with_sequences(undefined=undefined)
    found.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        found.PixelData = bytes(2 * 32 * 32)
    assert read(encoded(found), syntax) == EXPECTED


def test_a_sequence_of_unknown_vr_holds_implicit_elements() -> None:
    content = encoded(mr_instance())
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    item += struct.pack("<HHI", 0x0009, 0x1010, 4) + b"abcd"
    item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    unknown = struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF)
    unknown += item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    behind_group_8 = content.index(struct.pack("<HH", 0x0010, 0x0010))
    mixed = content[:behind_group_8] + unknown + content[behind_group_8:]
    assert read(mixed, ExplicitVRLittleEndian) == EXPECTED


def _element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    length = len(value) if length is None else length
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length) + value


def _implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    length = len(value) if length is None else length
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length) + value


_UNDEFINED = 0xFFFFFFFF
_ITEM_END, _SEQUENCE_END = (_implicit(tag, b"") for tag in (0xFFFEE00D, 0xFFFEE0DD))
_IMPLICIT_ITEM = _implicit(
    0xFFFEE000,
    _implicit(0x00080100, b"T-1234")
    + _implicit(0x00080104, b"words ")
    + _implicit(0x00081140, _SEQUENCE_END, _UNDEFINED)
    + _ITEM_END,
    _UNDEFINED,
)
_EXPLICIT_ITEM = _implicit(
    0xFFFEE000, _element(0x00080119, b"UC", b"words ") + _ITEM_END, _UNDEFINED
)
_ODD_BUT_READABLE = {
    "a sequence of implicit items": _element(
        0x00191010, b"SQ", _IMPLICIT_ITEM + _SEQUENCE_END, _UNDEFINED
    ),
    "UN of implicit items": _element(
        0x00191010, b"UN", _IMPLICIT_ITEM + _SEQUENCE_END, _UNDEFINED
    ),
    "UN of explicit items": _element(
        0x00191010, b"UN", _EXPLICIT_ITEM + _SEQUENCE_END, _UNDEFINED
    ),
    "a sequence without an end": _element(
        0x00191010, b"SQ", _IMPLICIT_ITEM, _UNDEFINED
    ),
    "an item without an end": _element(
        0x00191010,
        b"SQ",
        _implicit(0xFFFEE000, _element(0x00080119, b"UC", b"words "), _UNDEFINED)
        + _SEQUENCE_END,
        _UNDEFINED,
    ),
    "a stray end of a sequence": _SEQUENCE_END,
    "a stray end of an item": _ITEM_END,
    "an implicit element": _implicit(0x00191010, b"words "),
    "an element of a later group": _element(0x00280009, b"UN", b"abcd"),
    "a large private block": _element(0x00191010, b"OB", bytes(5_000_000)),
    "references to 9000 instances": _element(
        0x00191010, b"SQ", _EXPLICIT_ITEM * 9000 + _SEQUENCE_END, _UNDEFINED
    ),
}


@pytest.mark.parametrize("name", _ODD_BUT_READABLE)
def test_what_the_reader_forgives_hides_no_uid(name: str) -> None:
    """Of scanners and anonymisers; our reader finds the UIDs behind each of them."""
    content = encoded(mr_instance())
    before_the_study_uid = content.index(struct.pack("<HH", 0x0020, 0x000D))
    odd = (
        content[:before_the_study_uid]
        + _ODD_BUT_READABLE[name]
        + content[before_the_study_uid:]
    )
    assert read(odd, ExplicitVRLittleEndian) == EXPECTED


def test_more_elements_than_any_dataset_has_are_refused() -> None:
    with pytest.raises(InstanceRefusedError, match="more than 100000 elements"):
        read(_implicit(0x00191010, b"") * 100_001, ImplicitVRLittleEndian)


def test_what_follows_the_series_uid_is_not_looked_at() -> None:
    content = encoded(mr_instance())
    end = content.index(EXPECTED.series_uid.encode()) + len(EXPECTED.series_uid)
    assert read(content[: end + 1], ExplicitVRLittleEndian) == EXPECTED


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("SOPClassUID", "0008,0016"),
        ("SOPInstanceUID", "0008,0018"),
        ("StudyInstanceUID", "0020,000D"),
        ("SeriesInstanceUID", "0020,000E"),
    ],
)
def test_a_uid_that_is_missing_is_named(keyword: str, tag: str) -> None:
    found = mr_instance()
    del found[keyword]
    with pytest.raises(InstanceRefusedError, match=tag):
        read(encoded(found), ExplicitVRLittleEndian)


def test_an_empty_dataset_lacks_all() -> None:
    with pytest.raises(InstanceRefusedError, match="0008,0016"):
        read(b"", ExplicitVRLittleEndian)


def test_bottomless_nesting_is_refused_without_a_recursion() -> None:
    level = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    level += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(InstanceRefusedError, match="nested more than 64 deep"):
        read(level * 100, ExplicitVRLittleEndian)


def test_a_small_file_that_inflates_without_end_is_cut() -> None:
    bomb = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    content = bomb.compress(bytes(50_000_000)) + bomb.flush()
    with pytest.raises(InstanceRefusedError):
        read(content, DeflatedExplicitVRLittleEndian)


def test_what_is_not_deflated_is_refused() -> None:
    with pytest.raises(InstanceRefusedError, match="not deflated"):
        read(b"\xff" * 100, DeflatedExplicitVRLittleEndian)


SYNTAXES = st.sampled_from(
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ]
)


@given(st.binary(max_size=500), SYNTAXES)
def test_any_bytes_give_uids_or_one_error(content: bytes, syntax: str) -> None:
    with suppress(InstanceRefusedError):
        assert read(content, syntax).series_uid is not None


NESTED = encoded(_with_sequences(undefined=True))


@given(st.integers(0, 600), st.binary(min_size=1, max_size=8))
def test_damage_anywhere_gives_uids_or_one_error(at: int, noise: bytes) -> None:
    damaged = NESTED[:at] + noise + NESTED[at + len(noise) :]
    with suppress(InstanceRefusedError):
        assert read(damaged, ExplicitVRLittleEndian).series_uid is not None

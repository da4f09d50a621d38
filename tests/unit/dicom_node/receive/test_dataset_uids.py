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
from dicom_node.receive.dataset_uids import DatasetHead, read_head
from tests.support.dicom_files import encoded, mr_instance

EXPECTED = DatasetHead(
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
    assert read_head(encoded(found), syntax) == EXPECTED


def test_a_sequence_of_unknown_vr_holds_implicit_elements() -> None:
    content = encoded(mr_instance())
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    item += struct.pack("<HHI", 0x0009, 0x1010, 4) + b"abcd"
    item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    unknown = struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF)
    unknown += item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    behind_group_8 = content.index(struct.pack("<HH", 0x0010, 0x0010))
    mixed = content[:behind_group_8] + unknown + content[behind_group_8:]
    assert read_head(mixed, ExplicitVRLittleEndian) == EXPECTED


def test_what_follows_the_series_uid_is_not_looked_at() -> None:
    content = encoded(mr_instance())
    end = content.index(EXPECTED.series_uid.encode()) + len(EXPECTED.series_uid)
    assert read_head(content[: end + 1], ExplicitVRLittleEndian) == EXPECTED


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
        read_head(encoded(found), ExplicitVRLittleEndian)


def test_an_empty_dataset_lacks_all() -> None:
    with pytest.raises(InstanceRefusedError, match="0008,0016"):
        read_head(b"", ExplicitVRLittleEndian)


def test_bottomless_nesting_is_refused_without_a_recursion() -> None:
    level = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    level += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(InstanceRefusedError, match="nested more than 64 deep"):
        read_head(level * 100_000, ExplicitVRLittleEndian)


def test_a_small_file_that_inflates_without_end_is_cut() -> None:
    bomb = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    content = bomb.compress(bytes(50_000_000)) + bomb.flush()
    with pytest.raises(InstanceRefusedError):
        read_head(content, DeflatedExplicitVRLittleEndian)


def test_what_is_not_deflated_is_refused() -> None:
    with pytest.raises(InstanceRefusedError, match="not deflated"):
        read_head(b"\xff" * 100, DeflatedExplicitVRLittleEndian)


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
        assert read_head(content, syntax).series_uid is not None


NESTED = encoded(_with_sequences(undefined=True))


@given(st.integers(0, 600), st.binary(min_size=1, max_size=8))
def test_damage_anywhere_gives_uids_or_one_error(at: int, noise: bytes) -> None:
    damaged = NESTED[:at] + noise + NESTED[at + len(noise) :]
    with suppress(InstanceRefusedError):
        assert read_head(damaged, ExplicitVRLittleEndian).series_uid is not None

"""Our file meta information as pydicom reads it."""

from __future__ import annotations

import struct
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from dicom_node.errors import InstanceRefusedError
from dicom_node.receive.file_meta import (
    GENERATION_BYTES,
    FileMeta,
    encode_generation,
    encode_meta,
    read_meta,
)
from tests.support.dicom_files import encoded, mr_instance

META = FileMeta(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    sop_instance_uid="1.2.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    calling_ae="PACS",
    generation=1_234_567_890_123,
)


def test_pydicom_reads_what_we_write() -> None:
    found = dcmread(BytesIO(encode_meta(META) + encoded(mr_instance())))
    assert found.file_meta.MediaStorageSOPClassUID == META.sop_class_uid
    assert found.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert found.file_meta.TransferSyntaxUID == META.transfer_syntax_uid
    assert found.file_meta.SourceApplicationEntityTitle == "PACS"
    assert found.file_meta.FileMetaInformationVersion == b"\0\1"
    assert found.Rows == 32


def test_we_read_what_we_write_up_to_the_dataset() -> None:
    file = BytesIO(encode_meta(META) + b"dataset")
    assert read_meta(file) == META
    assert file.read() == b"dataset"


def test_the_generation_can_be_written_over() -> None:
    first, later = (replace(META, generation=number) for number in (0, 2**63))
    written_over = encode_meta(first)[:-GENERATION_BYTES] + encode_generation(2**63)
    assert written_over == encode_meta(later)


def test_what_the_first_release_wrote_is_of_generation_0() -> None:
    content = encode_meta(META)
    # It ended with the AE title, before two elements of ours.
    private = content.index(struct.pack("<HH", 2, 0x0100))
    length = struct.pack("<I", private - 144)
    former = content[:140] + length + content[144:private]
    assert read_meta(BytesIO(former)) == replace(META, generation=0)


@pytest.mark.parametrize("length", [0, 100, 131, 143, 150, 200])
def test_a_file_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(InstanceRefusedError):
        read_meta(BytesIO(encode_meta(META)[:length]))


@given(st.binary(max_size=300))
def test_any_bytes_behind_the_magic_word_are_read_or_refused(noise: bytes) -> None:
    file = BytesIO(bytes(128) + b"DICM" + noise)
    with pytest.raises(InstanceRefusedError):
        read_meta(file)

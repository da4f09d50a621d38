"""Our file meta information as pydicom reads it."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from dicom_node.errors import InstanceRefusedError
from dicom_node.receive.file_meta import FileMeta, encode_meta, read_meta
from tests.support.dicom_files import encoded, mr_instance

META = FileMeta(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    sop_instance_uid="1.2.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    calling_ae="PACS",
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


@pytest.mark.parametrize("length", [0, 100, 131, 143, 150, 200])
def test_a_file_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(InstanceRefusedError):
        read_meta(BytesIO(encode_meta(META)[:length]))


@given(st.binary(max_size=300))
def test_any_bytes_behind_the_magic_word_are_read_or_refused(noise: bytes) -> None:
    file = BytesIO(bytes(128) + b"DICM" + noise)
    with pytest.raises(InstanceRefusedError):
        read_meta(file)

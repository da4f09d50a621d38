"""A file of ours has the bytes that pydicom would have written."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from dicom_node.encode.result_context import ROLES
from dicom_node.encode.result_objects import encode_result
from dicom_node.encode.write_part10 import encode_file
from tests.support.encoded import REQUEST, decoded_phantom
from tests.support.phantom_result import phantom_result

GB18030 = "GB18030"
WANG = "王^小东"


def of_pydicom(dataset: Dataset) -> bytes:
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def a_file(**attributes: object) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def an_item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


@pytest.mark.parametrize("kind", ["binary", "labelmap", "labelmap-rle"])
def test_every_result_object_is_written_as_pydicom_writes_it(
    tmp_path: Path, kind: str
) -> None:
    series, labels = decoded_phantom(tmp_path)
    request = replace(REQUEST, objects=ROLES, segmentation=kind)
    objects = encode_result(phantom_result(labels), series, request)
    assert {one.name for one in objects} >= {"seg", "sr", "sc_01", "pdf", "gsps_01"}
    for one in objects:
        ours = encode_file(one.dataset)
        assert ours == of_pydicom(one.dataset), one.name


def with_texts_of_odd_length() -> FileDataset:
    return a_file(
        PatientID="123",
        PatientName=WANG,
        StudyDescription="腰椎",
        ImageComments="x" * 1001,
        PatientBirthDate=date(1970, 1, 2),
        StudyDate="20260203",
        ReferencedSOPInstanceUID="1.2.34",
        TextValue="odd",
    )


def with_several_and_no_values() -> FileDataset:
    return a_file(
        ImageType=["DERIVED", "PRIMARY", "AI"],
        SoftwareVersions=["lumbar-node 1", "lumbar-mri 1.0"],
        OtherPatientNames=[WANG, "Wang^Xiaodong"],
        PixelSpacing=[0.625, "0.6250"],
        SeriesNumber="7",
        Rows=0,
        GraphicData=[1.5, 2.5, 3.5],
        RealWorldValueSlope=0.1,
        AccessionNumber="",
        ReferringPhysicianName=None,
        StudyID=None,
        ConceptNameCodeSequence=[],
        FrameIncrementPointer=0x00280009,
    )


def with_a_name_in_its_own_characters() -> FileDataset:
    item = an_item(SpecificCharacterSet=GB18030, PatientName=WANG, PatientID="腰1")
    inner = an_item(PatientComments="腰椎")
    item.PersonIdentificationCodeSequence = [inner]
    return a_file(OtherPatientIDsSequence=[item, an_item(PatientID="腰2")])


def with_sequences_of_no_stated_length() -> FileDataset:
    dataset = a_file(
        ProcedureCodeSequence=[an_item(CodeValue="1"), an_item(CodeValue="22")],
        RequestAttributesSequence=[an_item(ScheduledProcedureStepID="3")],
    )
    dataset["ProcedureCodeSequence"].is_undefined_length = True
    item = dataset.RequestAttributesSequence[0]
    item.is_undefined_length_sequence_item = True
    return dataset


def with_what_the_standard_leaves_open() -> FileDataset:
    dataset = a_file(Rows=1, Columns=3, SamplesPerPixel=1, PixelRepresentation=1)
    dataset.BitsAllocated = 8
    dataset.SmallestImagePixelValue = -1
    dataset.PixelData = b"\1\2\3"
    private = dataset.private_block(0x0011, "OURS", create=True)
    private.add_new(0x01, "UN", b"\7\7")
    dataset.add_new(0x00100000, "UL", 4)  # a retired group length is left out
    return dataset


@pytest.mark.parametrize(
    "made",
    [
        with_texts_of_odd_length,
        with_several_and_no_values,
        with_a_name_in_its_own_characters,
        with_sequences_of_no_stated_length,
        with_what_the_standard_leaves_open,
    ],
)
def test_rare_forms_are_written_as_pydicom_writes_them(
    made: Callable[[], FileDataset],
) -> None:
    ours = encode_file(made())
    assert ours == of_pydicom(made())
    assert dcmread(io.BytesIO(ours)) == dcmread(io.BytesIO(of_pydicom(made())))


def test_another_transfer_syntax_is_kept() -> None:
    dataset = a_file(PatientID="1")
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert encode_file(dataset) == of_pydicom(dataset)


def test_what_has_no_instance_uid_is_no_file() -> None:
    dataset = a_file()
    del dataset.file_meta.MediaStorageSOPInstanceUID
    with pytest.raises(AttributeError, match="Media Storage SOP Instance UID"):
        encode_file(dataset)


def test_a_number_that_does_not_fit_its_form_is_not_written() -> None:
    with config.disable_value_validation(), pytest.raises(struct.error):
        encode_file(a_file(Rows=70000))

"""Attributes that are only copied: none costs a result, none goes on if illegal."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_node.decode.volume import read_volume
from dicom_node.encode.copied_attributes import Copier
from dicom_node.encode.result_context import ROLES
from dicom_node.encode.result_objects import encode_result
from dicom_node.encode.source_attributes import doubts_about
from dicom_node.encode.write_part10 import encode_file
from tests.support.dicom3tools import errors_of
from tests.support.encoded import (
    REQUEST,
    SHAPE,
    SPACING_MM,
    by_name,
    decoded_phantom,
    lopsided,
)
from tests.support.mr_series import build_enhanced, build_series, write_series
from tests.support.phantom_result import phantom_result
from tests.support.spine_phantom import phantom_spine


def put(
    dataset: Dataset, keyword: str, content: bytes, *, vr: str | None = None
) -> None:
    """Write bytes that the VR forbids, as they come from a file."""
    tag = Tag(keyword)
    vr = vr or dictionary_VR(tag)
    dataset[tag] = RawDataElement(
        tag, vr, len(content), content, 0, is_implicit_VR=False,
        is_little_endian=True, is_raw=True,
    )  # fmt: skip


def item(**attributes: object) -> Dataset:
    made = Dataset()
    with config.disable_value_validation():
        for keyword, value in attributes.items():
            setattr(made, keyword, value)
    return made


def taken(
    keyword: str, content: bytes, *, vr: str | None = None
) -> tuple[str | None, list[str]]:
    """Return what is copied of an attribute, as text, and the doubts."""
    dataset = Dataset()
    put(dataset, keyword, content, vr=vr)
    copier = Copier(dataset)
    copied = copier.take([keyword])
    if keyword not in copied:
        return None, copier.doubts
    value = copied[keyword].value
    return str(getattr(value, "original_string", None) or value), copier.doubts


@pytest.mark.parametrize(
    ("keyword", "content", "copied"),
    [
        ("PatientWeight", b"70 kg ", None),
        ("PatientWeight", b"70,5", "70.5"),
        ("PatientWeight", b"-1", None),
        ("PatientWeight", b"NaN ", None),
        ("ReferringPhysicianName", b"DOCTOR^ONE\\DOCTOR^TWO ", "DOCTOR^ONE"),
        ("PatientName", b"DOE\\JOHN", "DOE"),
        ("PatientName", b"A" * 70, "A" * 64),
        ("PatientName", b"A^B^C^D^E^F^G ", "A^B^C^D^E"),
        ("PatientID", b"4" * 80, "4" * 64),
        ("PatientID", b"47\\11 ", "['47', '11']"),
        ("AccessionNumber", b"A1234567890123456789", "A123456789012345"),
        ("StudyDescription", b"Spine\tlumbar ", "Spinelumbar"),
        ("PatientBirthDate", b"1980.06.15", "19800615"),
        ("PatientBirthDate", b"19800231", None),
        ("PatientBirthDate", b"unknown ", None),
        ("StudyTime", b"10:15:00", "101500"),
        ("StudyTime", b"25", None),
        ("PatientAge", b"45Y ", "045Y"),
        ("PatientAge", b"forty ", None),
        ("PatientSex", b"f ", "F"),
        ("PatientSex", b"female", None),
        ("SmokingStatus", b"SOMETIMES ", None),
        ("OtherPatientIDs", b"1\\2\\3 ", "['1', '2', '3']"),
        ("ReferencedStudySequence", b"nonsense", None),
        ("StudyInstanceUID", b"1.2.3\r\n", "1.2.3"),
    ],
)
def test_an_illegal_value_is_mended_or_left_out_by_name(
    keyword: str, content: bytes, copied: str | None
) -> None:
    value, doubts = taken(keyword, content)
    assert value == copied
    if keyword != "OtherPatientIDs":
        assert len(doubts) == 1


@pytest.mark.parametrize(
    "keyword", ["StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"]
)
@pytest.mark.parametrize("uid", ["1.2.840.03.4", "1.2..3", "1.2.3.", "5.1.2", "1999"])
def test_an_illegal_uid_by_which_results_are_found_is_kept_and_told(
    keyword: str, uid: str
) -> None:
    with config.disable_value_validation():
        value, (doubt,) = taken(keyword, uid.encode())
    assert value == uid
    assert doubt.endswith("(no valid UI, kept, so that references match)")


def test_a_reference_with_an_illegal_uid_is_left_out() -> None:
    source = Dataset()
    source.ReferencedStudySequence = [
        item(
            ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
            ReferencedSOPInstanceUID=uid,
        )
        for uid in ("1.2.840.3.4", "1.2.840.03.4")
    ]
    copier = Copier(source)
    (kept,) = copier.take(["ReferencedStudySequence"]).ReferencedStudySequence
    assert kept.ReferencedSOPInstanceUID == "1.2.840.3.4"
    assert len(copier.doubts) == 2


@pytest.mark.parametrize(
    ("keyword", "content", "copied"),
    [
        ("PatientWeight", b"070.50", "070.50"),
        ("PatientName", b"DOE^JOHN^^^", "DOE^JOHN^^^"),
        ("PatientBirthDate", b"19800615", "19800615"),
        ("PatientComments", b"left \\ right ", "left \\ right"),
        ("PatientSex", b"", ""),
    ],
)
def test_a_legal_value_is_copied_without_a_word(
    keyword: str, content: bytes, copied: str
) -> None:
    assert taken(keyword, content) == (copied, [])


@pytest.mark.parametrize("vr", ["LO", "UN", "ST"])
def test_a_sequence_under_another_vr_is_left_out(vr: str) -> None:
    value, doubts = taken("ProcedureCodeSequence", b"not a sequence", vr=vr)
    assert value is None
    assert "Procedure Code Sequence" in doubts[0]


def test_a_text_under_another_vr_is_read_as_what_it_is() -> None:
    assert taken("PatientID", b"4711", vr="UN") == ("4711", [])
    assert taken("StudyDescription", b"Spine ", vr="ST") == ("Spine", [])


def test_codes_keep_what_makes_them_codes() -> None:
    dataset = Dataset()
    code = {"CodeValue": "MRL1", "CodingSchemeDesignator": "99LOC"}
    dataset.ProcedureCodeSequence = [
        item(**code, CodeMeaning="M" * 77),
        item(**code, CodeMeaning=""),
        item(CodeMeaning="no value"),
        item(),
    ]
    copier = Copier(dataset)
    (kept,) = copier.take(["ProcedureCodeSequence"]).ProcedureCodeSequence
    assert kept.CodeMeaning == "M" * 64
    assert len(copier.doubts) == 2


def spoilt(source: Dataset) -> None:
    """Spoil much of what results copy."""
    for keyword, content in {
        "PatientWeight": b"70 kg ",
        "PatientSize": b"1,75",
        "PatientAge": b"45 years",
        "ReferringPhysicianName": b"DOCTOR^ONE\\DOCTOR^TWO",
        "PatientName": b"DOE\\JOHN",
        "PatientID": b"1" * 80,
        "AccessionNumber": b"A" * 40,
        "StudyID": b"S" * 40,
        "StudyDate": b"2026.01.02",
        "StudyTime": b"10:15",
        "StudyDescription": b"Spine\r\nlumbar",
        "EthnicGroup": b"E" * 40,
        "SmokingStatus": b"SOMETIMES ",
        "PatientSexNeutered": b"PERHAPS ",
        "Manufacturer": b"M" * 100,
        "SoftwareVersions": b"a\\" + b"b" * 100,
        "DeviceSerialNumber": b"D" * 100,
        "InstitutionName": b"Hospital\x1b\x01",
        "StationName": b"S" * 30,
        "SeriesNumber": b"three ",
        "SliceThickness": b"4,0 ",
        "BodyPartExamined": b"Lumbar spine, all of it ",
    }.items():
        put(source, keyword, content)
    put(source, "OtherPatientIDsSequence", b"nonsense", vr="LO")
    source.ProcedureCodeSequence = [
        item(CodeValue="1", CodingSchemeDesignator="99LOC", CodeMeaning="M" * 80),
        item(),
    ]
    source.ReferencedStudySequence = [item(), item(ReferencedSOPClassUID="1.2.3")]
    source.IssuerOfAccessionNumberSequence = [item()]
    source.PatientSpeciesCodeSequence = [item()]
    source.add_new(0x00101001, "PN", "Other^Name")


def test_a_source_that_is_wrong_throughout_gives_valid_results(tmp_path: Path) -> None:
    series, labels = decoded_phantom(tmp_path / "source")
    for source in series.sources:
        spoilt(source)
    (notice,) = doubts_about(series.sources[0])
    assert notice.code == "attributes_mended"
    for name in ("Patient's Weight", "Referring Physician's Name", "Station Name"):
        assert name in notice.text
    assert "DOE" not in notice.text
    request = replace(REQUEST, objects=ROLES)
    objects = encode_result(phantom_result(labels), series, request)
    for one in objects:
        path = tmp_path / f"{one.name}.dcm"
        path.write_bytes(encode_file(one.dataset))
        assert errors_of("dciodvfy", path) == [], one.name
    for dataset in by_name(objects).values():
        assert dataset.PatientID == "1" * 64
        assert dataset.ReferringPhysicianName == "DOCTOR^ONE"
        assert "PatientWeight" not in dataset


def test_results_stay_with_a_patient_whose_id_has_a_backslash(tmp_path: Path) -> None:
    series, labels = decoded_phantom(tmp_path / "source")
    for source in series.sources:
        put(source, "PatientID", b"47\\11 ")
    request = replace(REQUEST, objects=ROLES)
    for one in encode_result(phantom_result(labels), series, request):
        written = dcmread(BytesIO(encode_file(one.dataset)))
        assert list(written.PatientID) == ["47", "11"], one.name


@pytest.mark.parametrize(
    ("attributes", "part", "method", "doubts"),
    [
        ({"BodyPartExamined": b"LUMBAR SPINE"}, "LSPINE", None, 0),
        ({"BodyPartExamined": b"RUECKEN "}, "LSPINE", None, 0),
        ({"BodyPartExamined": b"TLSPINE "}, "TLSPINE", None, 0),
        ({"SpacingBetweenSlices": b"", "PatientWeight": b""}, "LSPINE", None, 0),
        ({"SeriesNumber": b"\\ ", "InstanceNumber": b"\0\0"}, "LSPINE", None, 0),
        (
            {"PatientIdentityRemoved": b"YES "},
            "LSPINE",
            "Not stated by the source",
            1,
        ),
        (
            {"PatientIdentityRemoved": b"YES ", "DeidentificationMethod": b"\0\0"},
            "LSPINE",
            "Not stated by the source",
            1,
        ),
        (
            {"PatientIdentityRemoved": b"NO", "DeidentificationMethod": b"  "},
            "LSPINE",
            None,
            0,
        ),
    ],
)
def test_what_the_source_lacks_makes_no_result_invalid(
    tmp_path: Path,
    attributes: dict[str, bytes],
    part: str,
    method: str | None,
    doubts: int,
) -> None:
    series, labels = decoded_phantom(tmp_path / "source")
    for source in series.sources:
        for keyword, content in attributes.items():
            put(source, keyword, content)
    assert len(doubts_about(series.sources[0])) == doubts
    request = replace(REQUEST, objects=("seg", "sc", "gsps"))
    for one in encode_result(phantom_result(labels), series, request):
        path = tmp_path / f"{one.name}.dcm"
        path.write_bytes(encode_file(one.dataset))
        assert errors_of("dciodvfy", path) == [], one.name
        assert one.dataset.BodyPartExamined == part
        assert one.dataset.get("DeidentificationMethod") == method


def with_commas(dataset: Dataset) -> None:
    """Write every decimal, of all levels, with a comma for the point."""
    for element in list(dataset):
        if element.VR == "SQ":
            for inner in element.value:
                with_commas(inner)
        elif element.VR == "DS":
            values = element.value if element.VM > 1 else [element.value]
            text = "\\".join(str(float(value)) for value in values)
            put(dataset, element.keyword, text.replace(".", ",").encode())


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_decimal_commas_cost_no_result(tmp_path: Path, kind: str) -> None:
    voxels, frame, labels = phantom_spine(SHAPE, SPACING_MM)
    datasets = (
        build_series(voxels, frame, RescaleSlope=2, RescaleIntercept=0)
        if kind == "classic"
        else [build_enhanced(voxels, frame)]
    )
    for dataset in datasets:
        with_commas(dataset)
    with config.disable_value_validation():
        series = read_volume(write_series(tmp_path / "source", datasets))
    for groups in series.sources[0].get("SharedFunctionalGroupsSequence", ()):
        # Of no use to a result, and too short to be read.
        put(groups, "EffectiveEchoTime", b"1234")
    (notice,) = doubts_about(series.sources[0])
    assert "Pixel Spacing (no valid DS, mended)" in notice.text
    request = replace(REQUEST, objects=ROLES)
    objects = encode_result(phantom_result(lopsided(labels)), series, request)
    assert len(by_name(objects)) == len(ROLES)


NAME = "张^三"
LATIN = "Müller^Jörg"
CYRILLIC = "Юлия^Жданова"
UTF_8 = "ISO_IR 192"


@pytest.mark.parametrize(
    ("label", "content", "doubt"),
    [
        ("ISO_IR 100", NAME.encode("gbk"), "looks like GB 18030"),
        ("ISO_IR 100", LATIN.encode(), "looks like UTF-8"),
        ("GB18030", NAME.encode("gb18030"), ""),
        ("GBK", NAME.encode("gbk"), ""),
        (UTF_8, NAME.encode(), ""),
        ("ISO_IR 100", LATIN.encode("latin-1"), ""),
        ("ISO_IR 144", CYRILLIC.encode("iso8859_5"), ""),
        ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ".encode("shift_jis"), ""),
        ("\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce", ""),
        ("\\ISO 2022 IR 87", b"Yamada=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", ""),
    ],
)
def test_text_keeps_its_bytes_and_its_label(
    label: str | None, content: bytes, doubt: str
) -> None:
    """The archive shows the same letters for source and result, right or wrong."""
    dataset = Dataset()
    if label is not None:
        put(dataset, "SpecificCharacterSet", label.encode())
    put(dataset, "PatientName", content)
    copier = Copier(dataset)
    result = copier.take(["PatientName"])
    found = copier.character_set
    assert (found if isinstance(found, str) else "\\".join(found)) == label
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.file_meta.MediaStorageSOPClassUID = result.SOPClassUID = UID("1.2.3")
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID = UID("1.2.4")
    if found is not None:
        result.SpecificCharacterSet = found
    written = dcmread(BytesIO(encode_file(result))).get_item("PatientName")
    assert written.value is not None
    assert written.value.rstrip() == content
    assert any(doubt in said for said in copier.doubts) if doubt else not copier.doubts


@pytest.mark.parametrize(
    ("label", "content", "copied", "doubt"),
    [
        (None, NAME.encode("gbk"), "ÕÅ^Èý", "no label"),
        (None, NAME.encode(), NAME, "is in UTF-8"),
        (None, LATIN.encode("latin-1"), LATIN, "no label"),
        ("ISO_IR 100", NAME.encode(), NAME, "is in UTF-8"),
        ("ISO_IR_192", NAME.encode(), NAME, "misspelt"),
        (UTF_8, LATIN.encode("latin-1"), LATIN, "is not in UTF-8"),
        ("KLINGON", LATIN.encode("latin-1"), LATIN, "no character set"),
        ("ISO_IR 13", "山田".encode("shift_jis"), "山田", "not in the character set"),
        ("ISO 2022 IR 87", NAME.encode(), NAME, "is in UTF-8"),
        ("ISO 2022 IR 13\\ISO 2022 IR 87", NAME.encode(), NAME, "is in UTF-8"),
        (f"ISO_IR 100\\{UTF_8}", LATIN.encode("latin-1"), LATIN, "no character set"),
    ],
)
def test_text_that_its_label_cannot_hold_is_written_in_utf_8_with_a_warning(
    label: str | None, content: bytes, copied: str, doubt: str
) -> None:
    dataset = Dataset()
    if label is not None:
        put(dataset, "SpecificCharacterSet", label.encode())
    put(dataset, "PatientName", content)
    put(dataset, "StudyDescription", content)
    copier = Copier(dataset)
    result = copier.take(["PatientName", "StudyDescription"])
    assert copier.character_set == UTF_8
    assert str(result.PatientName) == result.StudyDescription == copied
    assert any(doubt in said for said in copier.doubts)


def test_control_characters_are_left_out_but_line_feeds_of_long_texts() -> None:
    dataset = Dataset()
    put(dataset, "SpecificCharacterSet", b"")
    put(dataset, "AdditionalPatientHistory", b"a\tb\r\nc\x00\x01d")
    put(dataset, "InstitutionName", b"\x1b$B0l")
    copier = Copier(dataset)
    result = copier.take(["AdditionalPatientHistory", "InstitutionName"])
    assert result.AdditionalPatientHistory == "a\tb\r\ncd"
    assert result.InstitutionName.isprintable()
    assert copier.character_set == UTF_8  # an empty label is none
    assert sum("control characters" in said for said in copier.doubts) == 2


def test_a_label_of_letters_alone_is_no_doubt() -> None:
    dataset = Dataset()
    put(dataset, "SpecificCharacterSet", b"KLINGON ")
    put(dataset, "PatientName", b"Doe^John")
    copier = Copier(dataset)
    assert str(copier.take(["PatientName"]).PatientName) == "Doe^John"
    assert (copier.character_set, copier.doubts) == (UTF_8, [])


@pytest.mark.parametrize(
    ("label", "content"),
    [
        (UTF_8, LATIN.encode("latin-1")),
        (None, NAME.encode("gbk")),
        ("ISO_IR 144", CYRILLIC.encode("iso8859_5")),
    ],
)
def test_a_name_is_there_as_it_came_once_a_series_is_read(
    tmp_path: Path, label: str | None, content: bytes
) -> None:
    voxels, frame, _ = phantom_spine(SHAPE, SPACING_MM)
    stands_for = "N" * len(content)
    datasets = build_series(
        voxels, frame, SpecificCharacterSet=label, PatientName=stands_for
    )
    datasets[0].PatientName = ""
    paths = write_series(tmp_path, datasets)
    for path in paths:
        path.write_bytes(path.read_bytes().replace(stands_for.encode(), content))
    series = read_volume(paths)
    for source in series.sources:
        name = source.get_item("PatientName")
        assert isinstance(name, RawDataElement)
        assert (name.value or b"").rstrip() == content

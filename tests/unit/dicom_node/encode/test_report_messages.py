"""The report as FHIR and HL7 v2, read back by libraries that are not ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.observation import Observation
from hl7apy.core import Message
from hl7apy.factories import datatype_factory
from hl7apy.parser import parse_message
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_node.encode.fhir_bundle import fhir_bundle
from dicom_node.encode.oru_message import Parties, control_id, oru_message
from dicom_node.encode.report_content import (
    Coded,
    Item,
    Quantity,
    ReportContent,
    report_content,
)
from dicom_node.encode.result_objects import encode_result
from tests.support.encoded import REQUEST, content_of, decoded_phantom, written
from tests.support.phantom_result import phantom_result

PARTIES = Parties(
    sending_application="LUMBAR & CO", receiving_application="RIS", processing="T"
)
UCUM, DCM = "http://unitsofmeasure.org", "http://dicom.nema.org/resources/ontology/DCM"
CONTENT_TIME = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=8)))
PARAGRAPH = {"en": "Discs.\nNo stenosis | graded.", "zh-CN": "椎间盘。"}


def sr_file(folder: Path, *, language: str = "en", **attributes: Any) -> Path:
    series, labels = decoded_phantom(folder, **attributes)
    result = replace(
        phantom_result(labels),
        summary={"en": ("Discs.",), "zh-CN": ("椎间盘。",)},
        report_text=PARAGRAPH,
    )
    request = replace(
        REQUEST, language=language, objects=("sr",), content_time=CONTENT_TIME
    )
    (encoded,) = encode_result(result, series, request)
    path = folder / "sr.dcm"
    path.write_bytes(written(encoded.dataset))
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return sr_file(folder, AccessionNumber="A|77")


@pytest.fixture(scope="module")
def content(path: Path) -> ReportContent:
    return report_content(path)


@pytest.fixture(scope="module")
def message(content: ReportContent) -> Message:
    return parsed(content)


def resources(content: ReportContent) -> tuple[Any, list[Any]]:
    bundle: Any = Bundle.model_validate_json(
        fhir_bundle(content, patient_system="urn:x:1")
    )
    found = [entry.resource for entry in bundle.entry]
    (report,) = [one for one in found if isinstance(one, DiagnosticReport)]
    return report, [one for one in found if isinstance(one, Observation)]


def parsed(content: ReportContent) -> Message:
    text = oru_message(content, PARTIES).decode("utf-8")
    message = parse_message(text)
    assert message.validate() is True
    return message


def holding(content: ReportContent, item: Item) -> ReportContent:
    """Return a report of one structure with one number."""
    (group, *_) = content.groups
    return replace(content, groups=(replace(group, items=(item,)),))


def rows(message: Message) -> Iterator[list[str]]:
    """Yield the fields of each OBX by their numbers, OBX-0 first."""
    for line in message.to_er7().split("\r"):
        if line.startswith("OBX|"):
            yield [*line.split("|"), *[""] * 12]


def numbers_of(path: Path) -> set[tuple[str, ...]]:
    """Return concept, scheme, number and unit of every number of an SR's groups."""
    report = dcmread(path)
    found: set[tuple[str, ...]] = set()
    for item in content_of(report):
        if item.get("ValueType") == "NUM" and "MeasuredValueSequence" in item:
            measured = item.MeasuredValueSequence[0]
            name, unit = code(item, "ConceptName"), code(measured, "MeasurementUnits")
            found.add((*name, str(measured.NumericValue), *unit))
    return found - library_numbers(report)


def library_numbers(report: Dataset) -> set[tuple[str, ...]]:
    """Return what is said of the images and not of the spine."""
    return {
        (
            *code(item, "ConceptName"),
            str(item.MeasuredValueSequence[0].NumericValue),
            *code(item.MeasuredValueSequence[0], "MeasurementUnits"),
        )
        for item in content_of(report)
        if item.get("RelationshipType") == "HAS ACQ CONTEXT" and item.ValueType == "NUM"
    }


def code(dataset: Dataset, what: str) -> tuple[str, str]:
    (item,) = dataset[f"{what}CodeSequence"].value
    return str(item.CodeValue), str(item.CodingSchemeDesignator)


def test_every_number_of_the_sr_stands_in_the_message_with_its_code_and_unit(
    path: Path, message: Message
) -> None:
    said = set()
    for row in rows(message):
        assert row[2] in ("NM", "TX", "CWE")
        if row[2] == "NM":
            datatype_factory("NM", row[5], "2.5.1")  # raises if it is no number
            name, unit = row[3].split("^"), row[6].split("^")
            said.add((name[0], name[2], str(float(row[5])), unit[0], unit[2]))
    expected = numbers_of(path)
    assert len(expected) == 10
    assert said == {(*one[:2], str(float(one[2])), *one[3:]) for one in expected}


def test_every_number_of_the_sr_stands_in_fhir_with_its_code_and_unit(
    path: Path, content: ReportContent
) -> None:
    schemes = {"DCM": DCM, "SCT": "http://snomed.info/sct"}

    def quantities(part: Any) -> Iterator[tuple[str, str, str]]:
        for below in part.extension or ():
            if below.url.endswith((":modifier", ":property")):
                name, value = below.extension
                if value.valueQuantity is not None:
                    yield quantity(name.valueCodeableConcept, value.valueQuantity)
        if part.valueQuantity is not None:
            yield quantity(part.code, part.valueQuantity)

    def quantity(concept: Any, value: Any) -> tuple[str, str, str]:
        assert value.system == UCUM
        (coding,) = concept.coding
        systems[coding.code] = coding.system
        return coding.code, str(float(value.value)), value.code

    systems: dict[str, str] = {}
    _, observations = resources(content)
    said = {
        one
        for observation in observations
        for part in observation.component
        for one in quantities(part)
    }
    expected = numbers_of(path)
    assert said == {(one[0], str(float(one[2])), one[3]) for one in expected}
    for value, scheme, *_ in expected:
        assert systems[value] == schemes.get(scheme, systems["DHI"])


def test_a_report_is_unverified_and_names_its_study_order_and_observations(
    content: ReportContent,
) -> None:
    report, observations = resources(content)
    assert report.status == "partial"
    assert {one.status for one in observations} == {"preliminary"}
    assert report.subject.identifier.system == "urn:x:1"
    assert report.subject.identifier.value == content.said("PatientID")
    assert report.basedOn[0].identifier.value == "A|77"
    study = content.said("StudyInstanceUID")
    assert report.imagingStudy[0].identifier.value == f"urn:oid:{study}"
    assert report.issued is not None
    assert report.issued.isoformat() == "2026-02-03T04:05:06+08:00"
    assert len(report.result) == len(observations) == len(content.groups)
    assert "Warning (phantom): this is a phantom" in report.conclusion
    assert report.conclusion.startswith(PARAGRAPH["en"])
    entries = json.loads(fhir_bundle(content, patient_system=None))["entry"]
    assert all(one["request"]["ifNoneExist"] for one in entries)
    assert len({one["fullUrl"] for one in entries}) == len(entries)


def test_a_report_without_numbers_has_no_empty_list(content: ReportContent) -> None:
    bare = replace(content, groups=(), remarks=())
    (entry,) = json.loads(fhir_bundle(bare, patient_system=None))["entry"]
    assert [
        key for key, value in entry["resource"].items() if value in ([], "", {})
    ] == []
    assert "result" not in entry["resource"]
    assert resources(bare)[0].conclusion == PARAGRAPH["en"]


def test_a_grade_is_coded_and_what_is_absent_says_why(
    content: ReportContent, message: Message
) -> None:
    _, observations = resources(content)
    parts = [part for one in observations for part in one.component]
    grades = [part for part in parts if part.code.coding[0].code == "PFIRRMANN"]
    assert {one.valueCodeableConcept.coding[0].code for one in grades} == {
        "PFIRRMANN-3"
    }
    (absent,) = [part for part in parts if part.dataAbsentReason is not None]
    assert [
        (one.system.rpartition("/")[2], one.code)
        for one in absent.dataAbsentReason.coding
    ] == [("DCM", "114006"), ("data-absent-reason", "error")]
    assert "the canal is saturated" in absent.extension[0].valueString
    (row,) = [row for row in rows(message) if row[11] == "X"]
    assert row[5].startswith("114006^")


def test_a_name_says_what_narrows_it_where_receivers_show_it(
    content: ReportContent,
) -> None:
    height, anterior = (
        Coded("121207", "DCM", "Height"),
        Coded("255549009", "SCT", "Anterior"),
    )
    where = Item(
        concept=Coded("106233006", "SCT", "Topographical modifier"), value=anterior
    )
    number = Quantity("6.4", Coded("mm", "UCUM", "millimeter"))
    item = Item(concept=height, value=number, modifiers=(where,))
    (row,) = [row for row in rows(parsed(holding(content, item))) if row[2] == "NM"]
    # OBX-3 is a CE, which has no original text as a CWE has.
    assert row[3] == "121207^Height, Anterior^DCM"


@pytest.mark.parametrize(
    ("stated", "number"), [("5.1e-05", "0.000051"), ("-1E+2", "-100"), ("8.0", "8.0")]
)
def test_a_number_has_no_exponent_which_hl7_does_not_know(
    content: ReportContent, stated: str, number: str
) -> None:
    unit = Coded("mm", "UCUM", "millimeter")
    slip = Item(concept=Coded("SLIP", "99LUMBAR", "Slip"), value=Quantity(stated, unit))
    (row,) = [row for row in rows(parsed(holding(content, slip))) if row[2] == "NM"]
    assert row[5] == number


def test_a_patient_without_a_name_has_an_unspecified_one(tmp_path: Path) -> None:
    message = parsed(report_content(sr_file(tmp_path, PatientName="")))
    assert message.oru_r01_patient_result.oru_r01_patient.pid.pid_5.value == "^^^^^^U"


def test_an_id_says_who_issued_it(content: ReportContent) -> None:
    report, observations = resources(content)
    for one in (report, *observations):
        assert one.subject.identifier.assigner.display == "HOSPITAL"


def test_a_message_says_from_whom_to_whom_and_in_which_characters(
    content: ReportContent, message: Message
) -> None:
    assert message.msh.msh_3.value == r"LUMBAR \T\ CO"
    assert message.msh.msh_5.value == "RIS"
    assert message.msh.msh_9.to_er7() == "ORU^R01^ORU_R01"
    assert message.msh.msh_10.value == control_id(content.uid)
    assert len(control_id(content.uid)) <= 20
    assert message.msh.msh_11.value == "T"
    assert message.msh.msh_18.value == "UNICODE UTF-8"
    order = message.oru_r01_patient_result.oru_r01_order_observation.obr
    assert order.obr_2.value == r"A\F\77"
    assert order.obr_25.value == "R"
    texts = [row[5] for row in rows(message) if row[2] == "TX"]
    assert texts[:2] == ["Discs.", r"No stenosis \F\ graded."]


def test_a_report_that_replaces_one_says_so(tmp_path: Path) -> None:
    path = sr_file(tmp_path)
    dataset = dcmread(path)
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPInstanceUID = "1.2.3"
    series.ReferencedSOPSequence, study.ReferencedSeriesSequence = [instance], [series]
    dataset.PredecessorDocumentsSequence = [study]
    dataset.save_as(path)
    found = report_content(path)
    report, _ = resources(found)
    (replaces,) = report.extension
    assert replaces.valueReference.identifier.value == "urn:oid:1.2.3"
    order = parsed(found).oru_r01_patient_result.oru_r01_order_observation.obr
    assert order.obr_25.value == "C"


@pytest.mark.parametrize(
    ("charset", "name", "segment"),
    [
        (
            "GB18030",
            "Wang^XiaoDong=王^小东",
            "Wang^XiaoDong^^^^^L^A~王^小东^^^^^L^I",
        ),
        (
            "ISO_IR 192",
            "ה&ל^מ|ש~ה=𠮷田^太郎",
            r"ה\T\ל^מ\F\ש\R\ה^^^^^L^A~𠮷田^太郎^^^^^L^I",
        ),
        ("ISO_IR 192", "X" * 61 + "^Dr", "X" * 61 + "^Dr^^^^^L^A"),
    ],
)
def test_names_keep_their_characters(
    tmp_path: Path, charset: Any, name: str, segment: str
) -> None:
    path = sr_file(
        tmp_path,
        language="zh-CN",
        SpecificCharacterSet=charset,
        PatientName=name,
        PatientID="7|8",
    )
    found = report_content(path)
    raw = oru_message(found, PARTIES)
    pid = next(one for one in raw.split(b"\r") if one.startswith(b"PID"))
    fields = pid.decode("utf-8").split("|")
    assert (fields[3], fields[5]) == (r"7\F\8^^^HOSPITAL", segment)
    parsed(found)
    report, observations = resources(found)
    assert report.language == "zh-CN"
    assert report.conclusion.startswith(PARAGRAPH["zh-CN"])
    assert report.subject.identifier.value == "7|8"
    assert observations[0].bodySite.text == found.groups[0].label
    # Only whom it is about, and not what he is called.
    assert name.partition("^")[0] not in fhir_bundle(found, patient_system=None).decode(
        "utf-8"
    )

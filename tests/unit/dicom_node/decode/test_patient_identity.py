"""Whether two objects are of one patient."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import config
from pydicom.dataset import Dataset

from dicom_node.decode.patient_identity import Identity, identity_of


def identity(**attributes: Any) -> Identity:
    dataset = Dataset()
    known = {
        "PatientID": "0123",
        "IssuerOfPatientID": "HOSPITAL",
        "PatientName": "Doe^Jane",
        "PatientBirthDate": "19800615",
        "PatientSex": "F",
    }
    for keyword, value in (known | attributes).items():
        if value is not None:
            setattr(dataset, keyword, value)
    return identity_of(dataset)


@pytest.mark.parametrize(
    ("attributes", "refusal"),
    [
        ({"PatientID": "123"}, "other_patient_id"),
        ({"PatientID": "0123A"}, "other_patient_id"),
        ({"PatientID": "0123*"}, "other_patient_id"),
        ({"IssuerOfPatientID": "CLINIC"}, "other_issuer"),
        ({"PatientName": "Doe^John"}, "other_name"),
        ({"PatientName": "Doe"}, "other_name"),
        ({"PatientBirthDate": "19800616"}, "other_birth_date"),
        ({"PatientSex": "M"}, "other_sex"),
        ({"PatientName": "", "PatientBirthDate": ""}, "identity_unsure"),
        ({"PatientName": None, "PatientBirthDate": None}, "identity_unsure"),
    ],
)
def test_an_object_of_another_patient_is_refused(
    attributes: dict[str, Any], refusal: str
) -> None:
    assert identity().refusal(identity(**attributes), is_whole=True) == refusal


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"PatientID": " 0123 "},
        {"PatientName": "DOE^JANE^^"},
        {"PatientName": "Doe^Jane=王^小东"},
        {"IssuerOfPatientID": None},
        {"PatientBirthDate": ""},
        {"PatientSex": "W"},
        {"PatientName": "", "PatientSex": ""},
    ],
)
def test_the_same_patient_written_otherwise_is_taken(
    attributes: dict[str, Any],
) -> None:
    assert identity().refusal(identity(**attributes), is_whole=True) == ""


CHINESE = "Wang^XiaoDong=王^小东"


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        # A system that knows one writing has it in the first place.
        ("王^小东", ""),
        ("王小东", ""),
        ("=王^小东", ""),
        ("Wang^XiaoDong", ""),
        ("Wang^XiaoDong=王小东", ""),
        ("汪^晓东", "other_name"),
        ("=汪^晓东", "other_name"),
        # It sounds alike.
        ("Wang^XiaoDong=汪^晓东", "other_name"),
    ],
)
def test_a_name_in_two_writings_is_the_same_in_either(name: str, refusal: str) -> None:
    one, two = (
        identity(PatientName=each, PatientBirthDate=None) for each in (CHINESE, name)
    )
    assert one.refusal(two, is_whole=True) == refusal
    assert two.refusal(one, is_whole=True) == refusal


def test_a_variant_of_an_ideograph_is_no_other_name_of_who_was_born_that_day() -> None:
    one = identity(PatientName="Takahashi^Jun=髙橋^純")
    two = identity(PatientName="Takahashi^Jun=高橋^純")
    assert one.refusal(two, is_whole=True) == ""


def test_a_date_as_it_was_once_written_is_that_date() -> None:
    with config.disable_value_validation():
        former = identity(PatientBirthDate="1980.06.15")
    assert identity().refusal(former, is_whole=True) == ""


def test_an_answer_to_a_query_may_leave_out_all_but_the_id() -> None:
    told = identity(PatientName=None, PatientBirthDate=None, IssuerOfPatientID=None)
    assert identity().refusal(told, is_whole=False) == ""


@pytest.mark.parametrize("patient_id", ["0123*", "01?3", "0123\\0124", "", "*"])
def test_an_id_that_would_find_others_is_never_asked_for(patient_id: str) -> None:
    assert not identity(PatientID=patient_id).is_searchable


def test_a_plain_id_may_be_asked_for() -> None:
    assert identity().is_searchable


def test_an_identity_does_not_show_itself() -> None:
    assert "Doe" not in repr(identity())
    assert "0123" not in repr(identity())

"""Age and sex, from what senders write."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from dicom_node.decode.subject import subject_of


def person(**attributes: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("stated", "years"),
    [("045Y", 45.0), ("006M", 0.5), ("026W", 0.498), ("000Y", None)],
)
def test_a_stated_age_counts(stated: str, years: float | None) -> None:
    age = subject_of(person(PatientAge=stated)).age_years
    assert age == (None if years is None else pytest.approx(years, abs=1e-3))


def test_else_the_age_is_reckoned_at_the_examination() -> None:
    dataset = person(PatientBirthDate="19800615", StudyDate="20260102")
    assert subject_of(dataset).age_years == pytest.approx(45.55, abs=0.01)


@pytest.mark.parametrize(
    ("born", "examined", "years"),
    [
        ("20070301", "20270301", 20),  # 7305 days, and 20 x 365.25 are 7305.0
        ("20070301", "20270228", 19),
        ("20030301", "20220301", 19),  # 6940 days, and 19 x 365.25 are 6939.75
        ("20030301", "20220228", 18),
        ("20050101", "20230101", 18),  # 6574 days, and 18 x 365.25 are 6574.5
        ("20040229", "20230228", 18),
        ("20040229", "20230301", 19),
    ],
)
def test_nobody_is_a_year_older_before_or_after_his_birthday(
    born: str, examined: str, years: int
) -> None:
    age = subject_of(person(PatientBirthDate=born, StudyDate=examined)).age_years
    assert age is not None
    assert int(age) == years


@pytest.mark.parametrize(
    ("born", "examined"),
    [
        ("", "20260102"),
        ("19800615", ""),
        ("20270101", "20260102"),
        ("00010601", "00010101"),
    ],
)
def test_an_age_that_cannot_be_is_none(born: str, examined: str) -> None:
    dataset = person(PatientBirthDate=born, StudyDate=examined)
    assert subject_of(dataset).age_years is None


@pytest.mark.parametrize(
    ("stated", "sex"), [("F", "F"), ("M", "M"), ("O", None), ("", None)]
)
def test_sex_is_female_male_or_not_told(stated: str, sex: str | None) -> None:
    assert subject_of(person(PatientSex=stated)).sex == sex

"""Age and sex of the subject; never an identity."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from pydicom.dataset import Dataset

from analysis.contract.plugin import Subject
from dicom_node.decode import attribute_values

_AGE = re.compile(r"^(\d{1,3})([DWMY])$")
"""VR AS (PS3.5 6.2); senders leave out leading zeros."""
_UNITS_A_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
_MOST_DAYS_A_YEAR = 366.0
"""So that nobody is a year older before his birthday."""
_MAX_AGE_YEARS = 130.0
_SEXES = frozenset({"M", "F"})


def subject_of(dataset: Dataset) -> Subject:
    """Return age and sex, each None where missing or not to be believed.

    The age is (0010,1010) Patient's Age, else study date minus birth date.
    """
    age = _stated_age(dataset)
    if age is None:
        age = _reckoned_age(dataset)
    if age is not None and not 0 < age <= _MAX_AGE_YEARS:
        age = None
    sex = attribute_values.text(dataset, "PatientSex").upper()
    return Subject(age_years=age, sex=sex if sex in _SEXES else None)


def _stated_age(dataset: Dataset) -> float | None:
    match = _AGE.match(attribute_values.text(dataset, "PatientAge").upper())
    if match is None:
        return None
    return int(match[1]) / _UNITS_A_YEAR[match[2]]


def _reckoned_age(dataset: Dataset) -> float | None:
    born, examined = (
        _date(attribute_values.text(dataset, keyword))
        for keyword in ("PatientBirthDate", "StudyDate")
    )
    if born is None or examined is None or examined < born:
        return None
    years = examined.year - born.year
    if _birthday(born, examined.year) > examined:
        years -= 1
    since = examined - _birthday(born, born.year + years)
    return years + since.days / _MOST_DAYS_A_YEAR


def _birthday(born: date, year: int) -> date:
    """Return the birthday in a year; who was born on 29 February has it on 1 March."""
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def _date(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None

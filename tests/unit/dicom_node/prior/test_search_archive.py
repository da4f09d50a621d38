"""Which of a patient's earlier examinations is taken, from a made-up archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from analysis.contract.acquisition import Acquisition
from dicom_node.decode.patient_identity import identity_of
from dicom_node.encode.result_objects import encode_result
from dicom_node.errors import NotSearchableError, SeriesRejectedError
from dicom_node.prior.search_archive import Current, Found, Search, current_of
from tests.support.encoded import REQUEST, decoded_phantom
from tests.support.phantom_result import phantom_result

TODAY = date(2026, 6, 1)
WHO = {
    "PatientID": "PHANTOM1",
    "IssuerOfPatientID": "HOSPITAL",
    "PatientName": "Phantom^Spine",
    "PatientBirthDate": "19800615",
    "PatientSex": "F",
}


def dataset(**said: Any) -> Dataset:
    made = Dataset()
    for keyword, value in said.items():
        setattr(made, keyword, value)
    return made


@dataclass
class MadeUp:
    """An archive in memory; what it is asked for is remembered."""

    folder: Path
    holds: dict[str, tuple[Dataset, dict[str, list[Dataset]]]] = field(
        default_factory=dict
    )
    asked: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def add(self, report: Dataset, **said: Any) -> None:
        """File an object in a series of its own, in its study."""
        uid = str(report.StudyInstanceUID)
        answer = dataset(StudyInstanceUID=uid, StudyDate=report.StudyDate, **WHO)
        for keyword, value in said.items():
            setattr(answer, keyword, value)
        _, series = self.holds.setdefault(uid, (answer, {}))
        series[str(report.SeriesInstanceUID)] = [report]

    def studies(self, patient_id: str, until: str) -> Sequence[Dataset]:
        self.asked.append(patient_id)
        return [answer for answer, _ in self.holds.values()]

    def series(self, study_uid: str) -> Sequence[Dataset]:
        _, series = self.holds[study_uid]
        return [
            dataset(
                SeriesInstanceUID=uid,
                Modality=objects[0].Modality,
                SeriesDescription=str(objects[0].get("SeriesDescription", "")),
                NumberOfSeriesRelatedInstances=len(objects),
            )
            for uid, objects in series.items()
        ]

    def fetch(
        self, study_uid: str, series_uid: str, classes: Sequence[str]
    ) -> Sequence[Path]:
        self.fetched.append(series_uid)
        paths = []
        for one in self.holds[study_uid][1][series_uid]:
            path = self.folder / f"{one.SOPInstanceUID}.dcm"
            one.save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths


@pytest.fixture
def archive(tmp_path: Path) -> MadeUp:
    return MadeUp(folder=tmp_path)


def search(archive: MadeUp, current: Current | None = None, **asked: Any) -> Search:
    wanted: dict[str, Any] = {"analysis": "lumbar-mri", "max_studies": 5} | asked
    return Search(archive, current or now(), **wanted)


def now(**said: Any) -> Current:
    return Current(
        identity=identity_of(dataset(**{**WHO, **said})),
        study_uid="1.2.3",
        study_date=TODAY,
        acquisition=Acquisition(field_strength_t=1.5),
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("phantom")
    series, labels = decoded_phantom(folder, MagneticFieldStrength="1.5")
    objects = encode_result(phantom_result(labels), series, REQUEST)
    (report,) = (one.dataset for one in objects if one.name == "sr")
    path = folder / "sr.dcm"
    report.save_as(path, enforce_file_format=True)
    return path.read_bytes()


@pytest.fixture
def report(template: bytes, tmp_path: Path) -> Any:
    """Return a maker of reports of ours, in studies of their own."""
    (tmp_path / "template").write_bytes(template)

    def made(day: str, **said: Any) -> Dataset:
        one = dcmread(tmp_path / "template")
        own = {
            "StudyDate": day,
            "StudyInstanceUID": generate_uid(),
            "SeriesInstanceUID": generate_uid(),
            "SOPInstanceUID": generate_uid(),
        }
        for keyword, value in {**own, **said}.items():
            setattr(one, keyword, value)
        return one

    return made


def replacing(newer: Dataset, older: Dataset) -> Dataset:
    """Make a report name another as its predecessor."""
    series = dataset(
        SeriesInstanceUID=older.SeriesInstanceUID,
        ReferencedSOPSequence=[
            dataset(
                ReferencedSOPClassUID=older.SOPClassUID,
                ReferencedSOPInstanceUID=older.SOPInstanceUID,
            )
        ],
    )
    newer.PredecessorDocumentsSequence = [
        dataset(
            StudyInstanceUID=older.StudyInstanceUID, ReferencedSeriesSequence=[series]
        )
    ]
    return newer


def found(search: Search) -> Found:
    for study in search.studies():
        prior = search.report_in(study)
        if prior is not None:
            return prior
    message = "nothing was found"
    raise AssertionError(message)


def test_the_latest_of_the_earlier_studies_comes_first(
    archive: MadeUp, report: Any
) -> None:
    for day in ("20240601", "20260530", "20250601"):
        archive.add(report(day))
    days = [study.day.isoformat() for study in search(archive).studies()]
    assert days == ["2026-05-30", "2025-06-01", "2024-06-01"]
    assert found(search(archive)).prior.days == 2


def test_no_more_studies_are_looked_through_than_asked(
    archive: MadeUp, report: Any
) -> None:
    for day in ("20240601", "20250601", "20260501"):
        archive.add(report(day))
    assert len(search(archive, max_studies=2).studies()) == 2


@pytest.mark.parametrize("day", ["20260601", "20260602", "20300101"])
def test_a_study_that_is_not_earlier_is_passed_over(
    archive: MadeUp, report: Any, day: str
) -> None:
    archive.add(report(day))
    asked = search(archive)
    assert asked.studies() == ()
    assert not asked.refused


def test_a_study_without_a_date_is_refused(archive: MadeUp, report: Any) -> None:
    archive.add(report("20250101"), StudyDate="")
    asked = search(archive)
    assert asked.studies() == ()
    assert asked.refused == {"no_date": 1}


@pytest.mark.parametrize("patient_id", ["PHANTOM*", "PHANTOM?", "A\\B", ""])
def test_an_id_that_would_find_others_asks_nobody(
    archive: MadeUp, patient_id: str
) -> None:
    with pytest.raises(NotSearchableError):
        search(archive, now(PatientID=patient_id)).studies()
    assert archive.asked == []


def test_an_examination_without_a_date_asks_nobody(archive: MadeUp) -> None:
    with pytest.raises(NotSearchableError):
        search(archive, replace(now(), study_date=None)).studies()
    assert archive.asked == []


def test_what_the_archive_found_too_much_is_refused(
    archive: MadeUp, report: Any
) -> None:
    archive.add(report("20250101"), PatientID="PHANTOM10")
    archive.add(report("20250102"), PatientBirthDate="19800616")
    asked = search(archive)
    assert asked.studies() == ()
    assert asked.refused == {"other_patient_id": 1, "other_birth_date": 1}


def test_an_object_of_another_patient_in_the_right_study_is_refused(
    archive: MadeUp, report: Any
) -> None:
    archive.add(report("20250101", PatientName="Other^Name"))
    asked = search(archive)
    (study,) = asked.studies()
    assert asked.report_in(study) is None
    assert asked.refused == {"other_name": 1}


def test_an_object_of_another_study_or_day_is_refused(
    archive: MadeUp, report: Any
) -> None:
    one = report("20250101")
    archive.add(one)
    one.StudyInstanceUID = generate_uid()
    two = report("20250102")
    archive.add(two)
    two.StudyDate = "20250103"
    asked = search(archive)
    assert [asked.report_in(study) for study in asked.studies()] == [None, None]
    assert asked.refused == {"other_study": 2}


def test_a_report_of_another_analysis_is_refused(archive: MadeUp, report: Any) -> None:
    archive.add(report("20250101"))
    asked = search(archive, analysis="knee-mri")
    (study,) = asked.studies()
    assert asked.report_in(study) is None
    assert asked.refused == {"other_analysis": 1}


def test_a_report_of_other_software_is_refused_and_ours_beside_it_taken(
    archive: MadeUp, report: Any
) -> None:
    ours = report("20250101")
    archive.add(report("20250101", StudyInstanceUID=ours.StudyInstanceUID,
                       Manufacturer="Another"))  # fmt: skip
    archive.add(ours)
    asked = search(archive)
    (uid,) = (uid for _, uid in found(asked).reference.instances)
    assert uid == ours.SOPInstanceUID
    assert asked.refused == {"not_ours": 1}


def test_a_report_that_was_replaced_is_not_taken_however_new_it_says_it_is(
    archive: MadeUp, report: Any
) -> None:
    first = report("20250101", ContentDate="20260101")
    study = first.StudyInstanceUID
    second = replacing(
        report("20250101", StudyInstanceUID=study, ContentDate="20250201"), first
    )
    third = replacing(
        report("20250101", StudyInstanceUID=study, ContentDate="20250201"), second
    )
    for one in (first, second, third):
        archive.add(one)
    ((_, uid),) = found(search(archive)).reference.instances
    assert uid == third.SOPInstanceUID


def test_of_two_valid_reports_the_newer_one_is_taken(
    archive: MadeUp, report: Any
) -> None:
    older = report("20250101", ContentDate="20250102")
    newer = report("20250101", ContentDate="20250103",
                   StudyInstanceUID=older.StudyInstanceUID)  # fmt: skip
    archive.add(newer)
    archive.add(older)
    ((_, uid),) = found(search(archive)).reference.instances
    assert uid == newer.SOPInstanceUID


def test_of_two_series_the_one_that_was_acquired_alike_is_taken(
    archive: MadeUp, report: Any
) -> None:
    alike = report("20250101", ContentDate="20250102")
    other = report("20250101", ContentDate="20250103",
                   StudyInstanceUID=alike.StudyInstanceUID)  # fmt: skip
    group = other.ContentSequence
    (library,) = (
        item
        for item in group
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Image Library"
    )
    strength = library.ContentSequence[0].ContentSequence[0]
    strength.MeasuredValueSequence[0].NumericValue = "3"
    archive.add(alike)
    archive.add(other)
    ((_, uid),) = found(search(archive)).reference.instances
    assert uid == alike.SOPInstanceUID


def test_only_report_series_are_fetched_for_reports(
    archive: MadeUp, report: Any
) -> None:
    ours = report("20250101")
    picture = report("20250101", StudyInstanceUID=ours.StudyInstanceUID, Modality="MR")
    archive.add(picture)
    archive.add(ours)
    found(search(archive))
    assert archive.fetched == [str(ours.SeriesInstanceUID)]


def test_likely_pictures_are_fetched_first_and_no_more_than_three(
    archive: MadeUp, report: Any
) -> None:
    uid = generate_uid()
    names = ("loc", "t1_tse_sag", "t2_tse_tra", "t2_tse_sag", "T2 SPACE SAG", "stir")
    many = {
        name: report(
            "20250101", StudyInstanceUID=uid, Modality="MR", SeriesDescription=name
        )
        for name in names
    }
    for one in many.values():
        archive.add(one)
    asked = search(archive)
    (study,) = asked.studies()
    assert asked.pictures_in(study, lambda _: False) == ()
    by_uid = {str(one.SeriesInstanceUID): name for name, one in many.items()}
    fetched = [by_uid[uid] for uid in archive.fetched]
    assert len(fetched) == 3
    assert set(fetched[:2]) == {"t2_tse_sag", "T2 SPACE SAG"}


def test_pictures_of_another_patient_are_not_measured(
    archive: MadeUp, report: Any
) -> None:
    archive.add(report("20250101", Modality="MR", PatientBirthDate="19990101"))
    asked = search(archive)
    (study,) = asked.studies()
    assert asked.pictures_in(study, lambda _: True) == ()
    assert asked.refused == {"other_birth_date": 1}


def test_a_file_that_is_no_dicom_tells_no_examination(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"no")
    with pytest.raises(SeriesRejectedError):
        current_of(path)

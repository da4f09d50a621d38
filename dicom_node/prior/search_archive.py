"""The earlier examination of a patient: found in an archive, checked, read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from analysis.contract.acquisition import Acquisition
from analysis.contract.follow_up import Prior
from dicom_node.decode import attribute_values
from dicom_node.decode.acquisition import acquisition_of
from dicom_node.decode.patient_identity import Identity, identity_of
from dicom_node.decode.pick_slices import MR_IMAGE_CLASSES
from dicom_node.decode.read_file import (
    DEFAULT_LIMITS,
    NotDicomError,
    ReadLimits,
    read_file,
)
from dicom_node.encode.result_context import Reference
from dicom_node.errors import NotSearchableError, SeriesRejectedError
from dicom_node.plugins.analyse_series import Analysed
from dicom_node.prior.read_report import EarlierReport, ForeignReportError, read_report

_MAX_REPORTS = 20
"""Instances of an SR series; ours has one, and what others file there is not ours."""
_MIN_SLICES, _MAX_SLICES = 3, 200
_MAX_IMAGE_SERIES = 3
"""Image series of one study that are fetched to see whether they can be measured."""
_LIKELY = (("T2", "TSE", "FSE", "SPACE"), ("SAG",))
_UNLIKELY = (
    "T1",
    "AX",
    "TRA",
    "COR",
    "LOC",
    "SCOUT",
    "SURVEY",
    "STIR",
    "TIRM",
    "DIXON",
)
"""Words of descriptions: they order what is fetched, and decide nothing."""


class Archive(Protocol):
    """What is asked of the peer that may hold earlier examinations.

    Every method raises a NodeError if the peer cannot be asked, or answers badly.
    """

    def studies(self, patient_id: str, until: str) -> Sequence[Dataset]:
        """Return the studies of a patient ID up to a day (eight digits)."""

    def series(self, study_uid: str) -> Sequence[Dataset]:
        """Return the series of a study."""

    def fetch(
        self, study_uid: str, series_uid: str, classes: Sequence[str]
    ) -> Sequence[Path]:
        """Bring the instances of one series here that are of some SOP classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The examination that is compared with an earlier one."""

    identity: Identity
    study_uid: str
    study_date: date | None
    acquisition: Acquisition


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """An earlier examination.

    Parameters
    ----------
    is_measured_now
        Whether it had no result of ours, and its pictures were measured now.
    """

    prior: Prior
    reference: Reference
    is_measured_now: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierStudy:
    """A study that the archive holds under the same identity."""

    uid: str
    day: date


def current_of(path: Path, *, limits: ReadLimits = DEFAULT_LIMITS) -> Current:
    """Read from one instance whose examination it is, and of when.

    Raises
    ------
    SeriesRejectedError
        If it cannot be read as DICOM.
    """
    header = _header(path, limits)
    if header is None:
        text = "an instance cannot be read as DICOM"
        raise SeriesRejectedError(reason="unreadable_instance", text=text)
    return Current(
        identity=identity_of(header),
        study_uid=attribute_values.text(header, "StudyInstanceUID"),
        study_date=_day(attribute_values.text(header, "StudyDate")),
        acquisition=acquisition_of(header),
    )


class Search:
    """Looks through what an archive holds of one patient.

    Parameters
    ----------
    analysis
        Name of the analysis whose results are wanted.
    limits
        How much one file may hold.

    Attributes
    ----------
    refused
        How often something was not taken, by its reason; see `Identity.refusal` and
        `ForeignReportError`, besides `no_date`, `other_study`, `other_analysis`.
    """

    def __init__(
        self,
        archive: Archive,
        current: Current,
        *,
        analysis: str,
        max_studies: int,
        limits: ReadLimits = DEFAULT_LIMITS,
    ) -> None:
        self._archive = archive
        self._current = current
        self._analysis = analysis
        self._max_studies = max_studies
        self._limits = limits
        self.refused: Counter[str] = Counter()

    def studies(self) -> tuple[EarlierStudy, ...]:
        """Return the patient's earlier studies, the latest first.

        Raises
        ------
        NotSearchableError
            If the ID would find other patients too, or the examination has no date.
        NodeError
            As the archive raises it.
        """
        identity, today = self._current.identity, self._current.study_date
        if not identity.is_searchable:
            why = "the patient ID is empty, or holds a wild card or a backslash"
            raise NotSearchableError(why)
        if today is None:
            why = "the examination states no study date"
            raise NotSearchableError(why)
        until = today.strftime("%Y%m%d")
        found = {}
        for answer in self._archive.studies(identity.patient_id, until):
            study = self._checked(answer, today)
            if study is not None:
                found[study.uid] = study
        ordered = sorted(found.values(), key=lambda one: (one.day, one.uid))
        return tuple(reversed(ordered))[: self._max_studies]

    def _checked(self, answer: Dataset, today: date) -> EarlierStudy | None:
        uid = attribute_values.text(answer, "StudyInstanceUID")
        day = _day(attribute_values.text(answer, "StudyDate"))
        refusal = self._current.identity.refusal(identity_of(answer), is_whole=False)
        if refusal or day is None:
            self.refused[refusal or "no_date"] += 1
            return None
        if day >= today or uid in ("", self._current.study_uid):
            return None
        return EarlierStudy(uid=uid, day=day)

    def report_in(self, study: EarlierStudy) -> Found | None:
        """Return what the newest valid report of ours in a study says.

        Of several series of one study the one that was acquired most alike counts.

        Raises
        ------
        NodeError
            As the archive raises it.
        """
        reports = list(self._reports(study))
        superseded = {uid for report in reports for uid in report.predecessors}
        valid = [one for one in reports if one.sop_instance_uid not in superseded]
        if not valid:
            return None
        best = max(valid, key=self._order)
        return Found(
            prior=Prior(
                days=self._days_since(study),
                analysis=best.analysis,
                version=best.version,
                acquisition=best.acquisition,
                findings=best.findings,
                warnings=best.warnings,
            ),
            reference=Reference(
                study_uid=best.study_uid,
                series_uid=best.series_uid,
                instances=((Comprehensive3DSRStorage, best.sop_instance_uid),),
            ),
        )

    def _order(self, report: EarlierReport) -> tuple[int, str, str]:
        differing = self._current.acquisition.differing(report.acquisition)
        return -len(differing), report.written_at, report.sop_instance_uid

    def _reports(self, study: EarlierStudy) -> Iterator[EarlierReport]:
        for series in self._archive.series(study.uid):
            count = (
                attribute_values.whole(series, "NumberOfSeriesRelatedInstances") or 0
            )
            if (
                attribute_values.text(series, "Modality").upper() != "SR"
                or count > _MAX_REPORTS
            ):
                continue
            uid = attribute_values.text(series, "SeriesInstanceUID")
            for path in self._archive.fetch(study.uid, uid, [Comprehensive3DSRStorage]):
                report = self._report(path, study)
                if report is not None:
                    yield report

    def _report(self, path: Path, study: EarlierStudy) -> EarlierReport | None:
        try:
            report = read_report(_header(path, self._limits) or Dataset())
        except ForeignReportError as error:
            self.refused[error.reason] += 1
            return None
        refusal = self._refusal(report.identity, report.study_uid, study)
        if not refusal and _day(report.study_date) != study.day:
            refusal = "other_study"
        if not refusal and report.analysis != self._analysis:
            refusal = "other_analysis"
        if refusal:
            self.refused[refusal] += 1
            return None
        return report

    def _refusal(self, identity: Identity, study_uid: str, study: EarlierStudy) -> str:
        if study_uid != study.uid:
            return "other_study"
        return self._current.identity.refusal(identity, is_whole=True)

    def pictures_in(
        self, study: EarlierStudy, is_wanted: Callable[[Sequence[Path]], bool]
    ) -> Sequence[Path]:
        """Return the first image series of a study that is wanted; empty if none is.

        Parameters
        ----------
        is_wanted
            Whether a series, as it lies here, can be measured.

        Raises
        ------
        NodeError
            As the archive raises it.
        """
        likely = sorted(
            filter(_may_be_measured, self._archive.series(study.uid)), key=_unlikeliness
        )
        for series in likely[:_MAX_IMAGE_SERIES]:
            uid = attribute_values.text(series, "SeriesInstanceUID")
            paths = self._archive.fetch(study.uid, uid, sorted(MR_IMAGE_CLASSES))
            if paths and self._is_of_patient(paths, study) and is_wanted(paths):
                return paths
        return ()

    def _is_of_patient(self, paths: Sequence[Path], study: EarlierStudy) -> bool:
        for path in paths:
            header = _header(path, self._limits)
            if header is None:
                self.refused["unreadable_image"] += 1
                return False
            uid = attribute_values.text(header, "StudyInstanceUID")
            refusal = self._refusal(identity_of(header), uid, study)
            if refusal:
                self.refused[refusal] += 1
                return False
        return True

    def measured(self, study: EarlierStudy, analysed: Analysed) -> Found:
        """Return an earlier examination whose pictures were measured now."""
        result, sources = analysed.result, analysed.decoded.sources
        return Found(
            prior=Prior(
                days=self._days_since(study),
                analysis=result.provenance.name,
                version=result.provenance.version,
                acquisition=analysed.decoded.acquisition,
                findings=result.findings,
                warnings=tuple(notice.code for notice in result.warnings),
            ),
            reference=Reference(
                study_uid=study.uid,
                series_uid=attribute_values.text(sources[0], "SeriesInstanceUID"),
                instances=analysed.decoded.instances,
            ),
            is_measured_now=True,
        )

    def _days_since(self, study: EarlierStudy) -> int:
        today = self._current.study_date
        return 0 if today is None else (today - study.day).days


def _may_be_measured(series: Dataset) -> bool:
    count = attribute_values.whole(series, "NumberOfSeriesRelatedInstances")
    is_mr = attribute_values.text(series, "Modality").upper() == "MR"
    return is_mr and (
        count is None or count == 1 or _MIN_SLICES <= count <= _MAX_SLICES
    )


def _unlikeliness(series: Dataset) -> tuple[int, int]:
    said = attribute_values.text(series, "SeriesDescription").upper()
    likely = sum(any(word in said for word in words) for words in _LIKELY)
    unlikely = sum(word in said for word in _UNLIKELY)
    return unlikely - likely, attribute_values.whole(series, "SeriesNumber") or 0


def _header(path: Path, limits: ReadLimits) -> Dataset | None:
    try:
        return read_file(path, limits=limits).dataset
    except (NotDicomError, SeriesRejectedError):
        return None


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None

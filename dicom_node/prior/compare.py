"""The comparison with an earlier examination, searched for beside the analysis.

Whatever the archive does, the results are not later than the analysis and the bound of
the route. What comes after that is thrown away: a report that changes under a reader
who has seen it without the comparison would do more harm than the comparison good.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.contract.errors import AnalysisError
from analysis.contract.follow_up import FollowsUp
from analysis.contract.result import Json, Notice
from dicom_node import log
from dicom_node.decode.headers import read_headers
from dicom_node.decode.read_file import limits_of
from dicom_node.decode.suitable_series import reject, summarise
from dicom_node.dimse.deadline import Deadline
from dicom_node.errors import (
    AnalysisUnavailableError,
    NodeError,
    SeriesRejectedError,
)
from dicom_node.language import Language, language_of
from dicom_node.notices import in_language
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.plugins.choose_route import choose
from dicom_node.plugins.chosen_device import chosen_device
from dicom_node.plugins.registry import Registry, can_follow_up
from dicom_node.prior.archive_peer import PeerArchive
from dicom_node.prior.search_archive import Found, Search, current_of
from dicom_node.records import Job
from dicom_node.settings.sections import FollowUp, Route, Settings
from dicom_node.spool_layout import SpoolLayout

_IDENTITY = {
    "other_patient_id": "another patient ID",
    "other_issuer": "another issuer of the patient ID",
    "other_name": "another name",
    "other_birth_date": "another birth date",
    "other_sex": "another sex",
    "identity_unsure": "nothing but the patient ID agrees",
}
"""Refusals that a reader should know of: an archive may have mixed up two people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutcome:
    """The end of a search.

    Parameters
    ----------
    found
        None if there is nothing to compare with.
    refused
        How often something was not taken, by its reason.
    failure
        Why the search did not come to its end; empty if it did.
    """

    found: Found | None = None
    refused: Mapping[str, int]
    failure: str = ""


class PriorSearch:
    """A search that runs beside the analysis of its job."""

    def __init__(
        self, settings: Settings, registry: Registry, job: Job, route: Route
    ) -> None:
        if route.follow_up is None:
            message = f"route {route.name} asks for no follow-up"
            raise ValueError(message)
        self._settings = settings
        self._registry = registry
        self._job = job
        self._route = route
        self._wanted: FollowUp = route.follow_up
        self._layout = SpoolLayout(settings.spool.folder)
        self._limits = limits_of(settings.work.max_inflated_mb)
        self._deadline = Deadline(self._wanted.wait_s)
        self._measured = threading.Event()
        self._ended = threading.Event()
        self._outcome = SearchOutcome(refused={}, failure=self._too_late)
        self._started_s = time.monotonic()

    @property
    def _too_late(self) -> str:
        peer, wait_s = self._wanted.peer, self._wanted.wait_s
        return f"{peer} did not answer in full within {wait_s:g} s"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Search until the block ends; then whatever still runs is cut off."""
        thread = threading.Thread(target=self._run, daemon=True)
        with self._deadline:
            thread.start()
            yield

    def compare(self, analysed: Analysed) -> Analysed:
        """Return a result with the comparison, or with why there is none.

        Waits for the search, but not beyond the bound of the route.
        """
        self._measured.set()
        self._ended.wait(self._deadline.left_s())
        outcome = self._outcome
        analysis = self._registry.get(self._job.analysis)
        language = language_of(self._route.language)
        try:
            compared = _with_comparison(analysed, outcome, analysis, language)
        except Exception as error:  # noqa: BLE001 - nor must an earlier examination
            failure = log.kind_and_place(error)
            outcome = SearchOutcome(refused=outcome.refused, failure=failure)
            compared = _with_comparison(analysed, outcome, analysis, language)
        log.event(
            "prior_settled",
            job_id=self._job.id,
            peer=self._wanted.peer,
            state=_state(outcome),
            reason=outcome.failure or _listed(outcome.refused) or None,
            duration_ms=round((time.monotonic() - self._started_s) * 1000),
        )
        return compared

    def _run(self) -> None:
        try:
            outcome = self._search()
        except NodeError as error:
            why = self._too_late if self._deadline.is_over else str(error)
            outcome = SearchOutcome(refused={}, failure=why)
        except Exception as error:  # noqa: BLE001 - a foreign archive must not cost the result
            outcome = SearchOutcome(refused={}, failure=log.kind_and_place(error))
        self._outcome = outcome
        self._ended.set()

    def _search(self) -> SearchOutcome:
        if not can_follow_up(self._registry.get(self._job.analysis)):
            why = "does not compare examinations"
            raise AnalysisUnavailableError(self._job.analysis, why=why)
        folder = self._layout.fetched / self._job.id
        shutil.rmtree(folder, ignore_errors=True)  # of a start that was killed
        folder.mkdir(mode=0o700, parents=True)
        try:
            archive = PeerArchive(self._settings, self._wanted, folder, self._deadline)
            search = Search(
                archive,
                current_of(self._job.series.instances[0].path, limits=self._limits),
                analysis=self._job.analysis,
                max_studies=self._wanted.max_studies,
                limits=self._limits,
            )
            found = self._found(search)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return SearchOutcome(found=found, refused=dict(search.refused))

    def _found(self, search: Search) -> Found | None:
        studies = search.studies()
        for study in studies:
            found = search.report_in(study)
            if found is not None:
                return found
        if not self._wanted.analyse_earlier:
            return None
        for study in studies:
            paths = search.pictures_in(study, self._is_measurable)
            analysed = self._analysed(paths, search.refused) if paths else None
            if analysed is not None:
                return search.measured(study, analysed)
        return None

    def _is_measurable(self, paths: Sequence[Path]) -> bool:
        headers = read_headers(paths, limits=self._limits)
        if reject(headers) is not None:
            return False
        return (
            choose(summarise(headers), [self._route], self._registry).rejection is None
        )

    def _analysed(
        self, paths: Sequence[Path], refused: Counter[str]
    ) -> Analysed | None:
        """Measure earlier pictures once the job's own are measured: it goes first."""
        self._measured.wait(self._deadline.left_s())
        if self._deadline.is_over:
            return None
        analysis = self._registry.get(self._job.analysis)
        try:
            work = self._settings.work
            return analyse_series(
                paths,
                analysis,
                threads=work.threads,
                device=chosen_device(work.device),
                limits=self._limits,
            )
        except (AnalysisError, SeriesRejectedError):
            refused["not_measurable"] += 1
            return None


def _with_comparison(
    analysed: Analysed, outcome: SearchOutcome, analysis: object, language: Language
) -> Analysed:
    result = analysed.result
    notices = in_language(_notices(outcome), language)
    details: dict[str, Json] = {
        "status": _state(outcome),
        "refused": [
            {"code": code, "count": count}
            for code, count in sorted(outcome.refused.items())
        ],
    }
    reference = None
    if outcome.failure:
        details["reason"] = language.told("", outcome.failure)
    elif outcome.found is not None and isinstance(analysis, FollowsUp):
        acquisition = analysed.decoded.acquisition
        result = analysis.follow_up(result, acquisition, outcome.found.prior)
        reference = outcome.found.reference
        own = result.details.get("follow_up")
        details |= dict(own) if isinstance(own, Mapping) else {}
        details["earlier"] = {
            "study_uid": reference.study_uid,
            "series_uid": reference.series_uid,
            "analysis_version": outcome.found.prior.version,
            "measured_now": outcome.found.is_measured_now,
        }
    result = replace(
        result,
        warnings=(*result.warnings, *notices),
        details={**result.details, "follow_up": details},
    )
    return replace(analysed, result=result, compared_with=reference)


def _state(outcome: SearchOutcome) -> str:
    if outcome.failure:
        return "unavailable"
    return "no_prior" if outcome.found is None else "compared"


def _notices(outcome: SearchOutcome) -> Iterator[Notice]:
    if outcome.failure:
        text = f"Not compared with an earlier examination: {outcome.failure}"
        yield Notice(code="prior_unavailable", text=text)
    persons = {code: n for code, n in outcome.refused.items() if code in _IDENTITY}
    if persons:
        text = (
            "Earlier objects under this patient ID may be another patient's and were "
            f"not compared: {_listed(persons)}"
        )
        yield Notice(code="prior_refused", text=text)
    if outcome.found is not None and outcome.found.is_measured_now:
        text = (
            "The earlier examination had no result; one series of it was measured now, "
            "for this comparison alone"
        )
        yield Notice(code="prior_measured_now", text=text)


def _listed(refused: Mapping[str, int]) -> str:
    return ", ".join(
        f"{_IDENTITY.get(code, code)} ({count})"
        for code, count in sorted(refused.items())
    )

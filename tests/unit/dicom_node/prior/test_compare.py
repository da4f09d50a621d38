"""A comparison that is searched for beside an analysis, and never costs its result."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from analysis.contract.errors import UnsuitableInput
from analysis.contract.result import AnalysisResult
from dicom_node.errors import PeerUnreachableError
from dicom_node.plugins.analyse_series import Analysed
from dicom_node.plugins.registry import Registry
from dicom_node.prior import compare as follow_up
from dicom_node.prior.compare import PriorSearch
from dicom_node.records import Completion, Job, ReceivedSeries, StoredInstance
from dicom_node.settings.sections import Peer, Route, Settings, Spool
from dicom_node.spool_layout import SpoolLayout
from tests.support.encoded import decoded_phantom
from tests.support.mr_series import build_series, write_series
from tests.support.phantom_plugin import NAME, PhantomMri
from tests.support.phantom_result import phantom_result
from tests.support.spine_phantom import phantom_spine


@dataclass
class Site:
    """A node's settings, a job, and what the job's analysis found."""

    settings: Settings
    job: Job
    analysed: Analysed

    @property
    def fetched(self) -> list[Path]:
        """What lies where fetched examinations are put."""
        return list(SpoolLayout(self.settings.spool.folder).fetched.iterdir())

    def told(self, analysis: PhantomMri | None = None) -> dict[str, Any]:
        """Return what the report of the job says of the search."""
        registry = Registry({})
        registry._loaded[NAME] = analysis or PhantomMri()
        (route,) = self.settings.routes
        search = PriorSearch(self.settings, registry, self.job, route)
        with search.running():
            result = search.compare(self.analysed).result
        codes = {notice.code for notice in result.warnings}
        told = result.details["follow_up"]
        assert isinstance(told, dict)
        return {**told, "codes": codes}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    series, labels = decoded_phantom(tmp_path / "now")
    path = sorted((tmp_path / "now").glob("*.dcm"))[0]
    settings = Settings(
        version=1,
        peers={"pacs": Peer(ae_title="PACS", host="127.0.0.1", port=1)},
        spool=Spool(folder=tmp_path / "spool"),
        routes=[
            Route.model_validate(
                {
                    "name": "phantom",
                    "analysis": NAME,
                    "deliver_to": ["pacs"],
                    "follow_up": {
                        "peer": "pacs",
                        "wait_s": 200,
                        "analyse_earlier": True,
                    },
                }
            )
        ],
    )
    SpoolLayout(settings.spool.folder).prepare()
    instance = StoredInstance(
        path=path, sop_class_uid="1", sop_instance_uid="2", study_uid="3",
        series_uid="4", transfer_syntax_uid="5", calling_ae="PACS", sha256="6",
        size_bytes=7, received_at_s=8.0,
    )  # fmt: skip
    received = ReceivedSeries(
        study_uid="3",
        series_uid="4",
        calling_ae="PACS",
        instances=(instance,),
        digest="d",
        completion=Completion.OFFLINE,
    )
    job = Job(
        id="job",
        series=received,
        route="phantom",
        analysis=NAME,
        analysis_version="1",
        accepted_at_s=0.0,
    )
    return Site(
        settings=settings,
        job=job,
        analysed=Analysed(decoded=series, result=phantom_result(labels)),
    )


class Empty:
    """An archive without a study of anybody; the base of those below."""

    def __init__(self, *_: object) -> None:
        pass

    def studies(self, patient_id: str, until: str) -> Sequence[Dataset]:
        return []

    def series(self, study_uid: str) -> Sequence[Dataset]:
        return []

    def fetch(
        self, study_uid: str, series_uid: str, classes: Sequence[str]
    ) -> Sequence[Path]:
        return []


def test_a_first_examination_is_no_reason_for_a_warning(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "PeerArchive", Empty)
    told = site.told()
    assert (told["status"], told["refused"]) == ("no_prior", [])
    assert told["codes"] == {"phantom"}
    assert site.fetched == []


class Breaking(Empty):
    """Trips over a bug of ours."""

    def studies(self, patient_id: str, until: str) -> Sequence[Dataset]:
        message = f"patient {patient_id}"
        raise ZeroDivisionError(message)


def test_a_bug_in_the_search_costs_the_comparison_and_not_the_result(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "PeerArchive", Breaking)
    told = site.told()
    assert told["status"] == "unavailable"
    assert told["reason"].startswith("ZeroDivisionError in test_compare.py:")
    assert "PHANTOM1" not in told["reason"]
    assert "prior_unavailable" in told["codes"]
    assert site.fetched == []


class Away(Empty):
    """Cannot be reached."""

    def studies(self, patient_id: str, until: str) -> Sequence[Dataset]:
        raise PeerUnreachableError(
            peer="PACS", host="10.0.0.5", port=104, why="refused"
        )


def test_an_archive_that_is_away_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "PeerArchive", Away)
    assert site.told()["reason"] == "no association with PACS (10.0.0.5:104): refused"


def test_an_analysis_that_cannot_compare_asks_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "PeerArchive", Away)
    monkeypatch.setattr(follow_up, "can_follow_up", lambda _: False)
    told = site.told()
    assert told["status"] == "unavailable"
    assert told["reason"] == f"analysis {NAME}: does not compare examinations"


class Holding(Empty):
    """Answers when the test lets it."""

    let_go = threading.Event()

    def studies(self, patient_id: str, until: str) -> Sequence[Dataset]:
        self.let_go.wait()
        return []


def test_a_search_that_outlasts_its_bound_is_left_behind(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "PeerArchive", Holding)
    (route,) = site.settings.routes
    assert route.follow_up is not None
    short = route.follow_up.model_copy(update={"wait_s": 0.2})
    routes = [route.model_copy(update={"follow_up": short})]
    site.settings = site.settings.model_copy(update={"routes": routes})
    try:
        told = site.told()
    finally:
        Holding.let_go.set()
    assert told["status"] == "unavailable"
    assert told["reason"] == "pacs did not answer in full within 0.2 s"


class WithPictures(Empty):
    """Holds one earlier study with pictures, and no report."""

    folder: Path

    def studies(self, patient_id: str, until: str) -> Sequence[Dataset]:
        study = Dataset()
        study.StudyInstanceUID = "1.9"
        study.StudyDate = "20250102"
        study.PatientID = patient_id
        return [study]

    def series(self, study_uid: str) -> Sequence[Dataset]:
        series = Dataset()
        series.SeriesInstanceUID = "1.9.1"
        series.Modality = "MR"
        return [series]

    def fetch(
        self, study_uid: str, series_uid: str, classes: Sequence[str]
    ) -> Sequence[Path]:
        voxels, frame, _ = phantom_spine((5, 64, 40), (7.0, 4.0, 4.0))
        instances = build_series(
            voxels, frame, StudyInstanceUID=study_uid, StudyDate="20250102"
        )
        return write_series(self.folder, instances)


class Choosy(PhantomMri):
    """Finds that nothing can be measured."""

    def analyse(self, *_: object, **__: object) -> AnalysisResult:
        raise UnsuitableInput(code="blank", text="nothing to see")


@pytest.fixture
def with_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(WithPictures, "folder", tmp_path / "then", raising=False)
    monkeypatch.setattr(follow_up, "PeerArchive", WithPictures)


@pytest.mark.usefixtures("with_pictures")
def test_earlier_pictures_are_measured_and_the_reader_is_told(site: Site) -> None:
    told = site.told()
    assert (told["status"], told["days"]) == ("compared", 365)
    assert told["then"] == [7.0]
    assert told["earlier"]["measured_now"] is True
    assert "prior_measured_now" in told["codes"]


@pytest.mark.usefixtures("with_pictures")
def test_earlier_pictures_that_cannot_be_measured_are_counted(site: Site) -> None:
    told = site.told(Choosy())
    assert told["status"] == "no_prior"
    assert told["refused"] == [{"code": "not_measurable", "count": 1}]


class Stumbling(PhantomMri):
    """Fails when it compares."""

    def follow_up(self, *_: object) -> AnalysisResult:
        message = "nothing in common"
        raise ZeroDivisionError(message)


@pytest.mark.usefixtures("with_pictures")
def test_a_comparison_that_fails_costs_no_result(site: Site) -> None:
    told = site.told(Stumbling())
    assert told["status"] == "unavailable"
    assert told["reason"].startswith("ZeroDivisionError in test_compare.py:")
    assert told["codes"] >= {"phantom", "prior_unavailable"}


@pytest.mark.usefixtures("with_pictures")
def test_the_route_decides_which_earlier_pictures_it_takes(site: Site) -> None:
    (route,) = site.settings.routes
    accept = route.accept.model_copy(update={"body_part": ["KNEE"]})
    routes = [route.model_copy(update={"accept": accept})]
    site.settings = site.settings.model_copy(update={"routes": routes})
    assert site.told()["status"] == "no_prior"


def test_a_route_without_a_follow_up_seeks_nothing(site: Site) -> None:
    (route,) = site.settings.routes
    plain = route.model_copy(update={"follow_up": None})
    with pytest.raises(ValueError, match="asks for no follow-up"):
        PriorSearch(site.settings, Registry({}), site.job, plain)

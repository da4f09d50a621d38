"""What is measured while a series is quiet, and who may take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.contract.errors import AnalysisFailed, UnsuitableInput
from analysis.contract.plugin import Analysis, Context, Role
from analysis.contract.result import AnalysisResult
from analysis.contract.volume import Volume
from dicom_node.jobs.step_outcome import Verdict
from dicom_node.plugins.registry import Registry
from dicom_node.records import Job
from dicom_node.settings.sections import Settings
from dicom_node.work.job_steps import JobSteps
from tests.support.encoded import SHAPE, SPACING_MM
from tests.support.mr_series import build_series, write_series
from tests.support.phantom_plugin import NAME, PhantomMri
from tests.support.spine_phantom import SAGITTAL, phantom_spine
from tests.support.toy_worker import toy_job


class Counting(PhantomMri):
    """Counts how often it measures, and breaks or refuses when told to."""

    def __init__(self) -> None:
        self.measured: list[tuple[int, str]] = []
        self.raises: Exception | None = None

    def analyse(
        self, inputs: Mapping[Role, Volume], context: Context
    ) -> AnalysisResult:
        (volume,) = inputs.values()
        self.measured.append((len(volume.voxels), context.writing.language))
        if self.raises is not None:
            raise self.raises
        return super().analyse(inputs, context)


class Only(Registry):
    """Has this analysis and no other."""

    def __init__(self, analysis: Analysis) -> None:
        super().__init__({})
        self._analysis = analysis

    def get(self, name: str) -> Analysis:
        return self._analysis

    def prepared(self, name: str, *, threads: int, device: str) -> tuple[Analysis, str]:
        return self._analysis, ""


@pytest.fixture
def analysis() -> Counting:
    return Counting()


@pytest.fixture
def steps(tmp_path: Path, analysis: Counting) -> JobSteps:
    return JobSteps(_settings(tmp_path), Only(analysis))


def _settings(folder: Path, language: str = "en") -> Settings:
    route = {"name": "toy", "analysis": NAME, "deliver_to": ["pacs"]}
    return Settings.model_validate(
        {
            "version": 1,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": str(folder / "spool")},
            "routes": [route | {"language": language}],
        }
    )


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return _job(tmp_path / "source", "one")


def _job(folder: Path, name: str) -> Job:
    write_series(folder, build_series(*phantom_spine(SHAPE, SPACING_MM, SAGITTAL)[:2]))
    made = toy_job(name, paths=sorted(folder.iterdir()))
    return replace(made, analysis=NAME)


def test_a_job_takes_what_was_measured_before_it_was_owed(
    steps: JobSteps, analysis: Counting, job: Job
) -> None:
    ahead = steps.analyse_ahead(job.series.instances)
    assert ahead.verdict is Verdict.DONE
    outcome = steps.analyse(job)
    assert analysis.measured == [(SHAPE[0], "en")]
    assert steps.encode(job, outcome).verdict is Verdict.DONE
    # It is taken once: the next job of the same content measures for itself.
    steps.analyse(job)
    assert len(analysis.measured) == 2


def test_the_results_are_those_of_a_job_that_measures_for_itself(
    tmp_path: Path, job: Job
) -> None:
    written: list[dict[str, bytes]] = []
    for is_ahead in (False, True):
        settings = _settings(tmp_path / str(is_ahead))
        steps = JobSteps(settings, Only(Counting()))
        if is_ahead:
            steps.analyse_ahead(job.series.instances)
        assert steps.encode(job, steps.analyse(job)).verdict is Verdict.DONE
        found = sorted(settings.spool.folder.rglob("*.dcm"))
        written.append({path.name: path.read_bytes() for path in found})
    assert written[0]
    assert written[0] == written[1]


def test_a_series_that_grew_is_measured_anew(
    steps: JobSteps, analysis: Counting, job: Job
) -> None:
    steps.analyse_ahead(job.series.instances[:-1])
    assert steps.analyse(job).verdict is Verdict.DONE
    assert [slices for slices, _ in analysis.measured] == [SHAPE[0] - 1, SHAPE[0]]


def test_an_instance_that_came_again_with_other_content_counts_as_another(
    steps: JobSteps, analysis: Counting, job: Job
) -> None:
    first, *others = job.series.instances
    steps.analyse_ahead((replace(first, sha256="former"), *others))
    steps.analyse(job)
    assert len(analysis.measured) == 2


def test_what_is_measured_ahead_is_written_as_its_route_says(
    tmp_path: Path, analysis: Counting, job: Job
) -> None:
    steps = JobSteps(_settings(tmp_path, "zh-CN"), Only(analysis))
    steps.analyse_ahead(job.series.instances)
    steps.analyse(job)
    assert [language for _, language in analysis.measured] == ["zh-CN"]


def test_a_refusal_is_found_ahead_as_well(
    steps: JobSteps, analysis: Counting, job: Job
) -> None:
    analysis.raises = UnsuitableInput(code="too_dark", text="is too dark")
    assert steps.analyse_ahead(job.series.instances).verdict is Verdict.REJECTED
    outcome = steps.analyse(job)
    assert (outcome.verdict, outcome.code) == (Verdict.REJECTED, "too_dark")
    assert len(analysis.measured) == 1


def test_what_goes_wrong_ahead_is_left_to_the_job(
    steps: JobSteps, analysis: Counting, job: Job
) -> None:
    analysis.raises = AnalysisFailed("a bad day")
    assert steps.analyse_ahead(job.series.instances).verdict is Verdict.AGAIN
    analysis.raises = None
    assert steps.analyse(job).verdict is Verdict.DONE
    assert len(analysis.measured) == 2


def test_what_no_route_takes_is_not_measured(
    steps: JobSteps, analysis: Counting, tmp_path: Path
) -> None:
    across = build_series(*phantom_spine(SHAPE, SPACING_MM, SAGITTAL)[:2])
    for instance in across:
        instance.Modality = "CT"
    write_series(tmp_path / "ct", across)
    job = toy_job("ct", paths=sorted((tmp_path / "ct").iterdir()))
    assert steps.analyse_ahead(job.series.instances).verdict is Verdict.REJECTED
    assert analysis.measured == []


def test_the_latest_two_are_kept(
    steps: JobSteps, analysis: Counting, tmp_path: Path
) -> None:
    jobs = [_job(tmp_path / name, name) for name in ("one", "two", "three")]
    for job in jobs:
        steps.analyse_ahead(job.series.instances)
        steps.analyse_ahead(job.series.instances)
    assert len(analysis.measured) == 3
    for job in reversed(jobs):
        assert steps.analyse(job).verdict is Verdict.DONE
    assert len(analysis.measured) == 4

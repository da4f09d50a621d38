"""Steps of jobs beside each other in one worker."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from analysis.contract.plugin import Analysis
from dicom_node import log
from dicom_node.errors import AnalysisUnavailableError, EncodingError
from dicom_node.jobs.step_outcome import Outcome, Verdict
from dicom_node.plugins.registry import Registry
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout
from dicom_node.work import job_steps
from dicom_node.work.job_steps import JobSteps
from dicom_node.work.result_files import OVERLAY
from tests.support.encoded import SHAPE, SPACING_MM
from tests.support.mr_series import build_series, write_series
from tests.support.peers import WITHIN_S, wait_until
from tests.support.phantom_plugin import PhantomMri
from tests.support.spine_phantom import SAGITTAL, phantom_spine
from tests.support.toy_worker import toy_job


def _settings(folder: Path, *, device: str = "auto") -> Settings:
    return Settings.model_validate(
        {
            "version": 1,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": str(folder)},
            "routes": [{"name": "toy", "analysis": "toy", "deliver_to": ["pacs"]}],
            "work": {"device": device},
        }
    )


class SlowToLoad(Registry):
    """Takes its time until it is told to go on."""

    def __init__(self) -> None:
        super().__init__({})
        self.events: list[str] = []
        self.loading, self.go_on = threading.Event(), threading.Event()

    def prepared(self, name: str, *, threads: int, device: str) -> tuple[Analysis, str]:
        self.events.append("loading")
        self.loading.set()
        assert self.go_on.wait(WITHIN_S)
        self.events.append("loaded")
        raise AnalysisUnavailableError(name, why="a toy")

    def get(self, name: str) -> Analysis:
        self.events.append("asked for")
        raise AnalysisUnavailableError(name, why="a toy")


def test_an_analysis_waits_until_what_it_needs_is_loaded(tmp_path: Path) -> None:
    registry = SlowToLoad()
    steps = JobSteps(_settings(tmp_path), registry)
    with ThreadPoolExecutor() as threads:
        warming = threads.submit(steps.warm)
        assert registry.loading.wait(WITHIN_S)
        analysing = threads.submit(steps.analyse, toy_job("one"))
        delivering = threads.submit(steps.deliver, toy_job("two"), "pacs", ())
        assert not analysing.done()
        assert not delivering.done()
        registry.go_on.set()
        warming.result()
        analysing.result()
        delivering.result()
    loads = ["loading", "loaded"]
    assert registry.events == [*loads, *loads, "asked for"]


class LosesItsGpu(Registry):
    """Has a GPU at first, and loses it with the second series."""

    def __init__(self) -> None:
        super().__init__({})
        self._answers = ["", "its memory gave out", "its memory gave out"]

    def prepared(self, name: str, *, threads: int, device: str) -> tuple[Analysis, str]:
        assert device == "cuda"
        return PhantomMri(), self._answers.pop(0)


def test_a_gpu_that_is_lost_while_the_node_runs_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, object]] = []
    monkeypatch.setattr(
        log, "warning", lambda name, **fields: told.append((name, fields["reason"]))
    )
    steps = JobSteps(_settings(tmp_path, device="cuda"), LosesItsGpu())
    steps.warm()
    assert told == []
    steps.warm()
    steps.warm()
    reason = "work.device is cuda, but its memory gave out: it computes on the CPU"
    assert told == [("device_missed", reason)]


def test_what_computes_is_said_once_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    runtimes = ["torch1.fp16", "torch1.fp16", "openvino1.bf16"]
    monkeypatch.setattr(log, "warning", lambda *_, **__: None)
    monkeypatch.setattr(
        log, "event", lambda *said, **fields: told.append((said, fields))
    )
    monkeypatch.setattr(job_steps, "runtime_of", lambda _: runtimes.pop(0))
    steps = JobSteps(_settings(tmp_path, device="cuda"), LosesItsGpu())
    for _ in range(3):
        steps.warm()
    same = {"analysis": "toy", "analysis_version": "1"}
    assert told == [
        (("analysis_loaded",), {**same, "runtime": "torch1.fp16"}),
        (("analysis_loaded",), {**same, "runtime": "openvino1.bf16"}),
    ]


def test_a_worker_loads_without_a_look_for_garbage_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[bool] = []

    @contextmanager
    def loading() -> Iterator[None]:
        begun.append(steps.is_loaded)
        yield

    monkeypatch.setattr(job_steps, "loading", loading)
    monkeypatch.setattr(log, "warning", lambda *_, **__: None)
    steps = JobSteps(_settings(tmp_path, device="cuda"), LosesItsGpu())
    for _ in range(3):
        steps.warm()
    assert begun == [False]


NEW_WITH_A_JOB = """
import sys
from pathlib import Path

from dicom_node.plugins.registry import Registry
from dicom_node.work.job_steps import JobSteps
from dicom_node.settings.sections import Settings
from tests.support.phantom_plugin import PhantomMri
from tests.support.toy_worker import toy_job

class Toy(Registry):
    def get(self, name):
        return PhantomMri()

steps = JobSteps(Settings.model_validate_json(sys.argv[1]), Toy({}))
steps.warm()
before = set(sys.modules)
job = toy_job("one", paths=sorted(Path(sys.argv[2]).iterdir()))
outcome = steps.encode(job, steps.analyse(job))
new = {name for name in sys.modules if not name.startswith("numpy")} - before
print(outcome.verdict.value, sorted(new))
"""


def test_all_that_a_job_needs_is_loaded_before_it_comes(tmp_path: Path) -> None:
    source, spool = tmp_path / "source", tmp_path / "spool"
    write_series(source, build_series(*phantom_spine(SHAPE, SPACING_MM, SAGITTAL)[:2]))
    settings = _settings(spool).model_dump_json()
    done = subprocess.run(
        [sys.executable, "-c", NEW_WITH_A_JOB, settings, str(source)],
        check=True,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert done.stdout.splitlines()[-1] == "done []"


class Phantoms(Registry):
    """Has the phantom and no other analysis."""

    def get(self, name: str) -> Analysis:
        return PhantomMri()


def test_a_result_that_cannot_be_built_leaves_no_picture_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, settings = tmp_path / "source", _settings(tmp_path / "spool")
    write_series(source, build_series(*phantom_spine(SHAPE, SPACING_MM, SAGITTAL)[:2]))
    job = toy_job("one", paths=sorted(source.iterdir()))
    outbox = SpoolLayout(settings.spool.folder).outbox
    steps = JobSteps(settings, Phantoms({}))

    def broken(*_: object) -> None:
        partial = outbox / f"{job.id}.partial"
        wait_until((partial / OVERLAY).is_file, what="the picture lies there")
        message = "breaks its IOD"
        raise EncodingError(message)

    monkeypatch.setattr("dicom_node.work.encode.encode_series", broken)
    outcome = steps.encode(job, steps.analyse(job))
    assert outcome.verdict is Verdict.FAILED
    assert list(outbox.iterdir()) == []


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENOSPC, errno.EIO, errno.ENOMEM, errno.EROFS]
)
def test_what_the_machine_lacks_is_no_fault_of_the_series(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    steps = JobSteps(_settings(tmp_path), Registry({}))
    monkeypatch.setattr("dicom_node.work.deliver.deliver", short)
    outcome = steps.deliver(toy_job("one"), "pacs", ["1.1"])
    assert (outcome.verdict, outcome.code) == (Verdict.AGAIN, "machine-trouble")
    assert outcome.stored == ("1.1",)
    monkeypatch.setattr(steps, "_analyse", short)
    assert steps.analyse(toy_job("one")).verdict is Verdict.AGAIN
    monkeypatch.setattr(steps, "_analyse", lambda _job: None)
    monkeypatch.setattr("dicom_node.work.encode.ResultEncoder.encode", short)
    encoded = steps.encode(toy_job("one"), Outcome(verdict=Verdict.DONE))
    assert encoded.verdict is Verdict.AGAIN

"""Stages of jobs beside each other in one worker."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from analysis.contract.plugin import Analysis
from dicom_node.errors import AnalysisUnavailableError
from dicom_node.pipeline.registry import Registry
from dicom_node.pipeline.stages import Stages
from dicom_node.settings.model import Settings
from tests.support.toy_worker import toy_job


class SlowToLoad(Registry):
    """Takes its time until it is told to go on."""

    def __init__(self) -> None:
        super().__init__({})
        self.events: list[str] = []
        self.loading, self.go_on = threading.Event(), threading.Event()

    def prepared(self, name: str, *, threads: int) -> Analysis:
        self.events.append("loading")
        self.loading.set()
        assert self.go_on.wait(20)
        self.events.append("loaded")
        raise AnalysisUnavailableError(name, why="a toy")

    def get(self, name: str) -> Analysis:
        self.events.append("asked for")
        raise AnalysisUnavailableError(name, why="a toy")


def test_an_analysis_waits_until_what_it_needs_is_loaded(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "version": 1,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": str(tmp_path)},
            "routes": [{"name": "toy", "analysis": "toy", "deliver_to": ["pacs"]}],
        }
    )
    registry = SlowToLoad()
    stages = Stages(settings, registry)
    with ThreadPoolExecutor() as threads:
        warming = threads.submit(stages.warm)
        assert registry.loading.wait(60)
        analysing = threads.submit(stages.analyse, toy_job("one"))
        delivering = threads.submit(stages.deliver, toy_job("two"), "pacs", ())
        assert not analysing.done()
        assert not delivering.done()
        registry.go_on.set()
        warming.result()
        analysing.result()
        delivering.result()
    loads = ["loading", "loaded"]
    assert registry.events == [*loads, *loads, "asked for"]

"""The identity of a result is the same whichever machine of a node asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicom_node.plugins import chosen_device as module
from dicom_node.plugins.chosen_device import chosen_device
from dicom_node.settings.sections import Settings
from dicom_node.work.result_identity import shape_of
from tests.support.toy_worker import toy_job


def settings_with(device: str) -> Settings:
    return Settings.model_validate(
        {
            "version": 1,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": "/spool"},
            "routes": [{"name": "toy", "analysis": "toy", "deliver_to": ["pacs"]}],
            "work": {"device": device},
        }
    )


def shape_with(device: str) -> str:
    settings = settings_with(device)
    job = toy_job("one")
    return shape_of(job, job.series, settings.routes[0], settings)


def test_a_series_that_is_triaged_where_there_is_a_gpu_is_owed_what_it_is_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    devices, shapes = [], []
    for has_gpu in (False, True):
        monkeypatch.setattr(module, "find_spec", lambda _name: object())
        shown = (Path("/dev/null"),) if has_gpu else ()
        monkeypatch.setattr(module, "_SHOWN_BY", shown)
        devices.append(chosen_device("auto"))
        shapes.append(shape_with("auto"))
    assert devices == ["cpu", "cuda"]
    assert shapes[0] == shapes[1]


def test_a_device_that_is_set_is_part_of_what_a_result_is() -> None:
    assert len({shape_with(device) for device in ("auto", "cpu", "cuda")}) == 3

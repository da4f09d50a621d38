"""`auto` is a GPU where the machine shows one and torch is there."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from dicom_node.plugins import chosen_device as module
from dicom_node.plugins.chosen_device import chosen_device


@pytest.mark.parametrize(
    ("has_driver", "has_torch", "chosen"),
    [
        (True, True, "cuda"),
        (True, False, "cpu"),
        (False, True, "cpu"),
        (False, False, "cpu"),
    ],
)
def test_auto_needs_a_driver_and_torch(
    has_driver: bool,
    has_torch: bool,
    chosen: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = tmp_path / "nvidiactl"
    if has_driver:
        shown.touch()
    spec = ModuleSpec("torch", None) if has_torch else None
    monkeypatch.setattr(module, "_SHOWN_BY", (tmp_path / "kfd", shown))
    monkeypatch.setattr(module, "find_spec", {"torch": spec}.get)
    assert chosen_device("auto") == chosen


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_a_device_that_is_named_is_that_device(device: str) -> None:
    assert chosen_device(device) == device

"""What holds for every test: markers that depend on the machine."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Generator
from itertools import islice
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
PEER_PROGRAMS = (
    "storescu", "storescp", "dcmsend", "echoscu", "findscu", "openssl", "Orthanc",
)  # fmt: skip

# Tests of real processes, the modules that take longest first; the rest as it comes.
_WAITING = ("viewer", "integration")
_LONGEST = (
    "test_ohif", "test_jobs", "test_kill", "test_page", "test_correction", "test_ops",
    "test_bad_input", "test_phantom", "test_triage_workflow", "test_analyse_ahead",
    "test_backup", "test_receive", "test_follow_up", "test_notification", "test_rerun",
    "test_machines", "test_poison", "test_commitment", "test_reload", "test_demo",
)  # fmt: skip
_COMPUTING_AFTER_EACH = 3
"""Modules that compute, after each that waits; a quarter is left for the end, where
they are short enough that no process ends alone."""

# Debian installs Orthanc where an ordinary user's PATH does not look.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])


def missing_peers() -> list[str]:
    """Return the peer programs that this machine lacks."""
    return [name for name in PEER_PROGRAMS if shutil.which(name, path=_PATH) is None]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip loudly what this machine cannot run; CI must have every peer."""
    if item.get_closest_marker("shared") and not SHARED_DATA.is_dir():
        pytest.skip(f"SHARED DATA MISSING: {SHARED_DATA} is not there")
    if not item.get_closest_marker("peer"):
        return
    missing = missing_peers()
    if not missing:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"peers missing: {missing}; run `make peers`")
    pytest.skip(f"PEERS MISSING: {missing}; run `make peers`")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without looking for garbage.

    All of it stays until the end, and to look through it again and again takes four of
    ten seconds, in every process.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)  # after they were shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix the modules that wait for processes with those that need the processor."""
    modules = dict.fromkeys(item.path for item in items)
    waiting = [path for path in modules if path.parent.name in _WAITING]
    waiting.sort(key=_place_among_longest)
    computing = iter([path for path in modules if path.parent.name not in _WAITING])
    ordered: list[Path] = []
    for path in waiting:
        ordered += [path, *islice(computing, _COMPUTING_AFTER_EACH)]
    ordered += computing
    place = {path: number for number, path in enumerate(ordered)}
    items.sort(key=lambda item: place[item.path])


def _place_among_longest(path: Path) -> int:
    return _LONGEST.index(path.stem) if path.stem in _LONGEST else len(_LONGEST)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def demo_series() -> Path:
    """Return the folder of the bundled real series."""
    return ROOT / "deploy" / "demo" / "series"

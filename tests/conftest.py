"""What holds for every test: markers that depend on the machine."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
PEER_PROGRAMS = (
    "storescu", "storescp", "dcmsend", "echoscu", "findscu", "openssl", "Orthanc",
)  # fmt: skip

_LONGEST = {"viewer": 0, "integration": 1}

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
    """Begin with the modules that take longest, so that no process ends alone."""
    items.sort(key=lambda item: _LONGEST.get(item.path.parent.name, len(_LONGEST)))


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def demo_series() -> Path:
    """Return the folder of the bundled real series."""
    return ROOT / "deploy" / "demo" / "series"

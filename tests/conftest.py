"""What holds for every test: markers that depend on the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
PEER_PROGRAMS = (
    "storescu", "storescp", "dcmsend", "echoscu", "findscu", "openssl", "Orthanc",
)  # fmt: skip

_LONGEST = {"viewer": 0, "integration": 1}
_UNTRACED = {"accuracy", "conformance", "integration", "viewer"}
"""They measure real series for minutes, or wait for nodes, and that is longer under
coverage; other tests run the same lines."""
_TRACED = {
    "test_archives.py", "test_receive.py", "test_send.py", "test_slow_archive.py",
    "test_stalled_peer.py", "test_jobs.py", "test_triage_workflow.py", "test_tls.py",
    "test_stow.py", "test_report_peers.py", "test_commitment.py",
    "test_commitment_reports.py", "test_audit_repository.py",
    "test_machines_in_trouble.py",
}  # fmt: skip
"""Integration tests that run lines of the node in their own process."""

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


@pytest.hookimpl(trylast=True)  # after pytest-cov has begun
def pytest_sessionstart(session: pytest.Session) -> None:
    """Leave one tracer in a process of xdist.

    It is a process that coverage traces by itself, and pytest-cov begins a second
    trace; where that pauses, the first would go on.
    """
    plugin = session.config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    if controller is None:
        return
    controller.pause()
    while (begun := coverage.Coverage.current()) is not None:
        begun.stop()
    controller.resume()


@pytest.hookimpl(trylast=True)  # after they were shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest, so that no process ends alone."""
    items.sort(key=lambda item: _LONGEST.get(item.path.parent.name, len(_LONGEST)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Pause the coverage for tests that do without, and for their fixtures."""
    plugin = item.config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    is_traced = item.path.parent.name not in _UNTRACED or item.path.name in _TRACED
    if controller is None or is_traced:
        return (yield)
    controller.pause()
    try:
        return (yield)
    finally:
        controller.resume()


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def demo_series() -> Path:
    """Return the folder of the bundled real series."""
    return ROOT / "deploy" / "demo" / "series"

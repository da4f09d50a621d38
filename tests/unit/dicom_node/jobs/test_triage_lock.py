"""Processes of one machine with SQLite triage a study one after another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.triage_lock import TriageLock
from dicom_node.spool_layout import SpoolLayout

HOLDS = """
import sys
from pathlib import Path
from dicom_node.jobs.triage_lock import TriageLock
from dicom_node.spool_layout import SpoolLayout

lock = TriageLock("sqlite:///jobs.sqlite", SpoolLayout(Path(sys.argv[1])))
with lock.held("1.2.3"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_study_is_triaged_by_one_process_at_a_time_and_others_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.jobs.triage_lock._WITHIN_S", 0.1)
    lock = TriageLock("sqlite:///jobs.sqlite", SpoolLayout(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with lock.held("1.2.4"):
            pass
        with pytest.raises(JobDatabaseError, match="too long"), lock.held("1.2.3"):
            pass
        other.kill()
    with lock.held("1.2.3"):
        pass

"""A disk that has failed, and that the system has therefore made read-only."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dicom_node.node_report import NotifyPlan
from dicom_node.ops.checks import State, checks_of
from dicom_node.ops.notification import Kind
from dicom_node.ops.notification_state import Memory
from dicom_node.ops.notification_watch import NotificationWatch
from dicom_node.ops.watch import Watch
from tests.support.ops_plan import plan_for
from tests.support.small_disk import small_disk


def test_a_disk_that_takes_nothing_is_told_though_it_is_free(tmp_path: Path) -> None:
    notify = NotifyPlan(
        urls_file=None,
        every_s=900.0,
        failed_jobs=False,
        disk_below_bytes=1000,
        unreachable_s=3600.0,
        silent=None,
        zone=ZoneInfo("UTC"),
    )
    with small_disk(tmp_path / "disk") as folder:
        plan = plan_for(spool_folder=folder)
        remount = ["mount", "-o", "remount,ro", str(folder)]
        if subprocess.run(remount, check=False, capture_output=True).returncode != 0:
            pytest.skip("NO MOUNT: this container may not mount a disk again")
        seen = asyncio.run(Watch(plan, is_told=False).look(with_echo=False))
        (disk,) = (one for one in checks_of(seen, plan) if one.name == "disk")
        assert (disk.state, disk.text) == (
            State.FAILED,
            f"{folder}: Read-only file system",
        )
        found = NotificationWatch(plan, notify, Memory(folder)).look(None, 0.0)
        assert found.problems[f"{Kind.DISK}:"].text == (
            "the disk of the spool takes nothing (Read-only file system): senders are "
            "refused"
        )

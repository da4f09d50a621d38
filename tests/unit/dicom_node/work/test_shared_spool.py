"""A spool that is gone, or shows a file late, is no fault of the series."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest

from dicom_node.jobs.step_outcome import Verdict
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.plugins.registry import Registry
from dicom_node.settings.sections import Settings
from dicom_node.spool_identity import SpoolIdentity
from dicom_node.spool_layout import NODE_ID, SpoolLayout
from dicom_node.work.job_steps import JobSteps
from dicom_node.work.shared_spool import SharedSpool
from tests.support.toy_worker import toy_job


@pytest.fixture
def layout(tmp_path: Path) -> SpoolLayout:
    layout = SpoolLayout(tmp_path / "spool")
    layout.prepare()
    (layout.folder / NODE_ID).write_text("the same on all machines")
    return layout


def test_a_file_that_is_seen_late_is_waited_for(layout: SpoolLayout) -> None:
    path = layout.inbox / "late.dcm"
    threading.Timer(0.3, path.touch).start()
    SharedSpool(layout, is_shared=True).wait_for(path)
    assert path.exists()


def test_nothing_is_waited_for_where_no_other_machine_writes(
    layout: SpoolLayout,
) -> None:
    began_s = time.monotonic()
    SharedSpool(layout, is_shared=False).wait_for(layout.inbox / "never.dcm")
    assert time.monotonic() - began_s < 0.5


@pytest.mark.parametrize("is_shared", [True, False])
def test_while_the_spool_is_gone_nothing_is_failed_on_one_of_several_machines(
    layout: SpoolLayout, is_shared: bool
) -> None:
    path = layout.inbox / "one.dcm"
    path.touch()
    job = toy_job("one", paths=[path])
    layout.folder.rename(layout.folder.with_name("unmounted"))
    settings = Settings.model_validate(
        {
            "version": 1,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": str(layout.folder)},
            "routes": [{"name": "toy", "analysis": "toy", "deliver_to": ["pacs"]}],
        }
    )
    steps = JobSteps(settings, Registry({}), is_one_of_several=is_shared)
    wanted = Verdict.AGAIN if is_shared else Verdict.FAILED
    assert steps.analyse(job).verdict is wanted
    assert steps.deliver(job, "pacs", ()).verdict is wanted
    if is_shared:
        outcome = steps.triage(TriageOrder(series=job.series))
        assert (outcome.verdict, outcome.code) == (Verdict.AGAIN, "machine-trouble")


def test_another_spool_in_its_place_is_none(layout: SpoolLayout) -> None:
    identity = SpoolIdentity(layout)
    unmounted = layout.folder.rename(layout.folder.with_name("unmounted"))
    layout.prepare()
    assert identity.is_gone
    (layout.folder / NODE_ID).write_text("of the disk below")
    assert identity.is_gone
    shutil.rmtree(layout.folder)
    unmounted.rename(layout.folder)
    assert not identity.is_gone

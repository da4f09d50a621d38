"""From events of an acceptor to jobs that are durably owed, and their removal."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from pydicom import dcmread

from dicom_node.corrections.match import Drawn, place
from dicom_node.errors import JobDatabaseError, SpoolFailedError
from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.node import enqueue_series as intake_module
from dicom_node.node.children import Child
from dicom_node.node.enqueue_series import Intake
from dicom_node.node.housekeeping import Housekeeping
from dicom_node.plugins.registry import GROUP, Registry
from dicom_node.receive.events import InstanceStored
from dicom_node.receive.file_meta import encode_meta, read_meta
from dicom_node.records import JobRow, JobState, StoredInstance
from dicom_node.series.spool_content import read_spool
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout, instance_name
from tests.support.corrected import redrawn
from tests.support.peers import WITHIN_S
from tests.support.phantom_plugin import NAME
from tests.support.triaging import TriagingQueue

QUIET_S = 5.0
LONG_AGO_S = 1_700_000_000.0
PLUGIN = EntryPoint(
    name=NAME, value="tests.support.phantom_plugin:PhantomMri", group=GROUP
)


@pytest.fixture(autouse=True)
def _files_are_taken_for_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the same files stand for many contents, which the inbox would not do."""
    monkeypatch.setattr("dicom_node.work.triage.verify_files", lambda _series: None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings.model_validate(
        {
            "version": 1,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": str(tmp_path / "spool")},
            "series": {"quiet_s": QUIET_S},
            "routes": [{"name": "toy", "analysis": NAME, "deliver_to": ["pacs"]}],
        }
    )
    SpoolLayout(settings.spool.folder).prepare()
    prepare_database(settings.database_url)
    return settings


@pytest.fixture
def queue(settings: Settings) -> Iterator[TriagingQueue]:
    with TriagingQueue(settings, Registry({NAME: PLUGIN})) as queue:
        yield queue


class OrdersQueue(JobQueue):
    """Takes down the orders of triage, and carries out none."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.database_url)
        self.orders: list[TriageOrder] = []

    def enqueue_triage(self, order: TriageOrder) -> None:
        self.orders.append(order)


def intake_for(settings: Settings, queue: JobQueue) -> Intake:
    return Intake(settings, queue, None)


def stored(settings: Settings, path: Path) -> InstanceStored:
    """Return the event of an instance that was just put into the inbox."""
    dataset = dcmread(path, stop_before_pixels=True)
    study_uid, series_uid = dataset.StudyInstanceUID, dataset.SeriesInstanceUID
    layout = SpoolLayout(settings.spool.folder)
    folder = layout.series_folder(study_uid, series_uid)
    folder.mkdir(exist_ok=True)
    with path.open("rb") as file:
        read_meta(file)
        sha256 = hashlib.sha256(file.read()).hexdigest()
    copy = folder / instance_name(dataset.SOPInstanceUID, sha256)
    shutil.copy(path, copy)
    os.utime(copy, (LONG_AGO_S, LONG_AGO_S))
    return InstanceStored(
        "acceptor-0-1-1",
        StoredInstance(
            path=copy,
            sop_class_uid=dataset.SOPClassUID,
            sop_instance_uid=dataset.SOPInstanceUID,
            study_uid=study_uid,
            series_uid=series_uid,
            transfer_syntax_uid=dataset.file_meta.TransferSyntaxUID,
            calling_ae="PACS",
            sha256=sha256,
            size_bytes=path.stat().st_size,
            received_at_s=LONG_AGO_S,
        ),
    )


@pytest.fixture
def events(settings: Settings, demo_series: Path) -> list[InstanceStored]:
    return [stored(settings, path) for path in sorted(demo_series.glob("*.dcm"))]


def test_a_series_is_owed_once_it_was_quiet(
    settings: Settings, queue: TriagingQueue, events: list[InstanceStored]
) -> None:
    intake = intake_for(settings, queue)
    assert all(intake.apply(event, 0.0) for event in events)
    intake.tick(QUIET_S - 0.1)
    assert queue.list() == ()
    intake.tick(QUIET_S)
    (row,) = queue.list()
    assert (row.route, row.instances) == ("toy", len(events))
    assert queue.job(row.id).accepted_at_s == LONG_AGO_S
    folder = events[0].instance.path.parent
    assert [path.name.split("-")[0] for path in folder.glob("*.json")] == ["owed"]
    assert not intake.is_collecting


def revised(
    settings: Settings, queue: TriagingQueue, events: list[InstanceStored]
) -> tuple[JobRow, ...]:
    """Let a series be complete, and once more with one instance more."""
    intake = intake_for(settings, queue)
    for event in events[:-1]:
        intake.apply(event, 0.0)
    intake.tick(QUIET_S)
    intake.apply(events[-1], 100.0)
    intake.tick(100.0 + QUIET_S)
    return queue.list()


def test_a_later_revision_gives_up_the_older_job_that_is_not_settled(
    settings: Settings, queue: TriagingQueue, events: list[InstanceStored]
) -> None:
    latest, older = revised(settings, queue, events)
    assert (older.state, latest.state) == (JobState.CANCELLED, JobState.WAITING)
    assert queue.job(latest.id).series.revision == 2


def test_a_later_revision_is_owed_though_the_older_job_settles_meanwhile(
    settings: Settings, events: list[InstanceStored]
) -> None:
    class LateQueue(TriagingQueue):
        """Cancels a job that was settled since the caller looked at it."""

        def cancel(self, job_id: str) -> JobRow:
            super().cancel(job_id)
            return super().cancel(job_id)

    with LateQueue(settings, Registry({NAME: PLUGIN})) as queue:
        latest, older = revised(settings, queue, events)
    assert (older.state, latest.state) == (JobState.CANCELLED, JobState.WAITING)


def test_a_series_waits_on_disk_while_the_database_cannot_be_written(
    settings: Settings,
    queue: TriagingQueue,
    events: list[InstanceStored],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise JobDatabaseError

    intake = intake_for(settings, queue)
    for event in events:
        intake.apply(event, 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(TriagingQueue, "enqueue_triage", broken)
        intake.tick(QUIET_S)
    folder = events[0].instance.path.parent
    assert [path.name.split("-")[0] for path in folder.glob("*.json")] == ["pending"]
    assert intake.is_collecting
    intake.tick(QUIET_S + 60)
    assert len(queue.list()) == 1


def test_a_series_that_vanished_from_the_disk_is_looked_at_and_not_waited_for(
    settings: Settings, events: list[InstanceStored]
) -> None:
    with OrdersQueue(settings) as queue:
        intake = intake_for(settings, queue)
        for event in events:
            intake.apply(event, 0.0)
        shutil.rmtree(events[0].instance.path.parent)
        intake.tick(QUIET_S)
        assert len(queue.orders) == 1  # triage says what is missing
        assert not intake.is_collecting


def test_a_database_that_fails_is_asked_once_a_turn_and_not_for_each_series(
    settings: Settings, events: list[InstanceStored]
) -> None:
    class FailingQueue(OrdersQueue):
        is_failing = True

        def enqueue_triage(self, order: TriageOrder) -> None:
            super().enqueue_triage(order)
            if self.is_failing:
                raise JobDatabaseError

    with FailingQueue(settings) as queue:
        intake = intake_for(settings, queue)
        for number, event in enumerate(events):
            uid = f"{event.instance.series_uid}.{number}"
            path = SpoolLayout(settings.spool.folder).series_folder(
                event.instance.study_uid, uid
            )
            path.mkdir()
            one = replace(event.instance, series_uid=uid)
            intake.apply(replace(event, instance=one), 0.0)
        intake.tick(QUIET_S)
        assert len(queue.orders) == 1
        queue.is_failing = False
        intake.tick(QUIET_S + 60)
        assert len({order.id for order in queue.orders}) == len(events)
        assert not intake.is_collecting


def test_what_was_pending_when_the_node_died_is_owed_after_the_restart(
    settings: Settings,
    queue: TriagingQueue,
    events: list[InstanceStored],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    intake = intake_for(settings, queue)
    for event in events:
        intake.apply(event, 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(TriagingQueue, "enqueue_triage", dies)
        with pytest.raises(KeyboardInterrupt):
            intake.tick(QUIET_S)
    restarted = intake_for(settings, queue)
    content = read_spool(SpoolLayout(settings.spool.folder))
    assert len(content.pending) == 1
    restarted.restore(content, 0.0)
    restarted.tick(0.0)
    assert [row.instances for row in queue.list()] == [len(events)]


def sent_anew(events: list[InstanceStored], content: str) -> list[InstanceStored]:
    """Return the same instances with other content, called by a name."""
    return [
        replace(event, instance=replace(event.instance, sha256=content))
        for event in events
    ]


def completed(
    intake: Intake, events: list[InstanceStored], content: str, now_s: float
) -> None:
    """Let a content arrive and become complete."""
    for event in sent_anew(events, content):
        intake.apply(event, now_s)
    intake.tick(now_s + QUIET_S)


def test_content_that_comes_back_is_owed_again_as_the_newest_revision(
    settings: Settings, queue: TriagingQueue, events: list[InstanceStored]
) -> None:
    intake = intake_for(settings, queue)
    for number, content in enumerate(("a", "b", "a", "a")):
        completed(intake, events, content, 100.0 * number)
    assert [(row.revision, row.state) for row in queue.list()] == [
        (3, JobState.WAITING),
        (2, JobState.CANCELLED),
        (1, JobState.CANCELLED),
    ]


@pytest.mark.parametrize(
    ("where", "what"), [(TriagingQueue, "enqueue_triage"), (intake_module, "mark_owed")]
)
def test_content_that_comes_back_is_owed_once_though_the_node_dies_meanwhile(
    settings: Settings,
    queue: TriagingQueue,
    events: list[InstanceStored],
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    what: str,
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    intake = intake_for(settings, queue)
    completed(intake, events, "a", 0.0)
    completed(intake, events, "b", 100.0)
    with monkeypatch.context() as patch:
        patch.setattr(where, what, dies)
        with pytest.raises(KeyboardInterrupt):
            completed(intake, events, "a", 200.0)
    restarted = intake_for(settings, queue)
    content = read_spool(SpoolLayout(settings.spool.folder))
    assert [series.revision for series in content.pending] == [3]
    restarted.restore(content, 0.0)
    restarted.tick(0.0)
    assert [(row.revision, row.state) for row in queue.list()] == [
        (3, JobState.WAITING),
        (2, JobState.CANCELLED),
        (1, JobState.CANCELLED),
    ]
    assert read_spool(SpoolLayout(settings.spool.folder)).pending == ()


@pytest.mark.parametrize("dies_at", ["quiet time", "enqueue_triage", "mark_owed"])
def test_a_series_that_is_sent_again_is_triaged_again_though_the_node_dies(
    settings: Settings,
    events: list[InstanceStored],
    monkeypatch: pytest.MonkeyPatch,
    dies_at: str,
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    layout = SpoolLayout(settings.spool.folder)
    with OrdersQueue(settings) as queue:
        intake = intake_for(settings, queue)
        for event in events:
            intake.apply(event, 0.0)
        intake.tick(QUIET_S)
        for event in arrived_again(events):
            intake.apply(event, 100.0)
        if dies_at != "quiet time":
            where = OrdersQueue if dies_at == "enqueue_triage" else intake_module
            with monkeypatch.context() as patch:
                patch.setattr(where, dies_at, dies)
                with pytest.raises(KeyboardInterrupt):
                    intake.tick(100.0 + QUIET_S)
        for start_s in (200.0, 300.0):
            restarted = intake_for(settings, queue)
            restarted.restore(read_spool(layout), start_s)
            restarted.tick(start_s + QUIET_S)
        first, *again = queue.orders
    assert first.occasion == ""
    assert {order.id for order in again} == {again[0].id}
    assert again[0].id != first.id
    assert again[0].series.digest == first.series.digest
    assert read_spool(layout).pending == ()


def arrived_again(events: list[InstanceStored]) -> list[InstanceStored]:
    """Store the same instances once more, and return the events."""
    again = []
    for generation, event in enumerate(events, start=2):
        path = event.instance.path
        with path.open("rb") as file:
            meta, dataset = read_meta(file), file.read()
        path.write_bytes(encode_meta(replace(meta, generation=generation)) + dataset)
        again.append(
            replace(
                event,
                instance=replace(
                    event.instance,
                    received_at_s=path.stat().st_mtime,
                    generation=generation,
                ),
            )
        )
    return again


def test_what_a_dead_acceptor_left_is_found_though_the_disk_cannot_be_read_at_once(
    settings: Settings,
    events: list[InstanceStored],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with OrdersQueue(settings) as queue:
        intake = intake_for(settings, queue)
        intake.acceptor_lost("acceptor-0-1", 0.0)
        with monkeypatch.context() as patch:
            patch.setattr(intake_module, "unreported_instances", fails)
            intake.tick(0.0)
        assert not intake.is_collecting
        intake.tick(60.0)
        assert intake.is_collecting
        intake.tick(60.0 + settings.series.max_wait_s)
    (order,) = queue.orders
    assert len(order.series.instances) == len(events)


def test_a_revision_whose_manifest_stays_pending_for_a_while_is_not_given_up(
    settings: Settings,
    queue: TriagingQueue,
    events: list[InstanceStored],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> None:
        message = "the spool failed: Input/output error"
        raise SpoolFailedError(message)

    intake = intake_for(settings, queue)
    completed(intake, events, "a", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(intake_module, "mark_owed", fails)
        completed(intake, events, "b", 100.0)
    intake.tick(1000.0)
    assert [(row.revision, row.state) for row in queue.list()] == [
        (2, JobState.WAITING),
        (1, JobState.CANCELLED),
    ]


def test_a_job_that_the_first_release_enqueued_is_superseded_too(
    settings: Settings,
    queue: TriagingQueue,
    events: list[InstanceStored],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    intake = intake_for(settings, queue)
    with monkeypatch.context() as patch:
        # It wrote no key by which the jobs of a series are found.
        patch.setattr("dicom_node.jobs.queue.series_key", lambda *_: None)
        completed(intake, events, "a", 0.0)
    completed(intake, events, "b", 100.0)
    assert [row.state for row in queue.list()] == [
        JobState.WAITING,
        JobState.CANCELLED,
    ]


def test_settled_jobs_lose_their_rows_results_and_series_after_the_days_to_keep(
    settings: Settings, queue: TriagingQueue, events: list[InstanceStored]
) -> None:
    intake = intake_for(settings, queue)
    for event in events:
        intake.apply(event, 0.0)
    intake.tick(QUIET_S)
    (row,) = queue.list()
    layout = SpoolLayout(settings.spool.folder)
    series, outbox = events[0].instance.path.parent, layout.job_outbox(row.id)
    outbox.mkdir()
    for folder in (series, outbox):
        for path in (*folder.iterdir(), folder):
            os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    housekeeping = Housekeeping(settings, queue, intake)

    housekeeping.turn(0.0)
    assert series.exists()
    queue.cancel(row.id)
    housekeeping.turn(1.0)
    assert series.exists()  # not yet an hour
    days_to_keep_s = 3 * 86400
    for _ in housekeeping.clean(now_s=LONG_AGO_S + days_to_keep_s + 1):
        pass
    assert not series.exists()
    assert not outbox.exists()
    assert len(queue.list()) == 1  # its row is as young as its end
    for _ in housekeeping.clean(now_s=time.time() + 2 * days_to_keep_s):
        pass
    assert queue.list() == ()


@pytest.fixture
def outlines(settings: Settings, demo_series: Path, tmp_path: Path) -> InstanceStored:
    """Return the event of a SEG of a reader, about the demo's series."""
    images = [dcmread(path) for path in sorted(demo_series.glob("*.dcm"))]
    labels = np.zeros((len(images), images[0].Rows, images[0].Columns), np.uint8)
    labels[4, 10:20, 10:20] = 1
    redrawn(images, labels, {1: "Phantom"}).save_as(
        tmp_path / "seg.dcm", enforce_file_format=True
    )
    return stored(settings, tmp_path / "seg.dcm")


def test_a_correction_waits_for_the_first_result_of_its_series(
    settings: Settings,
    queue: TriagingQueue,
    events: list[InstanceStored],
    outlines: InstanceStored,
) -> None:
    intake = intake_for(settings, queue)
    intake.apply(outlines, 0.0)
    for event in events:
        os.utime(event.instance.path)
        intake.apply(event, QUIET_S - 1)
    intake.tick(QUIET_S)
    queue.triage_again()
    assert queue.list() == ()  # the series is still arriving
    intake.tick(2 * QUIET_S)
    queue.triage_again()
    (first,) = queue.list()
    assert first.corrects == ""
    assert len(queue.waiting) == 1
    queue.cancel(first.id)
    queue.triage_again()
    correction, _ = queue.list()
    assert correction.corrects == first.series_uid
    assert queue.waiting == []


def test_a_correction_that_is_looked_at_again_is_owed_once(
    settings: Settings,
    queue: TriagingQueue,
    events: list[InstanceStored],
    outlines: InstanceStored,
) -> None:
    intake = intake_for(settings, queue)
    for event in (outlines, *events):
        os.utime(event.instance.path)
        intake.apply(event, 0.0)
    intake.tick(QUIET_S)
    for row in queue.list():
        queue.cancel(row.id)
    queue.triage_again()
    (series,) = (queue.job(row.id).series for row in queue.list() if row.corrects)
    queue.enqueue_triage(TriageOrder(series=series, occasion="again"))
    assert len(queue.list()) == 2


def test_a_correction_keeps_the_series_and_the_results_that_it_needs(
    settings: Settings, queue: TriagingQueue, events: list[InstanceStored]
) -> None:
    intake = intake_for(settings, queue)
    for event in events:
        intake.apply(event, 0.0)
    intake.tick(QUIET_S)
    (first,) = queue.list()
    drawn = Drawn(
        sop_instance_uid="1.2.3", source_uids=(first.series_uid,), labels=("Phantom",)
    )
    placed = place(drawn, first.series_uid, (replace(first, state=JobState.DONE),))
    job = replace(queue.job(first.id), id="other", correction=placed.correction)
    queue.cancel(first.id)
    queue.enqueue(job)
    assert queue.unsettled() == dict.fromkeys((job.id, first.id), first.digest)


@pytest.mark.parametrize(("path_length", "is_told"), [(400, True), (401, False)])
def test_the_longest_word_to_a_worker_holds_nobody_who_says_it(
    path_length: int, is_told: bool, settings: Settings, queue: TriagingQueue
) -> None:
    intake = intake_for(settings, queue)
    for number in range(100):
        tail = f"{number:03d}"
        uid = f"{'2.25.':9<61}{tail}"
        found = StoredInstance(
            path=Path(f"{'/spool/':x<{path_length - 3}}{tail}"),
            sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
            sop_instance_uid=uid,
            study_uid=f"{'2.25.':8<64}",
            series_uid=f"{'2.25.':7<64}",
            transfer_syntax_uid="1.2.840.10008.1.2.4.90",
            calling_ae="ARCHIVE_OF_16_CH",
            sha256=f"{tail:0>64}",
            size_bytes=524_288,
            received_at_s=LONG_AGO_S + number,
            generation=number,
        )
        intake.apply(InstanceStored("acceptor-0-1-1", found), 0.0)
    told = intake.foreseen(2.0)
    assert bool(told) is is_told
    if not is_told:
        return
    (message,) = told
    child = Child("worker-0", "nobody:reads", lambda _start: ())
    child.pipe, _frozen = Pipe()
    saying = Thread(target=lambda: all(child.send(message) for _ in range(9)))
    saying.daemon = True
    saying.start()
    saying.join(WITHIN_S / 10)
    assert not saying.is_alive()

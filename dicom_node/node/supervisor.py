"""`lumbar-node serve`: receivers, assembler, workers; start, supervise, stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import wait
from types import FrameType
from typing import TYPE_CHECKING, Any

from dicom_node import log
from dicom_node.errors import StartError
from dicom_node.jobs.dbos_setup import executor_id, prepare_database
from dicom_node.jobs.node_lease import NodeLease
from dicom_node.jobs.queue import JobQueue
from dicom_node.node.children import Child
from dicom_node.node.enqueue_series import Intake
from dicom_node.node.first_counts import first_counts
from dicom_node.node.guarded_part import run_guarded
from dicom_node.node.housekeeping import Housekeeping
from dicom_node.node.instance_count_questions import peer_counts
from dicom_node.node.ops_child import OpsChild, report_of
from dicom_node.node.ownership import spool_lock
from dicom_node.node.service_manager import ServiceManager
from dicom_node.node.worker_slot import WorkerSlot
from dicom_node.node_report import ChildReport, Counted, Timed
from dicom_node.receive.acceptor_process import AcceptorPlan
from dicom_node.receive.arrival_number import Generations
from dicom_node.receive.association_slots import association_table
from dicom_node.receive.events import ACCEPTOR_EVENTS, AssociationRejected
from dicom_node.receive.receiver import ReceiverOptions, open_listener
from dicom_node.series.spool_content import read_spool
from dicom_node.settings.deprecated_keys import deprecated_keys
from dicom_node.settings.ops_plan import ops_plan
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout
from dicom_node.supervisor_messages import STOP, WARM

if TYPE_CHECKING:
    import socket

_ACCEPTOR = "dicom_node.receive.acceptor_process:run_acceptor"
_WORKER = "dicom_node.work.worker_process:run_worker"
_GIB = 2**30
_BUSY_TICK_S = 0.05
_IDLE_TICK_S = 1.0
_STOP_WITHIN_S = 9.0
"""Whoever stops us waits 10 s before SIGKILL."""
_OPS_WITHIN_S = 0.5
"""It has nothing to end; if it is frozen, nobody waits for it."""
_WARM_AGAIN_S = 60.0


def serve(settings: Settings) -> None:
    """Run the node until SIGTERM or SIGINT; a second one ends it at once.

    Raises
    ------
    StartError
        If the port, the spool or the database cannot be had.
    """
    log.configure(level=settings.log.level, uids=settings.log.uids)
    for sentence in deprecated_keys(settings):
        log.warning("settings_deprecated", reason=sentence)
    layout = SpoolLayout(settings.spool.folder)
    try:
        layout.prepare()
    except OSError as error:
        text = f"spool folder {layout.folder}: {error.strerror}"
        raise StartError(text) from error
    with spool_lock(layout, settings) as identity:
        prepare_database(settings.database_url)
        with (
            NodeLease(settings.database_url, identity) as lease,
            JobQueue(settings.database_url) as queue,
            _listening(settings) as listener,
        ):
            _Service(settings, queue, listener, lease).run()


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    node = settings.node
    try:
        listener = open_listener(node.bind, node.port)
    except OSError as error:
        text = f"{node.bind} port {node.port}: {error.strerror}"
        raise StartError(text) from error
    with listener:
        yield listener


class _Service:
    def __init__(
        self,
        settings: Settings,
        queue: JobQueue,
        listener: socket.socket,
        lease: NodeLease,
    ) -> None:
        self._settings = settings
        self._lease = lease
        self._generations = Generations()
        self._signals = 0
        self._woken, self._wake = Pipe(duplex=False)
        self._counts = peer_counts(settings)
        self._tally = first_counts(settings)
        self._intake = Intake(settings, queue, self._counts, self._tally)
        self._housekeeping = Housekeeping(settings, queue, self._intake)
        table = association_table(settings.node.acceptors)
        settings_json = settings.model_dump_json()

        def acceptor(index: int, start: int) -> tuple[Any, ...]:
            plan = _plan(settings, index, start)
            return replace(plan, generations=self._generations), listener, table

        def worker(slot: int, _start: int) -> tuple[Any, ...]:
            return settings_json, slot

        self._acceptors = [
            Child(_acceptor_name(index), _ACCEPTOR, partial(acceptor, index))
            for index in range(settings.node.acceptors)
        ]
        self._lost_work = queue.lost_work
        self._slots = [
            WorkerSlot(
                Child(f"worker-{slot}", _WORKER, partial(worker, slot)),
                executor_id=executor_id(slot),
                work=self._lost_work,
                time_limit_s=settings.jobs.time_limit_s,
                tally=self._tally,
            )
            for slot in range(settings.work.processes)
        ]
        self._counters = [] if self._counts is None else [self._counts.child]
        workers = [slot.child for slot in self._slots]
        self._ops = (
            None
            if settings.ops is None
            else OpsChild(ops_plan(settings), self._tally, self._reports)
        )
        watching = [] if self._ops is None else [self._ops.child]
        self._children = (*self._acceptors, *workers, *self._counters, *watching)
        self._warmed_at_s = float("-inf")
        self._manager = ServiceManager()

    def run(self) -> None:
        started_s = time.monotonic()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        content = read_spool(SpoolLayout(self._settings.spool.folder))
        self._generations = Generations.after(content.latest_generation)
        self._intake.restore(content, time.monotonic())
        # No worker runs yet: also what a slot had that is there no more is owed.
        self._lost_work.hand_over()
        for child in self._children:
            child.start()
        log.event(
            "node_started",
            port=self._settings.node.port,
            called_ae=self._settings.node.ae_title,
            pid=os.getpid(),
            instances=len(content.instances),
            duration_ms=round((time.monotonic() - started_s) * 1000),
        )
        self._manager.ready()
        while not self._signals and not self._lease.is_lost:
            self._turn()
        if self._lease.is_lost:
            # Whatever runs here may run there, too.
            for child in self._children:
                child.kill()
            message = "another node has taken the job database"
            raise StartError(message)
        self._stop()

    def _turn(self) -> None:
        tick_s = _BUSY_TICK_S if self._intake.is_collecting else _IDLE_TICK_S
        children = self._children
        pipes = [child.pipe for child in children if child.pipe is not None]
        sentinels = [child.sentinel for child in children if child.sentinel is not None]
        wait([self._woken, *pipes, *sentinels], timeout=tick_s)
        now_s = time.monotonic()
        for part in self._parts():
            run_guarded(part, now_s)
        self._tally.time(Timed.TURN, time.monotonic() - now_s)
        self._manager.alive(now_s)

    def _parts(self) -> Iterator[Callable[[float], None]]:
        """Yield what is done in a turn; what breaks in one part ends no other."""
        yield self._receive
        yield self._intake.tick
        for slot in self._slots:
            yield slot.tend
        if self._counts is not None:
            yield self._counts.tend
        for acceptor in self._acceptors:
            yield partial(self._tend_acceptor, acceptor)
        yield self._housekeeping.turn
        if self._ops is not None:
            yield self._ops.turn

    def _tend_acceptor(self, acceptor: Child, now_s: float) -> None:
        if acceptor.tend(now_s):
            name = f"{acceptor.name}-{acceptor.starts}"
            self._intake.acceptor_lost(name, now_s)

    def _receive(self, now_s: float) -> None:
        """Take note of what the acceptors report."""
        is_needed = False
        for acceptor in self._acceptors:
            for event in acceptor.messages(*ACCEPTOR_EVENTS):
                if isinstance(event, AssociationRejected):
                    self._tally.count(Counted.REJECTED_ASSOCIATIONS, event.reason)
                else:
                    is_needed |= self._intake.apply(event, now_s)
        if is_needed and now_s - self._warmed_at_s > _WARM_AGAIN_S:
            self._warmed_at_s = now_s
            for slot in self._slots:
                slot.child.send(WARM)

    def _reports(self) -> Iterator[ChildReport]:
        """Yield how every process of the node stands."""
        yield ChildReport(name="supervisor", pid=os.getpid(), starts=1, deaths=0)
        heard_at_s = {slot.child.name: slot.heard_at_s for slot in self._slots}
        for child in self._children:
            yield report_of(child, heard_at_s=heard_at_s.get(child.name))

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            for child in self._children:
                child.kill()
            os._exit(1)
        self._wake.send_bytes(b"x")

    def _stop(self) -> None:
        """Accept nothing more, take note of what was stored, and end the workers."""
        started_s = time.monotonic()
        deadline_s = started_s + _STOP_WITHIN_S
        log.event("node_stopping", pid=os.getpid())
        self._manager.stopping()
        for child in self._children:
            child.send(STOP)
        while any(child.is_alive for child in self._acceptors):
            if time.monotonic() > deadline_s:
                break
            run_guarded(self._receive, time.monotonic())
            for slot in self._slots:
                slot.receive()
            time.sleep(_BUSY_TICK_S)
        for part in (self._receive, self._intake.tick):
            run_guarded(part, time.monotonic())
        if self._ops is not None:
            self._ops.child.end(_OPS_WITHIN_S)
        for child in self._children:
            child.end(deadline_s - time.monotonic())
        duration_ms = round((time.monotonic() - started_s) * 1000)
        log.event("node_stopped", pid=os.getpid(), duration_ms=duration_ms)


def _acceptor_name(index: int) -> str:
    return f"acceptor-{index}"


def _plan(settings: Settings, index: int, start: int) -> AcceptorPlan:
    node = settings.node
    calling = {peer.ae_title for peer in settings.peers.values() if peer.may_send}
    calling.add(node.ae_title)  # `lumbar-node echo` asks whether this node answers
    return AcceptorPlan(
        name=f"{_acceptor_name(index)}-{start}",
        index=index,
        options=ReceiverOptions(
            called_ae=node.ae_title if node.check_called_ae else None,
            calling_aes=None if node.accept_unknown_peers else frozenset(calling),
            max_associations=node.max_associations,
            title_limit=node.title_limit,
            association_timeout_s=node.association_timeout_s,
            idle_timeout_s=node.idle_timeout_s,
            tls=None if node.tls is None else node.tls.files,
        ),
        spool_folder=settings.spool.folder,
        min_free_bytes=round(settings.spool.min_free_gb * _GIB),
        own_ae=node.ae_title,
        log_level=settings.log.level,
        log_uids=settings.log.uids,
    )

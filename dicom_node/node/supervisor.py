"""The processes of a machine: receivers, assembler, workers; start, supervise, stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import wait
from types import FrameType
from typing import TYPE_CHECKING, Any

from dicom_node import log
from dicom_node.errors import StartError
from dicom_node.jobs.dbos_setup import executor_id
from dicom_node.node.acceptor_plan import acceptor_name, acceptor_plan
from dicom_node.node.audit_child import AuditChild, audit_child, tell_activity
from dicom_node.node.children import Child
from dicom_node.node.enqueue_series import Intake
from dicom_node.node.first_counts import (
    REFUSED,
    RELOADED,
    expect_peers,
    first_counts,
)
from dicom_node.node.guarded_part import run_guarded
from dicom_node.node.housekeeping import Housekeeping
from dicom_node.node.instance_count_questions import PeerCounts, peer_counts
from dicom_node.node.ops_child import OpsChild, report_of
from dicom_node.node.role import Role
from dicom_node.node.service_manager import ServiceManager
from dicom_node.node.settings_reload import (
    SettingsReader,
    changed_sections,
    unchangeable,
)
from dicom_node.node.worker_slot import WorkerSlot
from dicom_node.node_report import ChildReport, Counted, Timed
from dicom_node.receive.arrival_number import Generations
from dicom_node.receive.association_slots import association_table
from dicom_node.receive.events import ACCEPTOR_EVENTS, AssociationRejected
from dicom_node.series.spool_content import read_spool
from dicom_node.settings.deprecated_keys import deprecated_keys
from dicom_node.settings.ops_plan import ops_plan
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout
from dicom_node.supervisor_messages import STOP, WARM, SettingsRead, SettingsRefused

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.node.holdings import Holdings

_ACCEPTOR = "dicom_node.receive.acceptor_process:run_acceptor"
_WORKER = "dicom_node.work.worker_process:run_worker"
_BUSY_TICK_S = 0.05
_IDLE_TICK_S = 1.0
_STOP_WITHIN_S = 9.0
"""Whoever stops us waits 10 s before SIGKILL."""
_OPS_WITHIN_S = 0.5
"""It has nothing to end; if it is frozen, nobody waits for it."""
_AUDIT_WITHIN_S = 2.0
_LEAVE_WITHIN_S = 3.0
"""A process that others replace has nothing to end, either."""
_WARM_AGAIN_S = 10.0
"""How often workers hear that instances arrive."""
_CLEANS_AFTER_S = 600.0
"""Of one of several machines, after it has begun to receive."""


class Service:
    """The processes of one machine: start, supervise, stop."""

    def __init__(self, settings: Settings, config: Path, held: Holdings) -> None:
        self._settings = settings
        self._config = config
        self._reader = SettingsReader(config)
        self._is_to_reload = False
        self._held = held
        self._role, queue = held.role, held.queue
        self._generations = Generations()
        self._signals = 0
        self._woken, self._wake = Pipe(duplex=False)
        self._counts = self._counts_of(settings)
        self._tally = first_counts(settings)
        self._intake = Intake(settings, queue, self._counts, self._tally)
        # Whoever takes over has to receive first, and to clean up later.
        first_at_s = time.monotonic() + _CLEANS_AFTER_S if held.machines else 0.0
        self._housekeeping = Housekeeping(
            settings, queue, self._intake, first_at_s=first_at_s
        )
        table = association_table(settings.node.acceptors)

        def acceptor(index: int, start: int) -> tuple[Any, ...]:
            plan = acceptor_plan(self._settings, index, start)
            until_s = None if held.lease is None else held.lease.valid_until_s
            plan = replace(
                plan,
                generations=self._generations,
                valid_until_s=until_s if held.machines else None,
            )
            return plan, held.listener, table

        def worker(slot: int, _start: int) -> tuple[Any, ...]:
            return self._settings.model_dump_json(), slot, held.machine

        self._acceptors = [
            Child(acceptor_name(index), _ACCEPTOR, partial(acceptor, index))
            for index in range(settings.node.acceptors if held.role.receives else 0)
        ]
        self._lost_work = queue.lost_work
        self._slots = [
            WorkerSlot(
                Child(f"worker-{slot}", _WORKER, partial(worker, slot)),
                executor_id=executor_id(slot, held.machine),
                work=self._lost_work,
                time_limit_s=settings.jobs.time_limit_s,
                tally=self._tally,
            )
            for slot in range(settings.work.processes if held.role.works else 0)
        ]
        self._untold: set[Child] = set()
        self._leaving: list[Child] = []
        self._ops = self._ops_of(settings)
        self._audit = self._audit_of(settings)
        self._warmed_at_s = float("-inf")
        self._manager = ServiceManager()

    def _ops_of(self, settings: Settings) -> OpsChild | None:
        plan = ops_plan(settings)
        if not self._role.receives:
            # One machine notifies, and has a port for associations.
            plan = replace(plan, receives=False, notify=None)
        if settings.ops is None and plan.notify is None:
            return None
        return OpsChild(plan, self._tally, self._reports)

    def _counts_of(self, settings: Settings) -> PeerCounts | None:
        return peer_counts(settings) if self._role.receives else None

    def _audit_of(self, settings: Settings) -> AuditChild | None:
        """Return who sends audit messages: one machine sends those of all."""
        return audit_child(settings) if self._role.receives else None

    @property
    def _lasting(self) -> tuple[Child, ...]:
        """The processes that are started again when they end."""
        parts = (self._counts, self._ops, self._audit)
        watching = [part.child for part in parts if part]
        return (*self._acceptors, *(slot.child for slot in self._slots), *watching)

    @property
    def _children(self) -> tuple[Child, ...]:
        return (*self._lasting, *self._leaving, *self._reader.children)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; a second one ends all at once.

        Raises
        ------
        StartError
            If another machine has taken what this one held, or is to take it.
        """
        started_s = time.monotonic()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGHUP, self._asked_to_reload)
        instances = self._restore() if self._role.receives else None
        if self._role is Role.SERVE:
            # No worker runs yet: also what a slot had that is there no more is owed.
            self._lost_work.hand_over()
        for child in self._lasting:
            child.start()
        log.event(
            "node_started",
            port=self._settings.node.port if self._role.receives else None,
            machine=self._held.machine or None,
            called_ae=self._settings.node.ae_title,
            pid=os.getpid(),
            instances=instances,
            duration_ms=round((time.monotonic() - started_s) * 1000),
        )
        tell_activity(self._settings, is_start=True)
        self._manager.ready()
        while not self._signals and not self._held.loss:
            self._turn()
        if self._held.loss:
            # Whatever runs here may run there, too.
            for child in self._children:
                child.kill()
            raise StartError(self._held.loss)
        self._stop()

    def _restore(self) -> int:
        """Take up what lies in the spool, and return how many instances that are."""
        # Who has stood by is under the watchdog already.
        content = read_spool(
            SpoolLayout(self._settings.spool.folder),
            each=lambda: self._manager.alive(time.monotonic()),
        )
        self._generations = Generations.after(content.latest_generation)
        self._intake.restore(content, time.monotonic())
        return len(content.instances)

    def _turn(self) -> None:
        tick_s = _BUSY_TICK_S if self._intake.is_collecting else _IDLE_TICK_S
        children = self._children
        pipes = [child.pipe for child in children if child.pipe is not None]
        sentinels = [child.sentinel for child in children if child.sentinel is not None]
        if self._woken in wait([self._woken, *pipes, *sentinels], timeout=tick_s):
            self._woken.recv_bytes()
        now_s = time.monotonic()
        for part in self._parts():
            run_guarded(part, now_s)
        self._tally.time(Timed.TURN, time.monotonic() - now_s)
        self._manager.alive(now_s)

    def _parts(self) -> Iterator[Callable[[float], None]]:
        """Yield what is done in a turn; what breaks in one part ends no other."""
        yield self._tend_settings
        if self._role.receives:
            yield self._receive
            yield self._intake.tick
            yield self._tell_ahead
            yield self._clean
        if self._held.spool is not None:
            yield self._held.spool.turn
        if self._role is Role.WORK:
            yield self._tell_device
        for slot in self._slots:
            yield slot.tend
        if self._counts is not None:
            yield self._counts.tend
        for acceptor in self._acceptors:
            yield partial(self._tend_acceptor, acceptor)
        for part in (self._ops, self._audit):
            if part is not None:
                yield part.turn
        if self._leaving:
            yield self._see_off

    def _tell_ahead(self, now_s: float) -> None:
        """Let the worker analyse what seems to be whole, if it takes every job."""
        for message in self._intake.foreseen(now_s):
            if len(self._slots) == 1 and not self._held.machine:
                self._slots[0].child.send(message)

    def _clean(self, now_s: float) -> None:
        began_s = time.monotonic()
        if self._housekeeping.turn(now_s):
            self._tally.time(Timed.HOUSEKEEPING, time.monotonic() - began_s)

    def _tell_device(self, _now_s: float) -> None:
        """Tell what this machine computes on: once it is loaded, or what is wanted."""
        known = sorted({one for slot in self._slots for one in slot.runtimes})
        device = self._settings.work.device
        if self._held.machines is not None:
            told = ", ".join(known) or f"device {device}, nothing loaded yet"
            self._held.machines.told = told

    def _tend_acceptor(self, acceptor: Child, now_s: float) -> None:
        if acceptor.tend(now_s):
            name = f"{acceptor.name}-{acceptor.starts}"
            self._intake.acceptor_lost(name, now_s)
        if acceptor in self._untold:
            plan = acceptor_plan(self._settings, self._acceptors.index(acceptor), 0)
            if not acceptor.is_alive or acceptor.send(plan):
                self._untold.discard(acceptor)

    def _see_off(self, now_s: float) -> None:
        for child in self._leaving:
            for _ in child.messages(object):
                pass  # nobody waits for it any more
            child.tend(now_s)
        self._leaving = [child for child in self._leaving if child.pid is not None]

    def _asked_to_reload(self, _number: int, _frame: FrameType | None) -> None:
        if not self._is_to_reload:
            self._is_to_reload = True
            self._wake.send_bytes(b"x")

    def _tend_settings(self, now_s: float) -> None:
        """Read the settings again if asked to, and go by them if they are right."""
        if self._is_to_reload:
            self._is_to_reload = False
            self._manager.reloading()
            self._reader.ask()
        found = self._reader.turn(now_s)
        if found is None:
            return
        problems = found.problems if isinstance(found, SettingsRefused) else ()
        if isinstance(found, SettingsRead):
            new = Settings.model_validate_json(found.text)
            problems = tuple(
                unchangeable(self._config, self._settings, new, found.lines)
            )
            if not problems:
                self._follow(new, now_s)
                return
        for problem in problems:
            log.error("settings_refused", reason=problem)
        self._tally.count(Counted.RELOADS, REFUSED)
        self._manager.reloaded(f"settings refused, the old ones hold: {problems[0]}")

    def _follow(self, new: Settings, now_s: float) -> None:
        """Go by other settings from now on; what has begun ends by the old ones."""
        changed = changed_sections(self._settings, new)
        self._settings = new
        log.configure(level=new.log.level, uids=new.log.uids)
        for sentence in deprecated_keys(new):
            log.warning("settings_deprecated", reason=sentence)
        # Always: a certificate may have been renewed under its old name.
        self._untold = set(self._acceptors)
        if changed:
            self._replace_children(new, now_s)
        self._tally.count(Counted.RELOADS, RELOADED)
        what = ", ".join(changed) or "nothing has changed"
        log.event("settings_reloaded", reason=what)
        self._manager.reloaded(f"settings reloaded: {what}")

    def _replace_children(self, new: Settings, now_s: float) -> None:
        expect_peers(self._tally, new)
        for part in (self._counts, self._ops, self._audit):
            if part is not None:
                part.child.retire(STOP, gone_by_s=now_s + _LEAVE_WITHIN_S)
                self._leaving.append(part.child)
        self._counts = self._counts_of(new)
        self._ops = self._ops_of(new)
        self._audit = self._audit_of(new)
        self._intake.follow(new, self._counts)
        self._housekeeping.follow(new)
        for slot in self._slots:
            slot.renew(new.jobs.time_limit_s)

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
        for child in self._lasting:
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
        self._reader.cancel()
        audit = None if self._audit is None else self._audit.child
        others = [child for child in self._children if child is not audit]
        for child in others:
            child.send(STOP)
        while any(child.is_alive for child in self._acceptors):
            if time.monotonic() > deadline_s:
                break
            run_guarded(self._receive, time.monotonic())
            for slot in self._slots:
                slot.receive()
            time.sleep(_BUSY_TICK_S)
        if self._role.receives:
            for part in (self._receive, self._intake.tick):
                run_guarded(part, time.monotonic())
            self._intake.note_released()
        if self._ops is not None:
            self._ops.child.end(_OPS_WITHIN_S)
        for child in others:
            child.end(deadline_s - time.monotonic())
        # It is the last to go, for it sends what the others have told of.
        tell_activity(self._settings, is_start=False)
        if audit is not None:
            audit.send(STOP)
            audit.end(min(_AUDIT_WITHIN_S, deadline_s - time.monotonic()))
        duration_ms = round((time.monotonic() - started_s) * 1000)
        log.event("node_stopped", pid=os.getpid(), duration_ms=duration_ms)

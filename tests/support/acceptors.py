"""Acceptor processes as the supervisor starts them, and what they tell."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from dicom_node.node.children import run_child
from dicom_node.receive.acceptor_process import AcceptorPlan
from dicom_node.receive.admission import ReceiverOptions
from dicom_node.receive.association_slots import association_table
from dicom_node.receive.events import InstanceStored, SpoolEvent
from dicom_node.receive.receiver import open_listener
from dicom_node.records import StoredInstance
from dicom_node.spool_layout import SpoolLayout
from tests.support.peers import HOST, WITHIN_S, echo, wait_until

OPTIONS = ReceiverOptions(
    called_ae="LUMBAR_AI",
    calling_aes=frozenset({"PACS"}),
    max_associations=8,
    title_limit=8,
    association_timeout_s=WITHIN_S,
    idle_timeout_s=WITHIN_S,
)


class Acceptors:
    """One port, some acceptor processes, and the events that they send."""

    def __init__(
        self,
        folder: Path,
        *,
        options: ReceiverOptions = OPTIONS,
        processes: int = 1,
        min_free_bytes: int = 0,
    ) -> None:
        self.layout = SpoolLayout(folder)
        self.layout.prepare()
        self.events: list[SpoolEvent] = []
        self._options = options
        self._min_free_bytes = min_free_bytes
        self._listener = open_listener(HOST, 0)
        self._table = association_table(processes)
        self.running: list[SpawnProcess] = [
            self._start(index) for index in range(processes)
        ]

    @property
    def port(self) -> int:
        """Where they listen."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def stored(self) -> Sequence[StoredInstance]:
        """Every instance of which an acceptor told, in that order."""
        return [
            event.instance
            for event in list(self.events)
            if isinstance(event, InstanceStored)
        ]

    def files(self) -> list[Path]:
        """Return every instance that lies in the inbox."""
        return sorted(self.layout.inbox.glob("*/*.dcm"))

    def stored_as(self, sop_uid: str) -> Sequence[StoredInstance]:
        """Return what was told of an instance, once it was."""

        def found() -> Sequence[StoredInstance]:
            return [one for one in self.stored if one.sop_instance_uid == sop_uid]

        wait_until(lambda: bool(found()), what="the instance is told of")
        return found()

    def wait_for(self, count: int) -> None:
        """Return once so many instances were told of."""
        wait_until(lambda: len(self.stored) >= count, what="stored")

    def stop(self, *, within_s: float = 10) -> None:
        """Stop as the supervisor does, and wait for the end."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.join(within_s)

    def __enter__(self) -> Self:
        wait_until(lambda: echo(self.port), what="an acceptor answers")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._listener.close()
        for process in self.running:
            if process.is_alive():
                process.kill()
                process.join()
            process.close()

    def _start(self, index: int) -> SpawnProcess:
        context = multiprocessing.get_context("spawn")
        plan = AcceptorPlan(
            name=f"acceptor-{index}",
            index=index,
            options=self._options,
            spool_folder=self.layout.folder,
            min_free_bytes=self._min_free_bytes,
            log_level="error",
            log_uids="plain",
        )
        ours, theirs = context.Pipe()
        process = context.Process(
            target=run_child,
            args=(
                "dicom_node.receive.acceptor_process:run_acceptor",
                theirs,
                plan,
                self._listener,
                self._table,
            ),
            daemon=True,
        )
        process.start()
        theirs.close()
        threading.Thread(target=self._follow, args=(ours,), daemon=True).start()
        return process

    def _follow(self, events: Connection) -> None:
        try:
            while True:
                self.events.append(events.recv())
        except (EOFError, OSError):
            events.close()

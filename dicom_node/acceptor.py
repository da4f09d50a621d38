"""One acceptor process: the SCP on one side, the inbox on the other.

A composition root of its own, so that the process imports neither pydicom nor
pynetdicom nor the settings: it holds about 25 MB.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import socket
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Literal

from dicom_node import log
from dicom_node.network.receive import AssociationSlots, Receiver, ReceiverOptions
from dicom_node.spool.events import EventPipe
from dicom_node.spool.inbox import Inbox
from dicom_node.spool.layout import SpoolLayout

STOP = "stop"
"""Sent by the supervisor: accept nothing more, let open associations end."""

_DRAIN_S = 4.0
"""The node ends within 10 s of SIGTERM; its other processes need some of them."""

_LAST_EVENTS_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptorSpec:
    """All that an acceptor process is told.

    Parameters
    ----------
    name
        Unique over all acceptors and their restarts, such as `acceptor-1-3`.
    index
        Its entry in the shared table of open associations.
    """

    name: str
    index: int
    options: ReceiverOptions
    spool_folder: Path
    min_free_bytes: int
    log_level: str = "info"
    log_uids: Literal["plain", "hashed"] = "plain"


@dataclass(frozen=True, slots=True)
class Acceptor:
    """A running acceptor as its supervisor holds it.

    Parameters
    ----------
    events
        Yields `SpoolEvent` objects by `recv`, and EOFError once the process is gone.
        Sending `STOP` drains it; closing it, or dying, ends it at once.
    """

    name: str
    process: SpawnProcess
    events: Connection


def start_acceptor(
    spec: AcceptorSpec,
    listener: socket.socket,
    counts: ctypes.Array[ctypes.c_int],
) -> Acceptor:
    """Start one acceptor process on the port that all share.

    Parameters
    ----------
    listener
        From `network.receive.open_listener`; stays open in the supervisor.
    counts
        From `network.receive.shared_counts`.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_run, args=(spec, listener, counts, theirs), name=spec.name, daemon=True
    )
    process.start()
    theirs.close()
    return Acceptor(spec.name, process, ours)


def _run(
    spec: AcceptorSpec,
    listener: socket.socket,
    counts: ctypes.Array[ctypes.c_int],
    control: Connection,
) -> None:
    log.configure(level=spec.log_level, uids=spec.log_uids)
    events = EventPipe(control)
    inbox = Inbox(
        SpoolLayout(spec.spool_folder),
        min_free_bytes=spec.min_free_bytes,
        stored=events.instance_stored,
    )
    receiver = Receiver(
        spec.options,
        listener,
        name=spec.name,
        sink=inbox,
        watch=events,
        slots=AssociationSlots(counts, spec.index, spec.options.max_associations),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: receiver.stop())
    threading.Thread(target=_obey, args=(control, receiver), daemon=True).start()
    receiver.serve()
    receiver.drain(_DRAIN_S)
    events.close(_LAST_EVENTS_S)


def _obey(control: Connection, receiver: Receiver) -> None:
    try:
        control.recv()
    except (EOFError, OSError):
        # The supervisor is dead. Its successor scans the inbox and must be the only
        # one from whom it hears of instances, so nothing may be stored from here on.
        os._exit(1)
    receiver.stop()

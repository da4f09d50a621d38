"""An acceptor process: associations to instances on disk, and word of them.

It imports neither pydicom nor pynetdicom nor the settings, so it holds about 25 MB.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from ctypes import c_double
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from dicom_node import log
from dicom_node.errors import SpoolFailedError
from dicom_node.receive.admission import ReceiverOptions
from dicom_node.receive.arrival_number import Generations
from dicom_node.receive.association_slots import AssociationSlots, AssociationTable
from dicom_node.receive.events import EventPipe
from dicom_node.receive.receiver import Receiver
from dicom_node.receive.write_instance import Inbox
from dicom_node.records import StoredInstance, StoreRequest
from dicom_node.spool_identity import SpoolIdentity
from dicom_node.spool_layout import SpoolLayout

DRAIN_S = 4.0
"""The node ends within 10 s of SIGTERM; its other processes need some of them."""
_LAST_WORDS_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptorPlan:
    """What one acceptor needs to know.

    Parameters
    ----------
    name
        Unique over all acceptors and their restarts.
    index
        Its row in the table of open associations.
    own_ae
        Our AE title, by which we know what we asked for.
    generations
        The same for all acceptors and their restarts.
    valid_until_s
        In shared memory, on the monotonic clock: nothing is acknowledged later. None
        where no other machine may take over.
    """

    name: str
    index: int
    options: ReceiverOptions
    spool_folder: Path
    min_free_bytes: int
    own_ae: str = ""
    generations: Generations = field(default_factory=Generations)
    valid_until_s: c_double | None = None
    log_level: str = "info"
    log_uids: Literal["plain", "hashed"] = "plain"


def run_acceptor(
    pipe: Connection,
    plan: AcceptorPlan,
    listener: socket.socket,
    table: AssociationTable,
) -> None:
    """Accept associations until told to stop, then let the open ones end.

    Parameters
    ----------
    pipe
        Carries `SpoolEvent`. A plan that comes by it holds for the associations that
        open from then on; any other word, or SIGTERM, means stop.
    """
    log.configure(level=plan.log_level, uids=plan.log_uids)
    threading.excepthook = _log_thread_failure
    events = EventPipe(pipe)
    inbox = Inbox(
        SpoolLayout(plan.spool_folder),
        min_free_bytes=plan.min_free_bytes,
        stored=partial(
            _tell,
            events,
            plan.valid_until_s,
            SpoolIdentity(SpoolLayout(plan.spool_folder)),
        ),
        own_ae=plan.own_ae,
        generations=plan.generations,
    )
    receiver = Receiver(
        plan.options,
        listener,
        name=plan.name,
        sink=inbox,
        watch=events,
        slots=AssociationSlots(
            table,
            plan.index,
            limit=plan.options.max_associations,
            title_limit=plan.options.title_limit,
        ),
    )
    signal.signal(signal.SIGTERM, lambda *_: receiver.stop())
    threading.Thread(target=_obey, args=(pipe, receiver, inbox), daemon=True).start()
    receiver.serve()
    receiver.drain(DRAIN_S)
    events.close(_LAST_WORDS_S)


def _tell(
    events: EventPipe,
    until_s: c_double | None,
    spool: SpoolIdentity,
    request: StoreRequest,
    stored: StoredInstance,
) -> None:
    """Tell of an instance that is durable, before it is acknowledged.

    Raises
    ------
    SpoolFailedError
        On one of several machines, if another may receive by now, which nobody tells:
        its sender is to try again. Whoever reads the spool from here on finds this one
        as well. Likewise if the spool is another one than it was, so that nobody does.
    """
    if until_s is not None and time.monotonic() >= until_s.value:
        message = "this machine may no longer be the one that receives"
        raise SpoolFailedError(message)
    if until_s is not None and spool.is_gone:
        message = "the shared spool is gone, and another folder lies in its place"
        raise SpoolFailedError(message)
    events.instance_stored(request, stored)


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    # Out of memory, or a fault of ours: it costs the one association of this thread.
    # The text of a foreign exception might quote a dataset, its type cannot.
    log.error("association_failed", reason=failure.exc_type.__name__)


def _obey(pipe: Connection, receiver: Receiver, inbox: Inbox) -> None:
    try:
        while isinstance(word := pipe.recv(), AcceptorPlan):
            _follow(word, receiver, inbox)
    except (EOFError, OSError):
        # The supervisor is dead. Its successor scans the inbox and must be the only
        # one from whom it hears of instances, so nothing may be stored from here on.
        os._exit(1)
    receiver.stop()


def _follow(plan: AcceptorPlan, receiver: Receiver, inbox: Inbox) -> None:
    """Go by another plan; associations that are open go on by their own."""
    try:
        receiver.use(plan.options)
    except OSError as error:
        # Its TLS files were tried before, and have changed since.
        why = error.strerror or type(error).__name__
        log.error("settings_not_applied", process=plan.name, reason=f"TLS: {why}")
        return
    inbox.keep_free(plan.min_free_bytes)
    log.configure(level=plan.log_level, uids=plan.log_uids)

"""The process that tells health and metrics: killed or frozen, the node goes on."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from multiprocessing.connection import Connection

from dicom_node import log
from dicom_node.node_report import NodeReport, OpsPlan
from dicom_node.ops.notification_loop import Notifier
from dicom_node.ops.watch import Watch

_LISTEN_AGAIN_S = 30.0
"""Where the process has to notify, too, it does not end for want of its port."""


def run_ops(pipe: Connection, plan: OpsPlan) -> None:
    """Answer requests, notify, or both, until told to stop.

    Parameters
    ----------
    pipe
        Brings a `NodeReport` once a second; any other word means stop.
    """
    log.configure(level=plan.log_level, uids=plan.log_uids)
    threading.excepthook = _end_by_fault
    watch = Watch(plan, is_told=True)
    threading.Thread(target=_take, args=(pipe, watch), daemon=True).start()
    if plan.notify is not None:
        notifier = Notifier(plan, plan.notify)
        threading.Thread(
            target=notifier.run, args=(lambda: watch.report,), daemon=True
        ).start()
    while plan.serves and not _serve(watch, plan) and plan.notify is not None:
        time.sleep(_LISTEN_AGAIN_S)
    if plan.serves:
        sys.exit(1)
    threading.Event().wait()


def _serve(watch: Watch, plan: OpsPlan) -> bool:
    """Answer requests for ever; return at once if the port cannot be had."""
    from dicom_node.ops.http_server import listening, serve

    try:
        listener = listening(plan.bind, plan.port)
    except OSError as error:
        reason = f"{plan.bind}: {error.strerror}"
        log.error("ops_not_listening", port=plan.port, reason=reason)
        return False
    log.event("ops_listening", port=plan.port, address=plan.bind)
    asyncio.run(serve(watch, listener))
    return True


def _take(pipe: Connection, watch: Watch) -> None:
    """Keep the supervisor's last report."""
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            os._exit(1)  # the supervisor is dead
        if not isinstance(message, NodeReport):
            os._exit(0)
        watch.report = message


def _end_by_fault(failure: threading.ExceptHookArgs) -> None:
    """End the process by a fault in one of its threads; the supervisor starts the next.

    A thread alone would be missed by nobody.
    """
    if failure.exc_value is not None:
        log.error("ops_fault", reason=log.kind_and_place(failure.exc_value))
    os._exit(1)

"""The process that tells health and metrics: killed or frozen, the node goes on."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from multiprocessing.connection import Connection

from dicom_node import log
from dicom_node.node_report import NodeReport, OpsPlan
from dicom_node.ops.http_server import listening, serve
from dicom_node.ops.watch import Watch


def run_ops(pipe: Connection, plan: OpsPlan) -> None:
    """Answer requests until told to stop.

    Parameters
    ----------
    pipe
        Brings a `NodeReport` once a second; any other word means stop.
    """
    log.configure(level=plan.log_level, uids=plan.log_uids)
    watch = Watch(plan, is_told=True)
    threading.Thread(target=_take, args=(pipe, watch), daemon=True).start()
    try:
        listener = listening(plan.bind, plan.port)
    except OSError as error:
        reason = f"{plan.bind}: {error.strerror}"
        log.error("ops_not_listening", port=plan.port, reason=reason)
        sys.exit(1)
    log.event("ops_listening", port=plan.port, address=plan.bind)
    asyncio.run(serve(watch, listener))


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

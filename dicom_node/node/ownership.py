"""One node a spool: the lock on its folder, and the name by which others know us."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from dicom_node.errors import StartError
from dicom_node.jobs.node_lease import NodeIdentity
from dicom_node.spool_layout import NODE_ID, write_durable

if TYPE_CHECKING:
    from dicom_node.settings.sections import Settings
    from dicom_node.spool_layout import SpoolLayout

LOCK = "lock"
RESTORING = "restoring"
"""Lies in a spool while a backup is restored into it; nobody runs on half of one."""


@contextmanager
def spool_lock(layout: SpoolLayout, settings: Settings) -> Iterator[NodeIdentity]:
    """Hold the spool; the lock goes with the process, however it ends.

    Yields
    ------
    NodeIdentity
        Of the node that has this spool.

    Raises
    ------
    StartError
        If another node holds it, the disk does not take our name, or the restore of
        a backup into it was cut off.
    """
    title, host = settings.node.ae_title, socket.gethostname()
    name = f"{title} on {host} with the spool {layout.folder}"
    with (layout.folder / LOCK).open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "another lumbar-node"
            text = f"the spool is in use by {holder}; this is {name}"
            raise StartError(text) from error
        try:
            os.ftruncate(lock.fileno(), 0)
            os.write(lock.fileno(), name.encode())
            identity = NodeIdentity(id=_spool_id(layout), name=name)
        except OSError as error:
            text = f"spool folder {layout.folder}: {error.strerror}"
            raise StartError(text) from error
        if (layout.folder / RESTORING).exists():
            text = (
                f"the spool folder {layout.folder} holds a restore that was cut off: "
                "remove what is in it, and restore again"
            )
            raise StartError(text)
        yield identity


def _spool_id(layout: SpoolLayout) -> str:
    """Return what tells this spool from every other one, on whatever host it is."""
    path = layout.folder / NODE_ID
    try:
        known = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        known = ""
    if not known:
        known = uuid4().hex
        write_durable(path, known.encode())
    return known

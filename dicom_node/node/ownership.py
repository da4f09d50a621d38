"""One node a spool: the lock on its folder, and the name by which others know us."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO
from uuid import uuid4

from dicom_node.errors import StartError
from dicom_node.identifiers import digest
from dicom_node.jobs.machines import twin_text
from dicom_node.jobs.node_lease import NodeIdentity
from dicom_node.spool_layout import NODE_ID, write_durable

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.settings.sections import Settings
    from dicom_node.spool_layout import SpoolLayout

LOCK = "lock"
ID_LOCK = f"{LOCK}-{NODE_ID}"
"""Held while the id of a spool is read or made."""
_NAME_DIGITS = 16
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
    path = layout.folder / LOCK
    with _opened(path) as lock:
        if not _is_locked(lock, path, fcntl.LOCK_EX):
            lock.seek(0)
            holder = lock.read().strip() or "another lumbar-node"
            text = f"the spool is in use by {holder}"
            text += ": it runs already" if holder == name else f"; this is {name}"
            raise StartError(text)
        try:
            os.ftruncate(lock.fileno(), 0)
            os.write(lock.fileno(), name.encode())
            identity = NodeIdentity(id=_spool_id(layout), name=name)
        except OSError as error:
            text = f"spool folder {layout.folder}: {error.strerror}"
            raise StartError(text) from error
        refuse_half_restored(layout)
        yield identity


@contextmanager
def machine_lock(
    layout: SpoolLayout, settings: Settings, *, name: str, role: str
) -> Iterator[str]:
    """Hold the part of a shared spool that is one machine's in one role.

    Yields
    ------
    str
        What tells this spool from every other one.

    Raises
    ------
    StartError
        If a node of one machine has the spool, another machine has this name, or the
        disk does not take our name.
    """
    title = settings.node.ae_title
    path = layout.folder / LOCK
    own_path = layout.folder / f"{LOCK}-{role}-{digest(name)[:_NAME_DIGITS]}"
    with _opened(path) as node_lock, _opened(own_path) as own_lock:
        if not _is_locked(node_lock, path, fcntl.LOCK_SH):
            node_lock.seek(0)
            holder = node_lock.read().strip() or "another lumbar-node"
            text = f"the spool is in use by {holder}, which is a node of one machine"
            raise StartError(text)
        if not _is_locked(own_lock, own_path, fcntl.LOCK_EX):
            raise StartError(twin_text(name, role))
        try:
            os.ftruncate(node_lock.fileno(), 0)
            holders = f"the machines of {title} with the spool {layout.folder}"
            os.write(node_lock.fileno(), holders.encode())
            spool_id = _spool_id(layout)
        except OSError as error:
            text = f"spool folder {layout.folder}: {error.strerror}"
            raise StartError(text) from error
        refuse_half_restored(layout)
        yield spool_id


def _opened(path: Path) -> TextIO:
    """Open a file of the spool that is there to be locked.

    Raises
    ------
    StartError
        If that is impossible, as where another user has made it.
    """
    try:
        return path.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        text = f"{path}: {error.strerror}"
        raise StartError(text) from error


def _is_locked(file: TextIO, path: Path, how: int) -> bool:
    """Lock a file; tell whether nobody else has it locked.

    Raises
    ------
    StartError
        If the file system has no locks, or fails.
    """
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        text = f"{path} cannot be locked: {error.strerror}"
        raise StartError(text) from error
    return True


def refuse_half_restored(layout: SpoolLayout) -> None:
    """Refuse a spool into which a backup was laid by half.

    Raises
    ------
    StartError
        If it is one.
    """
    if (layout.folder / RESTORING).exists():
        text = (
            f"the spool folder {layout.folder} holds a restore that was cut off: "
            "remove what is in it, and restore again"
        )
        raise StartError(text)


def _spool_id(layout: SpoolLayout) -> str:
    """Return what tells this spool from every other one, on whatever host it is."""
    path = layout.folder / NODE_ID
    # The parts of a machine, and several machines, may start at the same moment.
    with (layout.folder / ID_LOCK).open("a") as making:
        fcntl.flock(making, fcntl.LOCK_EX)
        try:
            known = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            known = ""
        if not known:
            known = uuid4().hex
            write_durable(path, known.encode())
        return known

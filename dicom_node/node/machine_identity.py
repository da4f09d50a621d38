"""The name of a machine, and what tells its starts and the machines apart."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from pathlib import Path

from dicom_node.errors import StartError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def machine_name(given: str) -> str:
    """Return the name of this machine among those of the node.

    Parameters
    ----------
    given
        By the operator; empty for the host name.

    Raises
    ------
    StartError
        If it is no name: letters, digits, full stop, hyphen and underscore, at most 63.
    """
    name = given or socket.gethostname()
    if not _NAME.fullmatch(name):
        text = (
            f"{name!r} is no name of a machine: it takes 1 to 63 letters, digits, "
            "full stops, hyphens and underscores, the first a letter or digit"
        )
        raise StartError(text)
    return name


def this_host() -> str:
    """Return what is the same for all processes that a lock in a file keeps apart."""
    with suppress(OSError):
        return f"{socket.gethostname()} {_BOOT_ID.read_text().strip()}"
    return socket.gethostname()

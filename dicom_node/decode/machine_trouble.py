"""Errors of the machine, told from those of the data."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from dicom_node.errors import InstanceMissingError, MachineTroubleError

_MACHINE_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM,
     errno.EAGAIN, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO,
     errno.EROFS}
)  # fmt: skip
"""The machine is short of something or its disk fails: the file may be sound."""


def is_machine_trouble(error: OSError) -> bool:
    """Tell whether an error is for want of memory, descriptors, disk or time."""
    return error.errno in _MACHINE_ERRNOS


@contextmanager
def raising_machine_trouble() -> Iterator[None]:
    """Raise what is no fault of the data as what it is.

    Raises
    ------
    InstanceMissingError, MachineTroubleError
        As `raise_for_machine`.
    """
    try:
        yield
    except (OSError, MemoryError) as error:
        raise_for_machine(error)
        raise


def raise_for_machine(error: BaseException) -> None:
    """Raise the error of ours for one that is no fault of the data; else return.

    Raises
    ------
    InstanceMissingError
        For a file that is not there.
    MachineTroubleError
        For want of memory, of descriptors or of disk.
    """
    if isinstance(error, FileNotFoundError):
        message = "the file of an instance is missing"
        raise InstanceMissingError(message) from error
    if isinstance(error, MemoryError):
        message = "out of memory while an instance was read"
        raise MachineTroubleError(message) from error
    if isinstance(error, OSError) and is_machine_trouble(error):
        message = f"an instance cannot be read now: {error.strerror}"
        raise MachineTroubleError(message) from error

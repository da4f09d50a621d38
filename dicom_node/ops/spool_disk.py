"""The disk of the spool: how much of it is free, if it takes anything at all."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path


def spool_disk(folder: Path) -> tuple[int, int]:
    """Return the free and all bytes of the disk on which a folder lies.

    Raises
    ------
    OSError
        If nobody can tell, or if it takes nothing: Linux makes the file system of a
        disk that fails read-only, and its free bytes say nothing then.
    """
    usage = shutil.disk_usage(folder)
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    return usage.free, usage.total

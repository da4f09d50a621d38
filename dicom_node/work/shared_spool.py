"""A spool that several machines share may be gone for a while, or show a file late.

Neither is a fault of the series: what waits for the spool is tried again.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from dicom_node.spool_identity import SpoolIdentity
from dicom_node.spool_layout import SpoolLayout

LATE_S = 60.0
"""How late a file may be seen: NFS keeps what it knows of a folder for so long
(nfs(5), acdirmax)."""
_LOOK_S = 1.0


class SharedSpool:
    """Tells what is missing for good from what is not here now.

    Parameters
    ----------
    is_shared
        Whether other machines have it, too; else nothing is ever late.
    late_s
        How long to wait for a file.
    """

    def __init__(
        self, layout: SpoolLayout, *, is_shared: bool, late_s: float = LATE_S
    ) -> None:
        self._identity = SpoolIdentity(layout)
        self._is_shared = is_shared
        self._late_s = late_s

    @property
    def is_gone(self) -> bool:
        """Whether the shared file system is not there, or another one is."""
        if not self._is_shared:
            return False
        return self._identity.is_gone

    def wait_for(self, *paths: Path) -> None:
        """Return once all files are seen, or it is too late for that."""
        if not self._is_shared:
            return
        end_s = time.monotonic() + self._late_s
        while missing := [path for path in paths if not path.exists()]:
            if time.monotonic() >= end_s or self.is_gone:
                return
            for folder in {path.parent for path in missing}:
                # To open a folder is to ask the server what is in it now.
                with suppress(OSError):
                    next(folder.iterdir(), None)
            time.sleep(_LOOK_S)

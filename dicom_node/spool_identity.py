"""Whether the spool folder still is the one that this process began with.

On several machines it is a shared file system. Where that is not mounted there is a
folder all the same, and what is written into it is out of sight once it is mounted.
"""

from __future__ import annotations

from dicom_node.spool_layout import NODE_ID, SpoolLayout


class SpoolIdentity:
    """Knows a spool again, by the id that lies in it.

    Parameters
    ----------
    layout
        If it is not there yet, the first one that is seen counts.
    """

    def __init__(self, layout: SpoolLayout) -> None:
        self._layout = layout
        self._known = spool_id_in(layout)

    @property
    def is_gone(self) -> bool:
        """Whether the spool is not there, not readable, or another one."""
        seen = spool_id_in(self._layout)
        self._known = self._known or seen
        return not seen or seen != self._known


def spool_id_in(layout: SpoolLayout) -> str:
    """Return the id of the spool in a folder; empty where there is none."""
    try:
        content = (layout.folder / NODE_ID).read_bytes()
    except OSError:
        return ""
    return content.decode("ascii", errors="replace").strip()

"""A peer of the settings as the archive in which earlier examinations are sought."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.errors import QueryFailedError
from dicom_node.peers.query import Asking, find_series, find_studies
from dicom_node.peers.retrieve import get_series, move_series
from dicom_node.settings.audit_plan import auditor_for
from dicom_node.settings.sections import FollowUp, Settings
from dicom_node.spool_layout import SpoolLayout

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dicom_node.dimse.deadline import Deadline


class PeerArchive:
    """Asks a peer by C-FIND, and fetches by C-GET or C-MOVE.

    Parameters
    ----------
    folder
        Exists, and takes what C-GET brings.
    """

    def __init__(
        self, settings: Settings, follow_up: FollowUp, folder: Path, deadline: Deadline
    ) -> None:
        self._peer = settings.peers[follow_up.peer]
        self._ae_title = settings.node.ae_title
        self._is_moved = follow_up.retrieve == "c-move"
        self._layout = SpoolLayout(settings.spool.folder)
        self._folder = folder
        self._deadline = deadline
        self._asking = Asking(deadline=deadline, auditor=auditor_for(settings))

    def studies(self, patient_id: str, until: str) -> Sequence[Dataset]:
        """Return the studies of a patient ID up to a day."""
        return find_studies(
            self._peer, self._ae_title, patient_id, until=until, asking=self._asking
        )

    def series(self, study_uid: str) -> Sequence[Dataset]:
        """Return the series of a study."""
        return find_series(self._peer, self._ae_title, study_uid, asking=self._asking)

    def fetch(
        self, study_uid: str, series_uid: str, classes: Sequence[str]
    ) -> Sequence[Path]:
        """Bring the instances of one series here."""
        series = study_uid, series_uid
        if self._is_moved:
            move_series(self._peer, self._ae_title, series, deadline=self._deadline)
            return self._arrived(study_uid, series_uid)
        folder = self._folder / self._layout.series_folder(*series).name
        folder.mkdir(mode=0o700, exist_ok=True)
        return get_series(
            self._peer,
            self._ae_title,
            series,
            folder,
            classes=classes,
            deadline=self._deadline,
        )

    def _arrived(self, study_uid: str, series_uid: str) -> Sequence[Path]:
        """Return what came by C-MOVE, of each instance the last version.

        A peer that does not say in its C-STORE who asked for it (Move Originator AE
        Title, which PS3.7 9.1.1.1 leaves to the sender) has it filed in the inbox.
        """
        for folder in (
            self._layout.fetched_folder(study_uid, series_uid),
            self._layout.series_folder(study_uid, series_uid),
        ):
            versions = sorted(
                folder.glob("*.dcm"), key=lambda path: path.stat().st_mtime
            )
            if versions:
                last = {path.name.partition("-")[0]: path for path in versions}
                return tuple(last.values())
        why = f"nothing arrived here: does the peer know {self._ae_title}?"
        raise QueryFailedError(self._peer.ae_title, what="C-MOVE", why=why)

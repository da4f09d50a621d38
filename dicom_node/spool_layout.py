"""Paths of the spool, and nothing but paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dicom_node.identifiers import digest, folder_name

_SHA_DIGITS = 16
"""Of the content's SHA-256 in a file name: 64 bits tell versions of one instance."""

_DIGEST_DIGITS = 32
KEPT = "kept.bin"
"""Beside the results of a job; never delivered."""

NODE_ID = "node-id"
"""What tells this spool from every other one."""
TRIAGE_LOCK = "triage.lock"
"""By which one process at a time triages a study, where the database is SQLite."""
REPORT = "report.json"
"""Beside the results of a job, and written last."""
EXPORT_KEY = "export.key"
"""The secret of exports: who has it can tell which UID a pseudonym stands for."""

REPORT_OBJECT = "sr.dcm"
"""The report as DICOM, of which messages of other standards are made."""
_DELIVERED = (
    "seg.dcm",
    "seg_*.dcm",
    REPORT_OBJECT,
    "sc_*.dcm",
    "pdf.dcm",
    "gsps_*.dcm",
)
"""In the order in which a peer gets them: what is referred to goes first."""

PARTIAL = ".partial"
"""Ends the name of a file that is being written."""
PENDING = "pending-"
"""Begins the name of a manifest whose job is not yet durable."""
OWED = "owed-"
"""Begins the name of a manifest whose job is in the database."""
_DOOMED = "doomed-"


@dataclass(frozen=True, slots=True)
class SpoolLayout:
    """Where everything lies below the spool folder.

    No name on disk is made of a UID's or a peer's own characters.
    """

    folder: Path

    @property
    def tmp(self) -> Path:
        """Instances that are arriving; worthless after a crash."""
        return self.folder / "tmp"

    @property
    def inbox(self) -> Path:
        """Instances that were acknowledged."""
        return self.folder / "inbox"

    @property
    def unreadable(self) -> Path:
        """Files that lay in the inbox and are not ours."""
        return self.folder / "unreadable"

    @property
    def outbox(self) -> Path:
        """Encoded results that wait for delivery."""
        return self.folder / "outbox"

    @property
    def fetched(self) -> Path:
        """Earlier examinations that we asked for; nothing is owed for them."""
        return self.folder / "fetched"

    @property
    def commitments(self) -> Path:
        """What peers were asked to commit to, and have reported."""
        return self.folder / "commitments"

    @property
    def released(self) -> Path:
        """Series that were released and not yet quiet when the node was stopped."""
        return self.folder / "released.json"

    @property
    def audit(self) -> Path:
        """Audit messages that wait to be sent."""
        return self.folder / "audit"

    @property
    def content_times(self) -> Path:
        """When each content was first accepted; outlives all the rest."""
        return self.folder / "content-times.sqlite"

    def doomed_folder(self, series_folder: Path) -> Path:
        """Return where the folder of a series is moved before it is deleted."""
        return self.tmp / f"{_DOOMED}{series_folder.name}"

    def doomed_folders(self) -> tuple[Path, ...]:
        """Return the folders of series that were being deleted."""
        return tuple(self.tmp.glob(f"{_DOOMED}*"))

    def saved_folder(self, doomed_folder: Path) -> Path:
        """Return the folder of the series that was being deleted."""
        return self.inbox / doomed_folder.name.removeprefix(_DOOMED)

    def prepare(self) -> None:
        """Make the folders, readable by the node alone.

        The folder of the spool keeps the mode that an administrator has given to it.
        """
        for folder in (
            self.folder,  # made by itself: `mode` does not count for parents
            self.tmp,
            self.inbox,
            self.unreadable,
            self.outbox,
            self.fetched,
            self.commitments,
            self.audit,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def series_folder(self, study_uid: str, series_uid: str) -> Path:
        """Return the folder of one series.

        Both UIDs count: a series UID that two studies share, as sloppy anonymisation
        makes them, must never mix two patients.
        """
        return self.inbox / digest(study_uid, series_uid)[:_DIGEST_DIGITS]

    def instance_here(self, path: Path) -> Path:
        """Return where an instance lies whose path was written in another spool.

        Only the last two names count, which are the same in every spool.
        """
        return self.inbox / path.parent.name / path.name

    def fetched_folder(self, study_uid: str, series_uid: str) -> Path:
        """Return the folder of one series that we asked for."""
        return self.fetched / self.series_folder(study_uid, series_uid).name

    def job_outbox(self, job_id: str) -> Path:
        """Return the folder of a job's results."""
        return self.outbox / job_id

    def kept(self, job_id: str) -> Path:
        """Return the file of what an analysis wants back with corrected outlines."""
        return self.job_outbox(job_id) / KEPT


def deliverable(folder: Path) -> tuple[Path, ...]:
    """Return the objects of a result in the order of delivery."""
    return tuple(
        path for pattern in _DELIVERED for path in sorted(folder.glob(pattern))
    )


def instance_name(sop_instance_uid: str, sha256: str) -> str:
    """Return the file name of one version of an instance."""
    return f"{folder_name(sop_instance_uid)}-{sha256[:_SHA_DIGITS]}.dcm"


def pending_name(series_digest: str) -> str:
    """Return the name of a manifest whose job is not yet durable."""
    return f"{PENDING}{series_digest[:_DIGEST_DIGITS]}.json"


def owed_name(series_digest: str) -> str:
    """Return the name of a manifest whose job is in the database."""
    return f"{OWED}{series_digest[:_DIGEST_DIGITS]}.json"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durable(path: Path, content: bytes) -> None:
    """Write a small file such that it is there whole or not at all."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        write_synced(partial, content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Make the content of a file durable; its name is so when the folder is synced."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

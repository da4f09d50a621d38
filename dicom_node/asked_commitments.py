"""What peers were asked to commit to, and what they have reported: files of the spool.

A worker writes down what it is going to ask before it asks; whoever takes a report, an
acceptor or the worker itself, looks there for the transaction and lays the report
beside it. So neither process has to live for the other, and a report that nobody has
asked for leaves no trace. The report itself is read by the worker alone.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_node.errors import ReportRefusedError, SpoolFailedError
from dicom_node.identifiers import folder_name
from dicom_node.spool_layout import (
    SpoolLayout,
    sync_folder,
    write_durable,
    write_synced,
)

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})
_ASKED, _REPORT = ".asked.json", ".report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One transaction that a peer was asked to report of.

    Parameters
    ----------
    ae_title
        Of the peer; nobody else may report.
    """

    transaction_uid: str
    ae_title: str
    peer: str
    job_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came by N-EVENT-REPORT.

    Parameters
    ----------
    event_type
        1 or 2, see `dimse.storage_commitment`.
    dataset
        Event Information as it was sent, in `transfer_syntax_uid`.
    """

    event_type: int
    transfer_syntax_uid: str
    dataset: bytes


class AskedCommitments:
    """The transactions of one spool; safe in any process and thread."""

    def __init__(self, layout: SpoolLayout) -> None:
        self._folder = layout.commitments
        self._tmp = layout.tmp

    def ask(self, asked: Asked) -> None:
        """Write a transaction down, durably, before the peer is asked.

        Raises
        ------
        OSError
            If the disk fails; nothing may be asked then.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {
            "transaction_uid": asked.transaction_uid,
            "ae_title": asked.ae_title,
            "peer": asked.peer,
            "job_id": asked.job_id,
        }
        write_durable(
            self._path(asked.transaction_uid, _ASKED), json.dumps(content).encode()
        )

    def take(self, transaction_uid: str, report: Report, *, ae_title: str) -> Asked:
        """Keep a report, and return what it answers.

        The first report of a transaction counts; one that comes again is taken for it.

        Raises
        ------
        ReportRefusedError
            If no such transaction is open, or another AE title was asked.
        SpoolFailedError
            If the disk fails.
        """
        asked = self._asked(transaction_uid)
        if asked is None:
            message = "no such transaction is open"
            raise ReportRefusedError(message)
        if asked.ae_title != ae_title:
            message = "the transaction is of another AE title"
            raise ReportRefusedError(message)
        content = {
            "event_type": report.event_type,
            "transfer_syntax_uid": report.transfer_syntax_uid,
            "dataset": base64.b64encode(report.dataset).decode(),
        }
        path = self._path(transaction_uid, _REPORT)
        partial = self._tmp / f"report-{os.getpid()}-{threading.get_ident()}"
        try:
            write_synced(partial, json.dumps(content).encode())
            if not _named_first(partial, path):
                return asked
            sync_folder(self._folder)
        except OSError as error:
            message = f"the spool failed: {error.strerror}"
            raise SpoolFailedError(message) from error
        return asked

    def report(self, transaction_uid: str) -> Report | None:
        """Return what a peer has reported of a transaction, if anything.

        Raises
        ------
        OSError
            If the disk fails.
        """
        content = _read(self._path(transaction_uid, _REPORT))
        try:
            return Report(
                event_type=int(content["event_type"]),
                transfer_syntax_uid=str(content["transfer_syntax_uid"]),
                dataset=base64.b64decode(content["dataset"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def forget(self, transaction_uids: Iterable[str]) -> None:
        """Close transactions; a report that comes yet is one of none that is open."""
        for uid in transaction_uids:
            for end in (_ASKED, _REPORT):
                self._path(uid, end).unlink(missing_ok=True)

    def sweep(self, *, before_s: float) -> None:
        """Close the transactions that were opened before a POSIX time.

        With them goes what is as old and belongs to none, such as a report that came
        while its transaction was closed.

        Raises
        ------
        OSError
            If the disk fails.
        """
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # a worker closes transactions, too
                if path.stat().st_mtime >= before_s:
                    continue
                path.unlink()
            name = path.name.removesuffix(_ASKED)
            (self._folder / f"{name}{_REPORT}").unlink(missing_ok=True)

    def _asked(self, transaction_uid: str) -> Asked | None:
        try:
            content = _read(self._path(transaction_uid, _ASKED))
        except OSError as error:
            message = f"the spool failed: {error.strerror}"
            raise SpoolFailedError(message) from error
        if content.get("transaction_uid") != transaction_uid:
            return None
        return Asked(
            transaction_uid=transaction_uid,
            ae_title=str(content.get("ae_title")),
            peer=str(content.get("peer")),
            job_id=str(content.get("job_id")),
        )

    def _path(self, transaction_uid: str, end: str) -> Path:
        return self._folder / f"{folder_name(transaction_uid)}{end}"


def _named_first(partial: Path, path: Path) -> bool:
    """Give a file its name, unless another has it; return whether it is ours now."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError as error:
        # Some file systems of containers and shares have no hard links.
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            return False
        partial.rename(path)
        return True
    finally:
        partial.unlink(missing_ok=True)
    return True


def _read(path: Path) -> dict[str, Any]:
    """Return a file of ours; nothing if it is not there or is not ours."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

"""Storage SCU: one association, many instances, one outcome each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pynetdicom import _config
from pynetdicom.association import Association

from dicom_node.dimse.contexts import PROPOSED_SYNTAXES
from dicom_node.dimse.status import SUCCESS, StoreAnswer, answer_of
from dicom_node.peers.associate import Proposal, association
from dicom_node.records import InstanceOutcome

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dicom_node.settings.sections import Peer


_LEAST_BYTES_PER_S = 2**16
"""A peer that takes an instance more slowly than 0.5 Mbit/s is cut off: at one byte a
second it would hold a thread for weeks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outgoing:
    """A file to be sent, as its file meta information describes it."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def send_instances(
    name: str, peer: Peer, paths: Sequence[Path], *, calling_ae: str
) -> tuple[InstanceOutcome, ...]:
    """Send Part 10 files to a peer in the given order.

    Each SOP class is proposed in contexts of its own, so that a peer that refuses one
    still gets the others. An association that is lost half-way is no error: what was
    answered until then is told, and the rest is retryable.

    Parameters
    ----------
    name
        The peer's name in the settings.

    Returns
    -------
    tuple of InstanceOutcome
        In the order of `paths`.

    Raises
    ------
    PeerUnreachableError, AssociationRejectedError
        If no association could be opened; nothing was sent.
    """
    files = [_outgoing(path) for path in paths]
    # Files are sent as they are, in pieces; a 50 MB object is never held in memory.
    _config.STORE_SEND_CHUNKED_DATASET = True
    with association(
        name, peer, calling_ae=calling_ae, proposals=tuple(_proposals(files))
    ) as opened:
        return tuple(_sent(opened, files, timeout_s=peer.timeout_s))


def _outgoing(path: Path) -> _Outgoing:
    meta = read_file_meta_info(path)
    return _Outgoing(
        path=path,
        sop_class_uid=str(meta.MediaStorageSOPClassUID),
        sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
        transfer_syntax_uid=str(meta.TransferSyntaxUID),
    )


def _proposals(files: Sequence[_Outgoing]) -> Iterator[Proposal]:
    """Yield every SOP class with every transfer syntax that it may be sent in."""
    wanted: dict[Proposal, None] = {}
    for file in files:
        syntaxes = [file.transfer_syntax_uid]
        if file.transfer_syntax_uid in PROPOSED_SYNTAXES:
            syntaxes.extend(PROPOSED_SYNTAXES)
        for syntax in syntaxes:
            wanted[file.sop_class_uid, (syntax,)] = None
    yield from wanted


def _sent(
    opened: Association, files: Sequence[_Outgoing], *, timeout_s: float
) -> Iterator[InstanceOutcome]:
    """Send one after another, and nothing more once the association is lost.

    pynetdicom wakes one request when the association ends, and takes a while to call it
    ended: the next request would wait for its answer until the time is over.
    """
    is_lost = False
    for number, file in enumerate(files, start=1):
        if is_lost:
            yield _not_answered(file)
            continue
        outcome = _send(opened, file, number, timeout_s=timeout_s)
        is_lost = outcome.status is None and outcome.retryable
        yield outcome


def _send(
    opened: Association, file: _Outgoing, number: int, *, timeout_s: float
) -> InstanceOutcome:
    accepted = {
        str(context.transfer_syntax[0])
        for context in opened.accepted_contexts
        if context.abstract_syntax == file.sop_class_uid
    }
    if not accepted:
        if opened.is_established or opened.rejected_contexts:
            return _not_stored(file, None, "the peer accepts no such SOP class")
        return _not_answered(file)
    dataset: Path | Dataset = file.path
    if file.transfer_syntax_uid not in accepted:
        # Only between the uncompressed ones; pynetdicom encodes it anew.
        dataset = dcmread(file.path)
    if not opened.is_established:
        return _not_answered(file)
    opened.dimse_timeout = timeout_s + file.path.stat().st_size / _LEAST_BYTES_PER_S
    try:
        answer = opened.send_c_store(dataset, msg_id=number)
    except RuntimeError:  # the peer aborted between our look and our request
        return _not_answered(file)
    if "Status" not in answer:
        return _not_answered(file)
    # Its Error Comment (0000,0902) is left alone: some archives name the patient in it.
    return _answered(file, int(answer.Status))


def _answered(file: _Outgoing, status: int) -> InstanceOutcome:
    meaning = answer_of(status)
    if meaning is not StoreAnswer.STORED:
        return _not_stored(
            file,
            status,
            f"status {status:#06x}",
            retryable=meaning is StoreAnswer.RETRY,
        )
    return InstanceOutcome(
        path=file.path,
        sop_instance_uid=file.sop_instance_uid,
        stored=True,
        status=status,
        text="stored" if status == SUCCESS else f"stored, warning {status:#06x}",
    )


def _not_answered(file: _Outgoing) -> InstanceOutcome:
    text = "the association was lost before an answer"
    return _not_stored(file, None, text, retryable=True)


def _not_stored(
    file: _Outgoing, status: int | None, text: str, *, retryable: bool = False
) -> InstanceOutcome:
    return InstanceOutcome(
        path=file.path,
        sop_instance_uid=file.sop_instance_uid,
        stored=False,
        status=status,
        text=text,
        retryable=retryable,
    )

"""Associations that we open; pynetdicom does the rest."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context, build_role
from pynetdicom.transport import AssociationSocket

from dicom_node.dimse.contexts import is_storage
from dicom_node.dimse.deadline import Deadline
from dicom_node.dimse.pdu import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from dicom_node.errors import AssociationRejectedError, PeerUnreachableError
from dicom_node.peers.progress_watch import ProgressWatch
from dicom_node.tls import requestor_context

if TYPE_CHECKING:
    from dicom_node.settings.sections import Peer

_LEAST_TIMEOUT_S = 0.1
_NO_CONNECTION = (
    "no connection: nothing listens there, a firewall is between, or TLS fails"
)
_NO_ANSWER = "connected, and no answer in time, or aborted"

Proposal = tuple[str, tuple[str, ...]]
"""SOP class and transfer syntaxes of one presentation context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What else holds for one association.

    Parameters
    ----------
    deadline
        The association is cut off when it is over, in whatever the peer is doing.
    stored
        Takes the instances of the proposed classes that the peer sends back by this
        association, and returns a status; so C-GET answers.
    event_reported
        Takes what the peer reports by this association (N-EVENT-REPORT), and returns a
        status and nothing.
    """

    deadline: Deadline | None = None
    stored: Callable[[evt.Event], int] | None = None
    event_reported: Callable[[evt.Event], tuple[int, None]] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.deadline is not None and self.deadline.is_over


@contextmanager
def association(
    name: str,
    peer: Peer,
    *,
    calling_ae: str,
    proposals: Sequence[Proposal],
    terms: Terms | None = None,
) -> Iterator[Association]:
    """Open an association, and release it at the end.

    Yields
    ------
    Association
        Also if the peer has accepted none of the contexts; it is closed then.

    Raises
    ------
    PeerUnreachableError
        If there is no way to the peer, it does not answer in time, or it aborts.
    AssociationRejectedError
        If it rejects the association, for now or for good.
    """
    sockets: list[socket.socket] = []
    watch = ProgressWatch(name, limit_s=peer.timeout_s)
    try:
        with watch:
            opened = _request(
                name,
                peer,
                calling_ae=calling_ae,
                proposals=proposals,
                terms=terms,
                handlers=[
                    *watch.handlers,
                    (evt.EVT_CONN_OPEN, _connected, [sockets, terms]),
                ],
            )
            silence = _NO_ANSWER if sockets else _NO_CONNECTION
            _check_accepted(opened, name, peer, calling_ae, silence)
            leave_answers(opened)
            try:
                yield opened
            finally:
                _close(opened, terms)
    finally:
        # pynetdicom leaves its socket open if the peer was the first to close.
        for connection in sockets:
            connection.close()


def leave_answers(opened: Association) -> None:
    """Let the thread of an association serve requests, and take nothing else.

    pynetdicom pauses that thread while it waits for an answer, but believes it paused
    a moment before it is. On a busy machine the thread then takes the answer, or the
    note that the connection has ended, and drops it (pynetdicom issue 875): we would
    wait until the timeout.
    """
    waiting = opened.dimse.msg_queue
    take = opened.dimse.get_msg

    def get_msg(*, block: bool = False) -> object:
        if block:
            return take(block=True)
        with waiting.mutex:  # no other may take the first one between look and take
            if waiting.queue and _is_request(waiting.queue[0][1]):
                return waiting.queue.popleft()
            return None, None

    opened.dimse.get_msg = get_msg  # type: ignore[method-assign, assignment]


def _is_request(message: object) -> bool:
    """Say what a message in the queue is; None stands for the end of the connection."""
    return message is not None and (
        getattr(message, "MessageIDBeingRespondedTo", None) is None
    )


def _close(opened: Association, terms: Terms | None) -> None:
    if not opened.is_established:
        return
    if terms is None or not terms.is_over:
        opened.release()
    else:
        opened.abort()


def _request(
    name: str,
    peer: Peer,
    *,
    calling_ae: str,
    proposals: Sequence[Proposal],
    terms: Terms | None,
    handlers: list[evt.EventHandlerType],
) -> Association:
    roles = []
    if terms is not None and terms.stored is not None:
        handlers.append((evt.EVT_C_STORE, terms.stored))
        kinds = dict.fromkeys(kind for kind, _ in proposals if is_storage(kind))
        roles += [build_role(kind, scp_role=True) for kind in kinds]
    if terms is not None and terms.event_reported is not None:
        handlers.append((evt.EVT_N_EVENT_REPORT, terms.event_reported))
    try:
        return _entity(peer, calling_ae, terms).associate(
            peer.host,
            peer.port,
            contexts=[build_context(kind, list(kept)) for kind, kept in proposals],
            ae_title=peer.ae_title,
            ext_neg=[*roles],
            evt_handlers=handlers,
            tls_args=_tls(peer),
        )
    except OSError as error:
        raise _unreachable(name, peer, error.strerror or "no such host") from error


def _tls(peer: Peer) -> tuple[ssl.SSLContext, str] | None:
    if peer.tls is None:
        return None
    return requestor_context(peer.tls.files), peer.host


def _entity(peer: Peer, calling_ae: str, terms: Terms | None) -> AE:
    _config.LOG_HANDLER_LEVEL = "none"  # what happens is told by our own log
    entity = AE(ae_title=calling_ae)
    entity.implementation_class_uid = IMPLEMENTATION_UID
    entity.implementation_version_name = IMPLEMENTATION_NAME
    timeout_s = peer.timeout_s
    if terms is not None and terms.deadline is not None:
        timeout_s = min(timeout_s, max(terms.deadline.left_s(), _LEAST_TIMEOUT_S))
    entity.connection_timeout = timeout_s
    entity.acse_timeout = timeout_s
    entity.dimse_timeout = timeout_s
    entity.network_timeout = timeout_s
    return entity


def _check_accepted(
    opened: Association, name: str, peer: Peer, calling_ae: str, silence: str
) -> None:
    if opened.is_established or opened.rejected_contexts:
        return
    answer = _rejection(opened)
    if answer is None:
        raise _unreachable(name, peer, silence)
    # Also one for good, such as a title that the peer does not know, is mended by
    # whoever configures the peer, and not by us.
    why = f"it rejects associations of {calling_ae} ({answer.result_str}): "
    raise AssociationRejectedError(
        name, host=peer.host, port=peer.port, why=why + answer.reason_str
    )


def _rejection(opened: Association) -> A_ASSOCIATE | None:
    if opened.is_rejected:
        return opened.acceptor.primitive
    # A peer that rejects and closes at once can be faster than pynetdicom's look at the
    # connection: it aborts then, and leaves the answer unread.
    unread = cast(object, opened.dul.receive_pdu())
    return unread if isinstance(unread, A_ASSOCIATE) else None


def _connected(
    event: evt.Event, sockets: list[socket.socket], terms: Terms | None
) -> None:
    # A request ends in a small segment; Nagle would hold it until the peer's delayed
    # acknowledgement, some 40 ms for each instance.
    wrapped = cast(AssociationSocket, event.assoc.dul.socket)
    if wrapped.socket is not None:
        sockets.append(wrapped.socket)
        wrapped.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if terms is not None and terms.deadline is not None:
            terms.deadline.watch(wrapped.socket)


def _unreachable(name: str, peer: Peer, why: str) -> PeerUnreachableError:
    return PeerUnreachableError(name, host=peer.host, port=peer.port, why=why)

"""The Storage and Verification SCP: one acceptor of several that share a port."""

from __future__ import annotations

import itertools
import selectors
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from dicom_node import log
from dicom_node.audit.auditor import Auditor
from dicom_node.audit.events import Peer
from dicom_node.dimse import pdu
from dicom_node.receive.admission import (
    ReceiverOptions,
    Refusal,
    refusal_of,
    tell_rejected,
)
from dicom_node.receive.association import Association, Sink
from dicom_node.receive.association_slots import AssociationSlots, SlotRefusal
from dicom_node.receive.clients import Client, Clients, Stage
from dicom_node.receive.events import AssociationEnding
from dicom_node.receive.negotiation import (
    TOO_MANY,
    Agreement,
    negotiate,
    services_for,
)
from dicom_node.receive.pdu_stream import MAX_PDU_BYTES, PduStream
from dicom_node.receive.refusal_alerts import RefusalAlerts
from dicom_node.tls import TlsRefusedError, acceptor_context, shake_hands

_BACKLOG = 128

_LINGER_S = 2.0
"""How long a peer may take to close after its last PDU from us."""

_ACCEPT_PAUSE_S = 0.1
"""After a connection that could not be taken; it waits meanwhile."""
_ACCEPT_LOG_S = 10.0
"""Least time between two lines of the log that say so."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What holds for a connection from its beginning to its end."""

    options: ReceiverOptions
    tls: ssl.SSLContext | None
    alerts: RefusalAlerts


class AssociationWatch(Protocol):
    """Who wants to know when associations open and close."""

    def association_rejected(self, reason: str) -> None:
        """Hear why an association was rejected."""

    def association_opened(self, association_id: str, calling_ae: str) -> None:
        """Hear of an association before its first request is read."""

    def association_closed(
        self, association_id: str, ending: AssociationEnding
    ) -> None:
        """Hear that no instance will come by this association any more."""


def open_listener(host: str, port: int) -> socket.socket:
    """Bind the port that all acceptors share, and listen.

    The supervisor holds this socket: an acceptor that dies takes no waiting
    connection with it.

    Raises
    ------
    OSError
        If the port is taken or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server(
        (host, port), family=family, backlog=_BACKLOG, reuse_port=False
    )
    listener.settimeout(0)
    return listener


class Receiver:
    """Accepts connections and serves each one in a thread of its own.

    Nothing that a client does, and no lack of memory, threads or descriptors, ends the
    loop that accepts: whatever waits for a client is done in the client's thread.

    Parameters
    ----------
    name
        Unique over all acceptors and their restarts; begins every association id.
    """

    def __init__(
        self,
        options: ReceiverOptions,
        listener: socket.socket,
        *,
        name: str,
        sink: Sink,
        watch: AssociationWatch,
        slots: AssociationSlots,
    ) -> None:
        self._terms = _terms(options)
        self._listener = listener
        self._name = name
        self._sink = sink
        self._watch = watch
        self._slots = slots
        self._numbers = itertools.count(1)
        self._clients = Clients()
        self._logged_at_s = float("-inf")
        self._wake, self._woken = socket.socketpair()

    def use(self, options: ReceiverOptions) -> None:
        """Go by other options from the next connection on.

        Raises
        ------
        OSError
            If the files of TLS make no identity; then nothing changes.
        """
        self._terms = _terms(options)
        self._slots.limit_to(options.max_associations, options.title_limit)

    def serve(self) -> None:
        """Accept connections until `stop` is called."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    return
                self._accept()

    def stop(self) -> None:
        """Accept nothing more; safe in a signal handler and from any thread."""
        self._wake.send(b"x")

    def drain(self, timeout_s: float) -> None:
        """Let open associations go on for a while, then cut what is left."""
        self._clients.cut(Stage.UNOPENED)
        self._join(timeout_s)
        self._clients.cut(*Stage)
        self._join(_LINGER_S)

    def _join(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        for thread in self._clients.threads():
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def _accept(self) -> None:
        try:
            connection, address = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # another acceptor was first, or the client has gone
        except (OSError, MemoryError) as error:
            # The connection waits in the kernel. If descriptors are short, whoever has
            # opened no association for longest gives way to it.
            self._clients.cut_oldest_unopened()
            self._not_accepted(error)
            return
        client = Client(connection, str(address[0]))
        try:
            self._start(client)
        except (OSError, RuntimeError, MemoryError) as error:
            # The connection is gone, or there is no thread for it (`RuntimeError`).
            self._clients.remove(client)
            client.close()
            self._not_accepted(error)

    def _start(self, client: Client) -> None:
        connection = client.connection
        # Each response is one small segment that the sender waits for.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        thread = threading.Thread(
            target=self._serve_client, args=(client,), daemon=True
        )
        client.thread = thread
        self._clients.add(client, Stage.UNOPENED)
        thread.start()

    def _not_accepted(self, error: Exception) -> None:
        now_s = time.monotonic()
        if now_s - self._logged_at_s >= _ACCEPT_LOG_S:
            self._logged_at_s = now_s
            why = error.strerror if isinstance(error, OSError) else str(error)
            log.error("accept_failed", reason=why or type(error).__name__)
        time.sleep(_ACCEPT_PAUSE_S)

    def _serve_client(self, client: Client) -> None:
        try:
            self._open(client)
            _linger(client.connection)
        finally:
            self._clients.remove(client)
            client.close()

    def _open(self, client: Client) -> None:
        terms = self._terms
        deadline_s = time.monotonic() + terms.options.association_timeout_s
        try:
            if terms.tls is not None:
                encrypted = client.encrypt(terms.tls)
                shake_hands(encrypted, deadline_s - time.monotonic())
            stream = PduStream(client.connection)
            request = _read_request(stream, deadline_s - time.monotonic())
        except TlsRefusedError as error:
            log.warning("protocol_violated", address=client.address, reason=str(error))
            stranger = Peer(ae_title="unknown", address=client.address)
            terms.alerts.tell(stranger, called_ae="", why=str(error))
            return
        except (EOFError, OSError):
            return  # a port scan or a load balancer's probe: nothing to tell
        except pdu.ProtocolError as error:
            log.warning("protocol_violated", address=client.address, reason=str(error))
            _send(stream, pdu.abort_pdu(error.abort_reason))
            return
        services = services_for(
            request.calling_ae, terms.options.calling_aes, terms.options.reporting_aes
        )
        self._answer(client, stream, negotiate(request, services), terms.options)

    def _answer(
        self,
        client: Client,
        stream: PduStream,
        agreement: Agreement,
        options: ReceiverOptions,
    ) -> None:
        refusal = refusal_of(client, agreement, options)
        if refusal is not None:
            self._reject(client, stream, agreement, refusal)
            return
        if agreement.only_verifies:
            self._clients.add(client, Stage.VERIFYING)
            self._serve(client, stream, agreement, options)
            return
        slot = self._slots.take(agreement.request.calling_ae)
        if isinstance(slot, SlotRefusal):
            self._reject(client, stream, agreement, (TOO_MANY, slot.value))
            return
        try:
            self._clients.add(client, Stage.SENDING)
            self._serve(client, stream, agreement, options)
        finally:
            self._slots.give(slot)

    def _reject(
        self, client: Client, stream: PduStream, agreement: Agreement, refusal: Refusal
    ) -> None:
        rejection, why = refusal
        self._watch.association_rejected(why)
        tell_rejected(client, agreement, why, self._terms.alerts)
        answer = pdu.reject_pdu(
            result=rejection.result, source=rejection.source, reason=rejection.reason
        )
        _send(stream, answer)

    def _serve(
        self,
        client: Client,
        stream: PduStream,
        agreement: Agreement,
        options: ReceiverOptions,
    ) -> None:
        request = agreement.request
        answer = pdu.accept_pdu(
            request,
            agreement.replies,
            max_length=MAX_PDU_BYTES,
            roles=agreement.roles,
        )
        if not _send(stream, answer):
            return  # the peer went before it read our acceptance
        association_id = f"{self._name}-{next(self._numbers)}"
        association = Association(
            stream,
            id=association_id,
            calling_ae=request.calling_ae,
            accepted=agreement.contexts,
            sink=self._sink,
            idle_timeout_s=options.idle_timeout_s,
        )
        started_s = time.monotonic()
        self._watch.association_opened(association_id, request.calling_ae)
        ending = AssociationEnding.LOST
        try:
            ending = association.serve()
        finally:
            self._watch.association_closed(association_id, ending)
        log.event(
            "association_closed",
            association_id=association_id,
            calling_ae=request.calling_ae,
            state=ending.value,
            instances=association.stored,
            reason=f"{association.refused} refused" if association.refused else None,
            bytes=association.size_bytes,
            duration_ms=round((time.monotonic() - started_s) * 1000),
        )


def _terms(options: ReceiverOptions) -> _Terms:
    tls = None if options.tls is None else acceptor_context(options.tls)
    return _Terms(options, tls, RefusalAlerts(Auditor(options.audit)))


def _read_request(stream: PduStream, timeout_s: float) -> pdu.AssociateRequest:
    kind, body = stream.read(timeout_s)
    if kind != pdu.A_ASSOCIATE_RQ:
        text = f"PDU type {kind:#04x} before an association"
        raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_UNEXPECTED_PDU)
    return pdu.parse_associate_request(bytes(body))


def _send(stream: PduStream, data: bytes) -> bool:
    """Send one PDU; tell whether the peer was still there."""
    try:
        stream.send(data)
    except OSError:
        return False
    return True


def _linger(connection: socket.socket) -> None:
    """Wait until the peer has closed.

    Closing with unread bytes would reset the connection, and the peer might lose our
    last PDU; the requestor closes first (PS3.8 9.2, ARTIM timer).
    """
    deadline_s = time.monotonic() + _LINGER_S
    try:
        connection.shutdown(socket.SHUT_WR)
        while (left_s := deadline_s - time.monotonic()) > 0:
            connection.settimeout(left_s)
            if not connection.recv(65536):
                return
    except OSError:
        return

"""The Storage and Verification SCP: one acceptor of several that share a port."""

from __future__ import annotations

import ctypes
import itertools
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from typing import Protocol

from dicom_node import log
from dicom_node.dimse import pdu
from dicom_node.receive.association import Association, Sink, accept, negotiate
from dicom_node.receive.events import AssociationEnding
from dicom_node.receive.stream import PduStream
from dicom_node.tls import TlsFiles, TlsRefusedError, acceptor_context, shake_hands

_BACKLOG = 128
_MAX_UNOPENED = 64
"""Connections without an association that one acceptor holds; beyond, the one that
has been silent longest is closed, so a port scan cannot lock senders out."""

_LINGER_S = 2.0
"""How long a peer may take to close after its last PDU from us."""

_SEND_TIMEOUT_S = 30.0

_PERMANENT, _TRANSIENT = 1, 2
_BY_USER, _BY_PRESENTATION = 1, 3
_CALLING_UNKNOWN, _CALLED_UNKNOWN = 3, 7
_NO_COMMON_GROUND = 1
_LIMIT_EXCEEDED = 2
"""Result, source and reason of a rejection (PS3.8 table 9-21)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    """Who may open an association, and for how long it may be silent.

    Parameters
    ----------
    called_ae
        Our AE title; None accepts any called title.
    calling_aes
        Titles that may send; None accepts any.
    max_associations
        Of all acceptors together.
    tls
        None speaks plain TCP; else nothing but TLS is understood.
    """

    called_ae: str | None
    calling_aes: frozenset[str] | None
    max_associations: int
    association_timeout_s: float
    idle_timeout_s: float
    tls: TlsFiles | None = None


class AssociationWatch(Protocol):
    """Who wants to know when associations open and close."""

    def association_opened(self, association_id: str, calling_ae: str) -> None:
        """Hear of an association before its first request is read."""

    def association_closed(
        self, association_id: str, ending: AssociationEnding
    ) -> None:
        """Hear that no instance will come by this association any more."""


Counts = Sequence[int]


def shared_counts(acceptors: int) -> ctypes.Array[ctypes.c_int]:
    """Return the table of open associations, one entry an acceptor, for all processes.

    Each acceptor writes its own entry only; so a killed one cannot leave a lock or a
    slot behind: its successor sets the entry to zero.
    """
    return RawArray(ctypes.c_int, acceptors)


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
    """Accepts connections and serves each association in a thread of its own.

    Parameters
    ----------
    name
        Unique over all acceptors and their restarts; begins every association id.
    counts, index
        The table from `shared_counts`, and our entry.
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
        self._options = options
        self._listener = listener
        self._tls = None if options.tls is None else acceptor_context(options.tls)
        self._name = name
        self._sink = sink
        self._watch = watch
        self._slots = slots
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._unopened: dict[socket.socket, None] = {}
        self._threads: dict[threading.Thread, socket.socket] = {}
        self._wake, self._woken = socket.socketpair()

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
        deadline_s = time.monotonic() + timeout_s
        self._shut_unopened()
        for thread in self._running():
            thread.join(max(0.0, deadline_s - time.monotonic()))
        with self._lock:
            left = list(self._threads.values())
        for connection in left:
            _shut(connection)
        for thread in self._running():
            thread.join(_LINGER_S)

    def _running(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)

    def _shut_unopened(self) -> None:
        with self._lock:
            for connection in self._unopened:
                _shut(connection)

    def _accept(self) -> None:
        try:
            connection, address = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # another acceptor was first, or the client has gone
        except OSError as error:
            # Out of descriptors: the open associations will free some.
            log.error("accept_failed", reason=error.strerror or "unknown")
            time.sleep(0.1)
            return
        connection.settimeout(_SEND_TIMEOUT_S)
        # Each response is one small segment that the sender waits for.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._tls is not None:
            # The handshake waits for the peer, so it is left to the thread.
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(
            target=self._handle, args=(connection, str(address[0])), daemon=True
        )
        with self._lock:
            if len(self._unopened) >= _MAX_UNOPENED:
                _shut(next(iter(self._unopened)))
            self._unopened[connection] = None
            self._threads[thread] = connection
        thread.start()

    def _handle(self, connection: socket.socket, address: str) -> None:
        try:
            self._open(connection, address)
            _linger(connection)
        finally:
            with self._lock:
                self._unopened.pop(connection, None)
                del self._threads[threading.current_thread()]
            connection.close()

    def _open(self, connection: socket.socket, address: str) -> None:
        stream = PduStream(connection)
        try:
            shake_hands(connection, self._options.association_timeout_s)
            request = _read_request(stream, self._options.association_timeout_s)
        except TlsRefusedError as error:
            log.warning("protocol_violated", address=address, reason=str(error))
            return
        except (EOFError, TimeoutError, OSError):
            return  # a port scan or a load balancer's probe: nothing to tell
        except pdu.ProtocolError as error:
            log.warning("protocol_violated", address=address, reason=str(error))
            _send(connection, pdu.abort_pdu(error.abort_reason))
            return
        with self._lock:
            self._unopened.pop(connection, None)
        self._negotiate(connection, stream, request, address)

    def _negotiate(
        self,
        connection: socket.socket,
        stream: PduStream,
        request: pdu.AssociateRequest,
        address: str,
    ) -> None:
        accepted, replies = negotiate(request)
        rejection = self._rejection(request, has_context=bool(accepted))
        if rejection is None and not self._slots.take():
            rejection = (_TRANSIENT, _BY_PRESENTATION, _LIMIT_EXCEEDED)
        if rejection is not None:
            result, source, reason = rejection
            log.warning(
                "association_rejected",
                calling_ae=request.calling_ae,
                called_ae=request.called_ae,
                address=address,
                reason=REJECTIONS[rejection],
            )
            _send(
                connection, pdu.reject_pdu(result=result, source=source, reason=reason)
            )
            return
        try:
            accept(connection, request, replies)
            self._serve(connection, stream, request, accepted)
        except OSError:
            return  # the peer went before it read our acceptance
        finally:
            self._slots.give()

    def _rejection(
        self, request: pdu.AssociateRequest, *, has_context: bool
    ) -> tuple[int, int, int] | None:
        options = self._options
        if options.called_ae is not None and request.called_ae != options.called_ae:
            return (_PERMANENT, _BY_USER, _CALLED_UNKNOWN)
        if (
            options.calling_aes is not None
            and request.calling_ae not in options.calling_aes
        ):
            return (_PERMANENT, _BY_USER, _CALLING_UNKNOWN)
        if not has_context:
            return (_PERMANENT, _BY_USER, _NO_COMMON_GROUND)
        return None

    def _serve(
        self,
        connection: socket.socket,
        stream: PduStream,
        request: pdu.AssociateRequest,
        accepted: dict[int, tuple[str, str]],
    ) -> None:
        association_id = f"{self._name}-{next(self._numbers)}"
        association = Association(
            connection,
            stream,
            id=association_id,
            calling_ae=request.calling_ae,
            accepted=accepted,
            sink=self._sink,
        )
        started_s = time.monotonic()
        self._watch.association_opened(association_id, request.calling_ae)
        ending = AssociationEnding.LOST
        try:
            ending = association.serve(self._options.idle_timeout_s)
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


REJECTIONS = {
    (_PERMANENT, _BY_USER, _CALLED_UNKNOWN): "called AE title not recognised",
    (_PERMANENT, _BY_USER, _CALLING_UNKNOWN): "calling AE title not recognised",
    (_PERMANENT, _BY_USER, _NO_COMMON_GROUND): "no presentation context in common",
    (_TRANSIENT, _BY_PRESENTATION, _LIMIT_EXCEEDED): "too many associations",
}
"""Why an association is rejected, by result, source and reason."""


class AssociationSlots:
    """How many associations are open in all acceptors, against the limit."""

    def __init__(
        self, counts: ctypes.Array[ctypes.c_int], index: int, limit: int
    ) -> None:
        self._counts = counts
        self._index = index
        self._limit = limit
        self._lock = threading.Lock()
        counts[index] = 0

    def take(self) -> bool:
        """Take a slot, or tell that none is left.

        Two acceptors that take the last one at the same moment may both go without,
        but never both with.
        """
        with self._lock:
            self._counts[self._index] += 1
            if sum(self._counts) <= self._limit:
                return True
            self._counts[self._index] -= 1
            return False

    def give(self) -> None:
        """Give a slot back."""
        with self._lock:
            self._counts[self._index] -= 1


def _read_request(stream: PduStream, timeout_s: float) -> pdu.AssociateRequest:
    kind, body = stream.read(timeout_s)
    if kind != pdu.A_ASSOCIATE_RQ:
        text = f"PDU type {kind:#04x} before an association"
        raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_UNEXPECTED_PDU)
    return pdu.parse_associate_request(bytes(body))


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:
        return


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


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

"""PDUs from and to a socket: buffered, limited in size, before a deadline."""

from __future__ import annotations

import socket
import time

from dicom_node.dimse.pdu import (
    A_ABORT,
    ABORT_INVALID_PARAMETER,
    ABORT_UNRECOGNISED_PDU,
    HEADER,
    ProtocolError,
)

MAX_PDU_BYTES = 256 * 1024
"""What we announce as Maximum Length Received: one disk-sized bite."""

_TOLERATED_BYTES = 1024 * 1024
"""Senders that miscount their PDU are forgiven up to here; 4 GiB are not."""

_SEND_TIMEOUT_S = 30.0
"""For one PDU, however slowly the peer reads."""

_LAST_LOOK_S = 0.001
"""What lies in the socket is read also after the deadline: it was this process that was
late, as on a machine that was suspended or had no processor to spare."""

_BUFFER_BYTES = MAX_PDU_BYTES + 64


class PduStream:
    """Reads whole PDUs; holds one buffer, however long the association is."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray(_BUFFER_BYTES)
        self._start = 0
        self._stop = 0

    def read(self, timeout_s: float) -> tuple[int, memoryview]:
        """Return type and body of the next PDU.

        The body is valid until the next call.

        Raises
        ------
        EOFError
            If the peer closed the connection.
        TimeoutError
            If the PDU is not there, whole, within `timeout_s`: a client that sends a
            byte now and then is as silent as one that sends none.
        ProtocolError
            If it is no PDU, or larger than can be meant.
        """
        deadline_s = time.monotonic() + timeout_s
        if self._start == self._stop:
            self._start = self._stop = 0  # nothing need be moved later
        self._fill(HEADER.size, deadline_s)
        kind, length = HEADER.unpack_from(self._buffer, self._start)
        if not 1 <= kind <= A_ABORT:
            text = f"PDU type {kind:#04x}"
            raise ProtocolError(text, abort_reason=ABORT_UNRECOGNISED_PDU)
        if length > _TOLERATED_BYTES:
            text = f"a PDU of {length} bytes, where {MAX_PDU_BYTES} are allowed"
            raise ProtocolError(text, abort_reason=ABORT_INVALID_PARAMETER)
        self._fill(HEADER.size + length, deadline_s)
        start = self._start + HEADER.size
        self._start = start + length
        return kind, memoryview(self._buffer)[start : self._start]

    def send(self, data: bytes, *, timeout_s: float = _SEND_TIMEOUT_S) -> None:
        """Send one PDU.

        Raises
        ------
        OSError
            If the peer has gone, or has not read it within `timeout_s`.
        """
        # A read leaves what was left of its own deadline.
        self._connection.settimeout(timeout_s)
        self._connection.sendall(data)

    def _fill(self, needed: int, deadline_s: float) -> None:
        """Have `needed` bytes in the buffer from `_start` on."""
        if self._start + needed > len(self._buffer):
            self._compact(needed)
        while self._stop - self._start < needed:
            left_s = deadline_s - time.monotonic()
            self._connection.settimeout(max(left_s, _LAST_LOOK_S))
            count = self._connection.recv_into(memoryview(self._buffer)[self._stop :])
            if count == 0:
                raise EOFError
            self._stop += count

    def _compact(self, needed: int) -> None:
        held = self._buffer[self._start : self._stop]
        if needed > len(self._buffer):
            self._buffer = bytearray(needed)
        self._buffer[: len(held)] = held
        self._start, self._stop = 0, len(held)

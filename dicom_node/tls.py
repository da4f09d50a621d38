"""TLS for associations, in both directions.

References
----------
PS3.15 B.12, BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile: TLS 1.2 at
least, 1.3 where both have it, no way back to a connection without.
"""

from __future__ import annotations

import math
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"
"""Of TLS 1.2 those that RFC 9325 4.2 recommends: forward secret and authenticated."""


_ANY_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the standard library does not name."""


class TlsRefusedError(Exception):
    """A client that speaks no TLS, or not as we ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Who we are, and whom we trust; PEM files.

    Parameters
    ----------
    certificate, key
        Our own, the certificate with its chain; None where we show none.
    authorities
        Certificates of those whose word we take; None takes those of the system.
    demands_certificate
        As acceptor: whether a peer must show a certificate too.
    asks_certificate
        As acceptor: whether a peer that has a certificate shall show it.
    checks_name
        As requestor: whether the certificate must name the host that was asked.
    """

    certificate: Path | None
    key: Path | None
    authorities: Path | None
    demands_certificate: bool = True
    asks_certificate: bool = False
    checks_name: bool = True


def acceptor_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of a port that speaks TLS and nothing else.

    Raises
    ------
    OSError
        If a file cannot be read or is not what it should be (`ssl.SSLError`).
    """
    context = _context(files, ssl.Purpose.CLIENT_AUTH)
    if files.demands_certificate or files.asks_certificate:
        is_must = files.demands_certificate
        context.verify_mode = ssl.CERT_REQUIRED if is_must else ssl.CERT_OPTIONAL
        if files.authorities is None:
            # `ssl.create_default_context` does so for requestors alone.
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    return context


def requestor_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of associations that we open.

    Raises
    ------
    OSError
        If a file cannot be read or is not what it should be (`ssl.SSLError`).
    """
    context = _context(files, ssl.Purpose.SERVER_AUTH)
    context.check_hostname = files.checks_name
    return context


def shake_hands(connection: ssl.SSLSocket, timeout_s: float) -> None:
    """Agree on TLS with a client, in all within `timeout_s`.

    Raises
    ------
    EOFError
        If the client has gone.
    TimeoutError
        If it is not done in time.
    TlsRefusedError
        If nothing can be agreed on.
    OSError
        If the connection broke.
    """
    connection.settimeout(timeout_s)
    try:
        connection.do_handshake()
    except ssl.SSLEOFError as error:
        raise EOFError from error
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", None) or error.reason
        message = f"TLS: {why or 'not understood'}"
        raise TlsRefusedError(message) from error


def valid_until_s(files: TlsFiles) -> float:
    """Return the POSIX time until which our own certificate is valid.

    The library tells it of a certificate that a peer has shown, so one is shown, within
    this process. What has expired is told, too.

    Raises
    ------
    OSError
        If a file cannot be read or is not what it should be (`ssl.SSLError`).
    """
    there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
    shows = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    sees = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if files.certificate is None:
        return math.inf
    shows.load_cert_chain(files.certificate, files.key, password="")
    sees.check_hostname = False
    sees.load_verify_locations(files.certificate)
    sees.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _ANY_TIME
    acceptor = shows.wrap_bio(here, there, server_side=True)
    requestor = sees.wrap_bio(there, here)
    for side in (requestor, acceptor, requestor):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    shown = requestor.getpeercert()
    return float(ssl.cert_time_to_seconds(str(shown["notAfter"]))) if shown else 0.0


def _context(files: TlsFiles, purpose: ssl.Purpose) -> ssl.SSLContext:
    context = ssl.create_default_context(purpose, cafile=files.authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    if files.certificate is not None:
        # An empty password: a key that has one is an error, not a question.
        context.load_cert_chain(files.certificate, files.key, password="")
    return context

"""From which machines, and with which certificates, an AE title may call.

A title is what a caller says of itself. Its address and the certificate that it has
shown are not, so a site binds the title to them.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Any

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address
_NAMES = frozenset({"DNS", "IP Address", "URI", "email"})
"""Kinds of Subject Alternative Name that are compared, as `ssl` calls them."""
_COMMON_NAME = "commonName"


class AccessRefusal(Enum):
    """Why a calling AE title is not believed."""

    HOST = "calling AE title from another host"
    CERTIFICATE = "calling AE title with another certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One way in which a title may call: all that is given must hold.

    Parameters
    ----------
    networks
        In one of which the caller's address lies; None for any.
    names
        Of which the caller's certificate has one, as from `plain_name`; None for any.
    is_here
        Whether the call must come from this very machine.
    """

    networks: tuple[Network, ...] | None = None
    names: frozenset[str] | None = None
    is_here: bool = False


Bindings = Mapping[str, tuple[Binding, ...]]
"""By calling AE title, of which one must hold; a title that is not in it is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What is known of a caller, whatever it calls itself.

    Parameters
    ----------
    address, own_address
        Of the two ends of the connection.
    names
        As from `certificate_names`.
    """

    address: str
    own_address: str
    names: frozenset[str] = frozenset()


def access_refusal(
    title: str, caller: Caller, bindings: Bindings
) -> AccessRefusal | None:
    """Return why a caller may not use a title; None if it may."""
    ways = bindings.get(title)
    if ways is None:
        return None
    from_there = [way for way in ways if _is_from(way, caller)]
    if not from_there:
        return AccessRefusal.HOST
    if any(way.names is None or way.names & caller.names for way in from_there):
        return None
    return AccessRefusal.CERTIFICATE


def certificate_names(connection: object) -> frozenset[str]:
    """Return the names in the certificate that a peer has shown and TLS has verified.

    Empty if the connection is not of TLS, or no certificate was shown.
    """
    if not isinstance(connection, ssl.SSLSocket):
        return frozenset()
    return names_in(connection.getpeercert() or {})


def names_in(certificate: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of a certificate, as `ssl.SSLSocket.getpeercert` gives it.

    References
    ----------
    RFC 6125 6.4.4: the common name counts where no DNS name stands beside it.
    """
    alternative: Iterable[tuple[str, str]] = certificate.get("subjectAltName", ())
    names = {plain_name(name) for kind, name in alternative if kind in _NAMES}
    if not any(kind == "DNS" for kind, _ in alternative):
        names |= {
            plain_name(value)
            for part in certificate.get("subject", ())
            for key, value in part
            if key == _COMMON_NAME
        }
    return frozenset(names)


def plain_name(name: str) -> str:
    """Return a name in the form in which names are compared."""
    try:
        return str(ip_address(name.strip()))
    except ValueError:
        return name.strip().lower()


def _is_from(way: Binding, caller: Caller) -> bool:
    address = _address(caller.address)
    if way.is_here:
        return address.is_loopback or address == _address(caller.own_address)
    if way.networks is None:
        return True
    return any(address in network for network in way.networks)


def _address(text: str) -> _Address:
    """Return an address without its zone; one of IPv4 if it stands for such a one."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped

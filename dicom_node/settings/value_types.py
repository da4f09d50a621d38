"""Kinds of values in `node.yaml`, each with its limits."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, IPvAnyAddress, StringConstraints


def _stripped(text: str) -> str:
    if not text.strip():
        message = "an AE title cannot be blank"
        raise ValueError(message)
    return text


AeTitle = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern=r"^[\x20-\x5b\x5d-\x7e]{1,16}$"),
    AfterValidator(_stripped),
    Field(
        json_schema_extra={
            "x-expected": "an AE title (1 to 16 printable ASCII characters, "
            "no backslash)"
        }
    ),
]
"""VR AE (PS3.5 6.2): 1 to 16 printable ASCII characters, no backslash."""

Port = Annotated[
    int,
    Field(ge=1, le=65535, json_schema_extra={"x-expected": "a TCP port (1 to 65535)"}),
]
Seconds = Annotated[
    float,
    Field(
        gt=0,
        le=1_000_000_000,
        json_schema_extra={
            "x-expected": "a time in seconds (above 0, at most 1000000000)"
        },
    ),
]
"""Thirty years: more do the clocks of operating systems not wait."""
Gibibytes = Annotated[float, Field(ge=0, le=1_000_000_000)]
Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$"),
    Field(
        json_schema_extra={
            "x-expected": "a name (1 to 63 of a-z, 0-9, - and _; a letter or digit "
            "first)"
        }
    ),
]
"""Names of peers and routes: lower case, digits, `-`, `_`; safe in files and logs."""


HostName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$"),
    Field(
        json_schema_extra={"x-expected": "a host name or an IPv4 address, without port"}
    ),
]


def _network(text: str) -> str:
    try:
        return str(ip_network(text.strip()))
    except ValueError as error:
        message = "no address and no network"
        raise ValueError(message) from error


Network = Annotated[
    str,
    AfterValidator(_network),
    Field(
        json_schema_extra={
            "x-expected": "an IP address or a network without host bits (such as "
            "10.1.2.3 or 10.1.2.0/24)"
        }
    ),
]

CertificateName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)
]

IpAddress = Annotated[
    IPvAnyAddress, Field(json_schema_extra={"x-expected": "an IP address"})
]

HeaderName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$"),
    Field(json_schema_extra={"x-expected": "the name of an HTTP header"}),
]


def _known_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = "no such time zone"
        raise ValueError(message) from error
    return text


TimeZone = Annotated[
    str,
    AfterValidator(_known_zone),
    Field(
        json_schema_extra={
            "x-expected": "a time zone of the IANA database (such as Europe/Berlin)"
        }
    ),
]

DatabaseUrl = Annotated[
    str,
    StringConstraints(
        pattern=r"^(sqlite:///[^/?]|sqlite:////|postgresql(\+psycopg)?://)"
    ),
    Field(
        json_schema_extra={
            "x-expected": "a database URL (sqlite:////absolute/path or "
            "postgresql+psycopg://user@host/name)"
        }
    ),
]

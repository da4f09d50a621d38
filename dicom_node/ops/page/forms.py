"""Forms that were sent: read without trust, and in bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

_MOST_BYTES = 8 * 1024
_MOST_FIELDS = 8
_KIND = "application/x-www-form-urlencoded"
_OURS = frozenset({"same-origin", "none"})


class FormError(Exception):
    """A form that is not taken."""


async def fields_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a form.

    Raises
    ------
    FormError
        If it is none, or too large, or holds a field twice.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _KIND:
        message = "no form"
        raise FormError(message)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            message = "too large"
            raise FormError(message)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        message = "not readable"
        raise FormError(message) from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        message = "a field stands there twice"
        raise FormError(message)
    return fields


def is_from_here(request: Request, hosts: frozenset[str]) -> bool:
    """Tell whether a browser says that a page of ours sent a form.

    Browsers that say nothing are believed; the form has a token beside.
    """
    if request.headers.get("sec-fetch-site", "none") not in _OURS:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    return (f"[{host}]" if ":" in host else host) in hosts

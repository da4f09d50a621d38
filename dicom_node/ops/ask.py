"""What `/ready` of a running node says, or else what can be seen without it."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any

from dicom_node.node_report import OpsPlan
from dicom_node.ops.checks import plain
from dicom_node.ops.watch import Watch

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not bound
TIMEOUT_S = 8.0
"""Longer than `ops` waits for the answers that it needs."""
_CODES = frozenset({200, 503})


class NoAnswerError(Exception):
    """Nothing that understands `/ready` answers at the port of `ops`."""


def ask_ready(plan: OpsPlan) -> dict[str, Any]:
    """Return what `/ready` says.

    Raises
    ------
    NoAnswerError
        If there is no answer.
    """
    host = _ANY_ADDRESS.get(plan.bind, plan.bind)
    connection = http.client.HTTPConnection(host, plan.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        told = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswerError(str(error) or type(error).__name__) from error
    finally:
        connection.close()
    if response.status not in _CODES or not isinstance(told, dict):
        message = f"HTTP status {response.status}"
        raise NoAnswerError(message)
    return told


def look_from_here(plan: OpsPlan) -> dict[str, Any]:
    """Return what can be seen without the supervisor's reports, as `/ready` says it."""
    return plain(asyncio.run(Watch(plan, is_told=False).checks()))

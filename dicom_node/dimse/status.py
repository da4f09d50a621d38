"""Our errors as DIMSE status codes, and the peer's status codes as outcomes."""

from __future__ import annotations

from enum import StrEnum

from dicom_node.errors import (
    InstanceMismatchError,
    InstanceRefusedError,
    NodeError,
    ReportRefusedError,
    SpoolFailedError,
    SpoolFullError,
)

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
"""PS3.4 table B.2-1: refused, out of resources."""
MISMATCH = 0xA900
"""PS3.4 table B.2-1: error, dataset does not match SOP class."""
CANNOT_UNDERSTAND = 0xC210
"""PS3.4 table B.2-1: error, cannot understand (the range C000 to CFFF)."""
PROCESSING_FAILURE = 0x0110
"""PS3.7 C.5.13: the fault is ours."""
UNRECOGNISED_OPERATION = 0x0211
"""PS3.7 C.5.24."""
SOP_CLASS_NOT_SUPPORTED = 0x0122
"""PS3.7 C.5.21."""

INVALID_ARGUMENT = 0x0115
"""PS3.7 C.5.10: a transaction that is none of ours."""

STORED_WITH_WARNING = frozenset({0xB000, 0xB006, 0xB007})
"""PS3.4 table B.2-1: coercion, elements discarded, dataset does not match; all three
say that the instance was stored."""

_STATUS_OF: tuple[tuple[type[NodeError], int], ...] = (
    (SpoolFullError, OUT_OF_RESOURCES),
    (SpoolFailedError, OUT_OF_RESOURCES),
    (InstanceMismatchError, MISMATCH),
    (InstanceRefusedError, CANNOT_UNDERSTAND),
)
"""The first class that fits, so a subclass stands before its base."""


def status_of(error: NodeError) -> int:
    """Return the C-STORE status that says what went wrong."""
    for error_class, status in _STATUS_OF:
        if isinstance(error, error_class):
            return status
    return PROCESSING_FAILURE


def report_status_of(error: NodeError) -> int:
    """Return the N-EVENT-REPORT status that says what went wrong."""
    if isinstance(error, ReportRefusedError):
        return INVALID_ARGUMENT
    return PROCESSING_FAILURE


class StoreAnswer(StrEnum):
    """What a C-STORE status means for the sender."""

    STORED = "stored"
    RETRY = "retry"
    REFUSED = "refused"


_DUPLICATE = 0x0111
"""PS3.7 C.5.6. Our UIDs are derived from the content, so the peer holds this very
instance: the answer to an earlier attempt was lost."""

_TEMPORARY = frozenset({0x0110, 0x0213, 0x0124})
"""PS3.7 C.5: processing failure, resource limitation, not authorised: an operator or
time can mend them, so the delivery is tried again."""


def is_temporary(status: int) -> bool:
    """Tell whether a failure may be mended, so that a request is made again."""
    return status in _TEMPORARY


def answer_of(status: int) -> StoreAnswer:
    """Tell whether an instance was stored, may be stored later, or never will.

    References
    ----------
    PS3.4 table B.2-1; PS3.7 annex C.
    """
    if status in (SUCCESS, _DUPLICATE) or status in STORED_WITH_WARNING:
        return StoreAnswer.STORED
    if status & 0xFF00 == OUT_OF_RESOURCES or status in _TEMPORARY:
        return StoreAnswer.RETRY
    return StoreAnswer.REFUSED

"""Errors as DIMSE status codes, and status codes as outcomes (PS3.4 B.2, PS3.7 C)."""

from __future__ import annotations

import pytest

from dicom_node.dimse.status import StoreAnswer, answer_of, status_of
from dicom_node.errors import (
    AnalysisBrokeError,
    InstanceMismatchError,
    InstanceRefusedError,
    NodeError,
    SpoolFailedError,
    SpoolFullError,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SpoolFullError(free_bytes=1, limit_bytes=2), 0xA700),
        (SpoolFailedError("input/output error"), 0xA700),
        (InstanceMismatchError("another instance"), 0xA900),
        (InstanceRefusedError("no UID"), 0xC210),
        (AnalysisBrokeError("not of this service"), 0x0110),
    ],
)
def test_each_error_has_the_status_of_the_standard(
    error: NodeError, status: int
) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0x0111])
def test_success_warnings_and_duplicates_are_stored(status: int) -> None:
    assert answer_of(status) is StoreAnswer.STORED


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0xA7FF, 0x0110, 0x0213, 0x0124])
def test_lack_of_resources_may_pass(status: int) -> None:
    assert answer_of(status) is StoreAnswer.RETRY


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0xC210, 0x0122, 0x0117, 0xB001])
def test_what_the_peer_cannot_take_it_never_takes(status: int) -> None:
    assert answer_of(status) is StoreAnswer.REFUSED

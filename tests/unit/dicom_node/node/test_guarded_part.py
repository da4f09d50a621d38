"""What breaks in one part of the supervisor's turn is logged, and no more."""

from __future__ import annotations

import pytest

from dicom_node.node import guarded_part
from dicom_node.node.guarded_part import run_guarded


def test_a_part_that_breaks_is_logged_without_its_words(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def part(_now_s: float) -> None:
        message = "Doe^Jane"
        raise KeyError(message)

    monkeypatch.setattr(guarded_part, "_PAUSE_S", 0.0)
    run_guarded(part, 0.0)
    (line,) = caplog.records
    assert line.getMessage() == "supervisor_fault"
    reason = vars(line)["node_fields"]["reason"]
    assert reason.startswith("KeyError in test_guarded_part.py:")
    assert "Doe" not in str(vars(line)["node_fields"])

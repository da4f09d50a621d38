"""The retry rule, and how it follows from settings of this version and the last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dicom_node.jobs.delivery_retry import RetryRule, retry_rule
from dicom_node.settings.deprecated_keys import deprecated_keys
from dicom_node.settings.sections import Jobs, Settings

WEEK_S = 7 * 86400
QUARTER_S = 15 * 60


def settings(**jobs: Any) -> Settings:
    return Settings.model_validate(
        {
            "version": 1,
            "spool": {"folder": Path("spool")},
            "routes": [{"name": "lumbar", "deliver_to": ["pacs"]}],
            "jobs": jobs,
        }
    )


@pytest.mark.parametrize(
    ("attempt", "pause_s"), [(1, 30), (2, 120), (3, 120), (9, 120)]
)
def test_the_last_pause_is_repeated(attempt: int, pause_s: float) -> None:
    rule = RetryRule(pauses_s=(30, 120), give_up_after_s=1)
    assert rule.pause_s(attempt) == pause_s


def test_pauses_double_up_to_a_quarter_of_an_hour_for_a_week() -> None:
    rule = retry_rule(Jobs())
    pauses_s = [rule.pause_s(attempt) for attempt in range(1, 9)]
    assert pauses_s == [30, 60, 120, 240, 480, QUARTER_S, QUARTER_S, QUARTER_S]
    assert not rule.is_over(WEEK_S - 1)
    assert rule.is_over(WEEK_S)


def test_a_first_pause_above_the_longest_is_shortened() -> None:
    rule = retry_rule(Jobs(retry_first_s=60, retry_longest_s=10))
    assert [rule.pause_s(attempt) for attempt in (1, 2)] == [10, 10]


def test_the_pauses_of_the_last_version_are_kept_to_and_its_attempts_are_not() -> None:
    former = settings(attempts=5, backoff_s=[10, 600, 3600])
    rule = retry_rule(former.jobs)
    assert [rule.pause_s(attempt) for attempt in (1, 2, 3, 99)] == [
        10, 600, QUARTER_S, QUARTER_S,
    ]  # fmt: skip
    assert not rule.is_over(WEEK_S - 1)
    attempts, backoff = deprecated_keys(former)
    assert attempts.startswith("jobs.attempts is of an older version: ")
    assert "jobs.retry_days" in attempts
    assert backoff.startswith("jobs.backoff_s is of an older version: ")


def test_nothing_is_told_of_settings_of_this_version() -> None:
    assert list(deprecated_keys(settings(retry_days=3))) == []

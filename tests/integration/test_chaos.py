"""A short run of `python -m tests.chaos`; the long one is in docs/reliability.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.__main__ import run


@pytest.mark.peer
def test_nothing_is_lost_and_nothing_comes_twice_though_processes_are_killed(
    tmp_path: Path,
) -> None:
    tally = run(tmp_path / "chaos", rounds=5, seed="suite", pace_s=0.4)
    assert (tally.losses, tally.twins, tally.ends) == ([], [], [])
    # A run in which nothing was served and nothing went wrong would prove nothing.
    assert tally.series == tally.rounds == 5
    assert set(tally.result_sets) == {"recorder", "storescp", "orthanc"}
    assert set(tally.faults) - {"nothing"}

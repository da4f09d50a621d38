"""The rivals' figures stand side by side in one table."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")
pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from analysis.training.compare import Budget, Entry, rival_settings, write_table
from analysis.training.settings import read_settings


def _entry(name: str, dice: float) -> Entry:
    figures = {"step": 9.0, "spine disc": dice, "spine disc_assd_mm": 0.456}
    return Entry(name=name, crops=54, weights=2_220_000, slice_ms=61.0, figures=figures)


def test_each_network_has_a_column_and_each_figure_a_row(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    write_table([_entry("one", 0.9), _entry("other", 0.8)], ["spine 7"], path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "| | one | other |" in lines
    assert "| spine disc | 0.900 | 0.800 |" in lines
    assert "| spine disc_assd_mm | 0.46 | 0.46 |" in lines
    assert "| parameters (million) | 2.2 | 2.2 |" in lines


def test_all_rivals_have_the_same_budget_and_random_weights() -> None:
    budget = Budget(steps=40, batch=3, crop=(192, 160))
    training = [settings.training for settings in rival_settings(budget)]
    assert {each.steps for each in training} == {40}
    assert {(each.batch, *each.crop) for each in training} == {(3, 192, 160)}
    assert {each.start_from for each in training} == {None}


def test_a_budget_that_is_left_open_is_that_of_the_shipped_network() -> None:
    usual = read_settings().training
    for settings in rival_settings(Budget()):
        training = settings.training
        assert (training.steps, training.batch) == (usual.steps, usual.batch)
        assert training.crop == usual.crop

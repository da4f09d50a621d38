"""Figures of a model, from masks whose agreement can be worked out by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from analysis.lumbar.find.networks import Networks
from analysis.training.evaluate import (
    evaluate_cases,
    score_case,
    segment_case,
)
from analysis.training.labels import Label
from analysis.training.sources import LabelledCase
from tests.support.toy_card import TOY_CARD

SPACING_MM = (0.4, 0.4)


class _ReadsGrey:
    """A network that knows each class by its grey value, ten to a class."""

    card = TOY_CARD

    missed = ""
    runtime = "none"

    def probabilities(
        self, slices: NDArray[np.float32], part: slice = slice(None)
    ) -> NDArray[np.float32]:
        planes = [np.abs(slices[part] - 10 * label) < 5 for label in Label]
        return np.stack(planes, axis=1).astype(np.float32)

    def in_steps(self, slices: NDArray[np.float32], steps: int) -> NDArray[np.uint8]:
        return (self.probabilities(slices) * steps).astype(np.uint8)


def _labels() -> NDArray[np.uint8]:
    labels = np.zeros((2, 80, 80), np.uint8)
    labels[:, 10:30, 10:30] = Label.BODY
    labels[:, 30:40, 10:30] = Label.DISC
    labels[:, 40:60, 10:30] = Label.S1
    labels[:, :, 40:48] = Label.CANAL
    labels[:, 10:30, 56:70] = Label.POSTERIOR
    return labels


def _case(s1_slices: frozenset[int] = frozenset({0, 1})) -> LabelledCase:
    labels = _labels()
    return LabelledCase(
        source="some",
        name="one",
        patient="one",
        grey=labels * np.uint8(10),
        allowed=np.left_shift(np.uint8(1), labels).astype(np.uint8),
        spacing_mm=SPACING_MM,
        s1_slices=s1_slices,
        complete=True,
    )


def test_a_perfect_network_comes_back_to_the_native_grid_unharmed() -> None:
    # One tissue only: where two blur into one another, grey means nothing.
    case = _case()
    case = replace(case, grey=np.where(case.grey == 10, case.grey, np.uint8(0)))
    guess = segment_case(Networks(tissue=_ReadsGrey()), case)
    assert score_case(case, guess).dice["body"] > 0.97


def test_a_disc_moved_by_half_its_height_has_half_the_overlap() -> None:
    guess = _labels()
    guess[:, 30:35, 10:30] = Label.BODY
    guess[:, 40:45, 10:30] = Label.DISC
    figures = score_case(_case(), guess)
    assert figures.dice["disc"] == pytest.approx(0.5)
    assert figures.dice["canal"] == 1.0


def test_s1_is_scored_only_where_it_is_drawn() -> None:
    guess = _labels()
    guess[1][guess[1] == Label.S1] = Label.BACKGROUND
    assert score_case(_case(frozenset({0})), guess).dice["s1"] == 1.0
    assert "s1" not in score_case(_case(frozenset()), guess).dice


def test_figures_and_pictures_are_written(tmp_path: Path) -> None:
    networks = Networks(tissue=_ReadsGrey())
    evaluate_cases(networks, [_case()], tmp_path, frozenset({"some"}))
    table = (tmp_path / "figures.md").read_text(encoding="utf-8")
    assert "| some | disc | 1 |" in table
    assert {path.name for path in tmp_path.iterdir()} == {
        "figures.json",
        "figures.md",
        "overlays.png",
    }


def test_no_picture_is_made_of_a_source_that_must_not_be_shown(tmp_path: Path) -> None:
    evaluate_cases(Networks(tissue=_ReadsGrey()), [_case()], tmp_path, frozenset())
    assert not (tmp_path / "overlays.png").exists()

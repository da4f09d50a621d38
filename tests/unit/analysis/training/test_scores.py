"""Agreement of masks, checked against shapes that a ruler can measure."""

import numpy as np
import pytest

from analysis.training.scores import dice_of, outline_distance


def _square(first_row: int) -> np.ndarray:
    mask = np.zeros((40, 40), np.bool_)
    mask[first_row : first_row + 10, 10:20] = True
    return mask


def test_half_an_overlap_is_a_dice_of_one_half() -> None:
    assert dice_of(_square(10), _square(15)) == pytest.approx(0.5)


def test_two_empty_masks_have_no_dice() -> None:
    empty = np.zeros((4, 4), np.bool_)
    assert dice_of(empty, empty) is None


def test_the_same_outline_is_no_distance_away() -> None:
    distance = outline_distance(_square(10), _square(10), (0.5, 0.5))
    assert distance is not None
    assert distance.mean_mm == distance.percentile95_mm == 0.0


def test_two_lines_are_their_gap_apart_in_mm() -> None:
    one, other = (np.zeros((20, 20), np.bool_) for _ in range(2))
    one[5], other[9] = True, True
    distance = outline_distance(one, other, (0.5, 2.0))
    assert distance is not None
    assert distance.mean_mm == pytest.approx(2.0)


def test_an_empty_mask_has_no_outline() -> None:
    assert outline_distance(_square(1), np.zeros((40, 40), np.bool_), (1, 1)) is None

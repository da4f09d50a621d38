"""A window holds all of a mask and no more than its margin."""

from __future__ import annotations

import numpy as np

from analysis.imaging.window import widened, window_of


def test_a_window_holds_a_mask_and_no_more() -> None:
    mask = np.zeros((4, 9, 9), np.bool_)
    mask[1, 3, 5] = mask[2, 6, 4] = True
    assert window_of(mask) == (slice(1, 3), slice(3, 7), slice(4, 6))


def test_a_margin_ends_at_the_edge_of_the_array() -> None:
    mask = np.zeros((6, 8), np.bool_)
    mask[1, 4] = True
    assert window_of(mask, 2) == (slice(0, 4), slice(2, 7))


def test_nothing_has_no_window() -> None:
    assert window_of(np.zeros((3, 3), np.bool_)) is None


def test_a_window_of_a_part_is_widened_as_far_as_the_whole_reaches() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[3, 1] = mask[5, 2] = True
    part = (slice(2, 7), slice(0, 6))
    inner = (slice(1, 4), slice(1, 3))
    assert widened(inner, part, 2, mask.shape) == window_of(mask, 2)

"""Label maps of the sources become sets of classes that a pixel may be."""

import numpy as np
import pytest

from analysis.training.labels import (
    Label,
    allowed_for_part,
    allowed_for_spider,
    decided,
    region_below_disc,
    split_vertebrae,
    thin_disc_weight,
)

VERTEBRA, DISC, CANAL = 1, 2, 3
EITHER = (1 << Label.BACKGROUND) | (1 << Label.S1)


def _spine() -> np.ndarray:
    """One slice: a body, the canal behind it, a spinous process behind that."""
    semantic = np.zeros((1, 60, 60), np.uint8)
    semantic[0, 10:30, 10:25] = VERTEBRA
    semantic[0, 32:36, 10:25] = DISC
    semantic[0, 0:50, 30:36] = CANAL
    semantic[0, 15:25, 42:55] = VERTEBRA
    return semantic


def test_what_lies_before_the_canal_is_body_and_behind_it_is_not() -> None:
    labels = split_vertebrae(_spine())[0]
    assert (labels[10:30, 10:25] == Label.BODY).all()
    assert (labels[15:25, 42:55] == Label.POSTERIOR).all()
    assert (labels[32:36, 10:25] == Label.DISC).all()
    assert (labels[0:50, 30:36] == Label.CANAL).all()


def test_a_vertebra_in_one_piece_is_cut_at_the_middle_of_the_canal() -> None:
    semantic = np.repeat(_spine(), 2, axis=0)
    # A slice through the pedicle: bone from front to back and no canal there.
    semantic[1, 10:30, 10:55] = VERTEBRA
    labels = split_vertebrae(semantic)[1]
    # The canal spans columns 30 to 35, so its middle is 32.5.
    assert (labels[10:30, 10:33] == Label.BODY).all()
    assert (labels[10:30, 33:55] == Label.POSTERIOR).all()


def test_without_a_canal_anywhere_all_bone_is_body() -> None:
    semantic = _spine()
    semantic[semantic == CANAL] = 0
    assert not (split_vertebrae(semantic) == Label.POSTERIOR).any()


def test_s1_may_lie_only_below_the_lowest_disc() -> None:
    disc = np.zeros((100, 60), np.bool_)
    disc[20:26, 20:40] = True
    below = region_below_disc(disc, (1.0, 1.0))
    # The disc's axis is row 22.5; S1 may reach 45 mm down and 12 mm sideways.
    assert not below[:23].any()
    assert below[23:67, 20:40].all()
    assert not below[68:].any()
    assert below[30, 9]
    assert not below[30, 6]


def test_the_region_turns_with_the_disc() -> None:
    disc = np.zeros((100, 100), np.bool_)
    for step in range(-12, 13):  # falls backwards by 45 degrees
        disc[50 + step, 48 + step : 53 + step] = True
    below = region_below_disc(disc, (1.0, 1.0))
    assert below[65, 40]
    assert not below[40, 65]


def test_only_undrawn_slices_leave_s1_open() -> None:
    labels = np.zeros((2, 100, 60), np.uint8)
    labels[:, 20:26, 20:40] = Label.DISC
    discs = (labels == Label.DISC).astype(np.uint8)
    s1 = np.zeros(labels.shape, np.bool_)
    s1[0, 30:50, 22:38] = True
    allowed = allowed_for_spider(labels, discs, s1, frozenset({0}), (1.0, 1.0))
    assert (allowed[0, 30:50, 22:38] == 1 << Label.S1).all()
    assert allowed[0, 55, 30] == 1 << Label.BACKGROUND
    assert (allowed[1, 30:50, 22:38] == EITHER).all()
    assert allowed[1, 5, 5] == 1 << Label.BACKGROUND
    assert (allowed[:, 20:26, 20:40] == 1 << Label.DISC).all()


def test_what_a_source_does_not_annotate_hides_in_its_background() -> None:
    labels = np.zeros((1, 40, 20), np.uint8)
    labels[0, 20:30, 5:15] = Label.BODY
    allowed = allowed_for_part(labels, frozenset({Label.BODY}), 20)
    all_classes = (1 << len(Label)) - 1
    assert (allowed[0, 20:30, 5:15] == 1 << Label.BODY).all()
    assert allowed[0, 35, 5] == all_classes - (1 << Label.BODY)
    # Above the first complete row nothing is known.
    assert (allowed[0, :20] == all_classes).all()


def test_a_class_is_scored_only_where_it_is_known() -> None:
    one = 1 << Label.BODY
    allowed = np.array([[[one, one | 1, 1, one | 1 << Label.POSTERIOR]]], np.uint8)
    truth, known = decided(allowed, (Label.BODY,))
    assert truth[0, 0].tolist() == [True, False, False, False]
    assert known[0, 0].tolist() == [True, False, True, False]
    truth, known = decided(allowed, (Label.BODY, Label.POSTERIOR))
    assert truth[0, 0].tolist() == [True, False, False, True]
    assert known[0, 0].tolist() == [True, False, True, True]


def test_a_small_disc_weighs_as_much_as_a_usual_one() -> None:
    allowed = np.ones((100, 100), np.uint8)
    allowed[20:25, 10:40] = 1 << Label.DISC  # 150 mm2: half of the usual 300
    allowed[60:75, 10:50] = 1 << Label.DISC  # 600 mm2
    weight = thin_disc_weight(allowed, (1.0, 1.0))
    assert weight[22, 20] == weight[26, 20] == pytest.approx(2.0)
    assert weight[40, 20] == weight[65, 20] == 1.0

"""Training on single discs: where they lie, what is cut out, and how it is scored."""

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")
pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from torch import Tensor  # noqa: E402

from analysis.inference.unet import SliceNetwork  # noqa: E402
from analysis.training.disc_batches import DiscBatches  # noqa: E402
from analysis.training.disc_fold import DiscFold  # noqa: E402
from analysis.training.disc_places import places_of  # noqa: E402
from analysis.training.labels import Label  # noqa: E402
from tests.support.one_disc import (  # noqa: E402
    HEIGHT_MM,
    LENGTH_MM,
    MIDDLE_MM,
    TURN_DEG,
    disc_settings,
    one_disc,
    still,
)


def test_a_disc_is_found_with_its_middle_and_its_lean() -> None:
    (place,) = places_of(one_disc())
    assert place.middle_mm == pytest.approx(MIDDLE_MM, abs=0.2)
    assert math.degrees(place.turn_rad) == pytest.approx(TURN_DEG, abs=0.5)
    assert place.slices == range(0, 7)


def test_a_speck_is_no_disc() -> None:
    case = one_disc()
    allowed = np.full_like(case.allowed, 1 << Label.BACKGROUND)
    allowed[3, 50:55, 50:55] = 1 << Label.DISC
    assert list(places_of(replace(case, allowed=allowed))) == []


def test_in_a_crop_the_disc_lies_level_and_in_the_middle() -> None:
    batches = DiscBatches(still(disc_settings()), [[one_disc()]])
    seen = []
    for step in range(8):
        batch = batches.draw(step)
        assert batch.grey.shape == (3, 3, 64, 112)
        assert batch.allowed.sum(dim=1).eq(1).all()
        seen += [one[1] for one in batch.allowed if one[1].any()]
    assert seen
    for disc in seen:
        down, back = (axis.double() * 0.5 for axis in torch.nonzero(disc).T)
        # A crop's middle lies 1.5 mm (standard deviation) beside the disc's.
        assert abs(float(down.mean()) - 31.5 / 2) < 6
        assert abs(float(back.mean()) - 111 / 4) < 6
        spread = torch.cov(torch.stack([down, back]))
        lean = 0.5 * math.atan2(
            2 * float(spread[0, 1]), float(spread[1, 1] - spread[0, 0])
        )
        assert abs(math.degrees(lean)) < 2
        # An ellipse's second moment is a sixteenth of its axis, squared.
        assert 4 * math.sqrt(float(spread[1, 1])) == pytest.approx(LENGTH_MM, abs=1)
        assert 4 * math.sqrt(float(spread[0, 0])) == pytest.approx(HEIGHT_MM, abs=0.7)


def test_the_same_step_draws_the_same_batch() -> None:
    one, other = (DiscBatches(disc_settings(), [[one_disc()]]) for _ in range(2))
    one.draw(4)
    first, second = one.draw(5), other.draw(5)
    assert torch.equal(first.grey, second.grey)
    assert torch.equal(first.allowed, second.allowed)
    assert torch.isfinite(first.grey).all()


def test_what_may_be_a_disc_is_asked_for_nothing() -> None:
    case = one_disc()
    unsure = (case.allowed == 1 << Label.DISC) & (np.arange(220) < 100)
    allowed = case.allowed | (unsure * np.uint8(1 << Label.BODY))
    batch = DiscBatches(
        still(disc_settings()), [[replace(case, allowed=allowed)]]
    ).draw(0)
    assert batch.allowed.all(dim=1).any()


class _Bright(SliceNetwork):
    """Takes what is bright for a disc."""

    stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.sharp = torch.nn.Parameter(torch.tensor(10.0))

    def forward(self, slices: Tensor) -> Tensor:
        middle = slices[:, 1:2] * self.sharp
        logits: Tensor = torch.cat([-middle, middle], dim=1)
        return logits


def test_a_fold_scores_a_disc_where_it_lies() -> None:
    figures = DiscFold(disc_settings(), [one_disc()]).figures(_Bright())
    assert figures["some disc"] > 0.95
    assert figures["mean"] == figures["some disc"]

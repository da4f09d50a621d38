"""Training on single discs: where they lie, what is cut out, and how it is scored."""

import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")
pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from torch import Tensor  # noqa: E402

from analysis.inference.unet import SliceNetwork  # noqa: E402
from analysis.training import settings as settings_of  # noqa: E402
from analysis.training.disc_batches import DiscBatches  # noqa: E402
from analysis.training.disc_fold import DiscFold  # noqa: E402
from analysis.training.disc_places import places_of  # noqa: E402
from analysis.training.labels import Label  # noqa: E402
from analysis.training.settings import Settings, read_settings  # noqa: E402
from analysis.training.sources import LabelledCase  # noqa: E402

SPACING_MM = (0.6, 0.4)
MIDDLE_MM = (60.0, 45.0)
TURN_DEG = 20.0
"""Its front is lower than its back."""
LENGTH_MM, HEIGHT_MM = 34.0, 9.0


def _settings() -> Settings:
    path = Path(settings_of.__file__).with_name("disc.yaml")
    settings = read_settings(path)
    return replace(
        settings,
        sources=settings.sources[:1],
        training=replace(settings.training, batch=3),
    )


def _still(settings: Settings) -> Settings:
    """Neither distort a crop nor change its grey values."""
    spared = {"blur_max_px", "coarse_min", "noise_max"}
    names = [one.name for one in fields(settings.augmentation)]
    still = {name: 0.0 for name in names if name not in spared}
    return replace(settings, augmentation=replace(settings.augmentation, **still))


def _case() -> LabelledCase:
    """Return a series with one leaning disc in its three middle slices."""
    rows, columns = np.mgrid[0:200, 0:220]
    down, back = (
        grid * step - middle
        for grid, step, middle in zip(
            (rows, columns), SPACING_MM, MIDDLE_MM, strict=True
        )
    )
    angle = math.radians(TURN_DEG)
    along = math.cos(angle) * back - math.sin(angle) * down
    across = math.sin(angle) * back + math.cos(angle) * down
    disc = (along / LENGTH_MM * 2) ** 2 + (across / HEIGHT_MM * 2) ** 2 < 1
    labels = np.full((7, 200, 220), Label.BACKGROUND, np.uint8)
    labels[2:5, disc] = Label.DISC
    return LabelledCase(
        source="some",
        name="one",
        patient="one",
        grey=np.where(labels == Label.DISC, 200, 80).astype(np.uint8),
        allowed=np.left_shift(np.uint8(1), labels).astype(np.uint8),
        spacing_mm=SPACING_MM,
        s1_slices=frozenset(),
        complete=True,
    )


def test_a_disc_is_found_with_its_middle_and_its_lean() -> None:
    (place,) = places_of(_case())
    assert place.middle_mm == pytest.approx(MIDDLE_MM, abs=0.2)
    assert math.degrees(place.turn_rad) == pytest.approx(TURN_DEG, abs=0.5)
    assert place.slices == range(0, 7)


def test_a_speck_is_no_disc() -> None:
    case = _case()
    allowed = np.full_like(case.allowed, 1 << Label.BACKGROUND)
    allowed[3, 50:55, 50:55] = 1 << Label.DISC
    assert list(places_of(replace(case, allowed=allowed))) == []


def test_in_a_crop_the_disc_lies_level_and_in_the_middle() -> None:
    batches = DiscBatches(_still(_settings()), [[_case()]])
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
    one, other = (DiscBatches(_settings(), [[_case()]]) for _ in range(2))
    one.draw(4)
    first, second = one.draw(5), other.draw(5)
    assert torch.equal(first.grey, second.grey)
    assert torch.equal(first.allowed, second.allowed)
    assert torch.isfinite(first.grey).all()


def test_what_may_be_a_disc_is_asked_for_nothing() -> None:
    case = _case()
    unsure = (case.allowed == 1 << Label.DISC) & (np.arange(220) < 100)
    allowed = case.allowed | (unsure * np.uint8(1 << Label.BODY))
    batch = DiscBatches(_still(_settings()), [[replace(case, allowed=allowed)]]).draw(0)
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
    figures = DiscFold(_settings(), [_case()]).figures(_Bright())
    assert figures["some disc"] > 0.95
    assert figures["mean"] == figures["some disc"]

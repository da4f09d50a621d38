"""A batch is a pure function of its step, so a stopped run can go on."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")
pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from analysis.training.batches import Batches  # noqa: E402
from analysis.training.labels import Label  # noqa: E402
from analysis.training.settings import Settings, read_settings  # noqa: E402
from analysis.training.sources import LabelledCase  # noqa: E402


def _settings() -> Settings:
    settings = read_settings()
    return replace(
        settings, training=replace(settings.training, batch=2, crop=(64, 48))
    )


def _case() -> LabelledCase:
    draw = np.random.default_rng(3)
    allowed = np.ones((3, 200, 160), np.uint8)
    allowed[:, :, 60:80] = 1 << Label.BODY
    grey = np.where(allowed > 1, 160, 60) + draw.normal(0, 8, allowed.shape)
    return LabelledCase(
        patient="one",
        grey=grey.astype(np.uint8),
        allowed=allowed,
        spacing_mm=(0.5, 0.5),
        s1_slices=frozenset({1}),
    )


def test_the_same_step_draws_the_same_batch() -> None:
    one, other = (Batches(_settings(), [[_case()]]) for _ in range(2))
    one.draw(4)
    for first, second in zip(one.draw(5), other.draw(5), strict=True):
        assert torch.equal(first, second)


def test_another_step_draws_another_batch() -> None:
    batches = Batches(_settings(), [[_case()]])
    assert not torch.equal(batches.draw(5)[0], batches.draw(6)[0])


def test_a_batch_is_finite_and_every_pixel_may_be_something() -> None:
    batches = Batches(_settings(), [[_case()]])
    for step in range(10):
        grey, allowed = batches.draw(step)
        assert grey.shape == (2, 1, 64, 48)
        assert torch.isfinite(grey).all()
        assert allowed.any(dim=1).all()


def test_labels_move_with_the_picture() -> None:
    settings = _settings()
    still = replace(
        settings.augmentation,
        **dict.fromkeys(
            (
                "tissue_probability",
                "fat_suppression_probability",
                "t1_probability",
                "bias_sd",
                "coil_ramp",
                "gamma_sd",
                "clip_probability",
                "blur_probability",
                "coarse_probability",
                "noise_probability",
            ),
            0.0,
        ),
    )
    batches = Batches(replace(settings, augmentation=still), [[_case()]])
    grey, allowed = batches.draw(1)
    bright = grey[:, 0] > 0.5 * (grey.amax() + grey.amin())
    agree = (bright == allowed[:, Label.BODY]).float().mean()
    assert float(agree) > 0.95

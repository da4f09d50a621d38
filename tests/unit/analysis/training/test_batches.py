"""A batch is a pure function of its step, so a stopped run can go on."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")
pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from analysis.training.augment import quick_quantile  # noqa: E402
from analysis.training.batches import Batches  # noqa: E402
from analysis.training.labels import Label  # noqa: E402
from analysis.training.settings import Settings, read_settings  # noqa: E402
from analysis.training.sources import LabelledCase  # noqa: E402


def _settings() -> Settings:
    settings = read_settings()
    return replace(
        settings,
        sources=settings.sources[:1],
        training=replace(settings.training, batch=2, crop=(64, 48)),
    )


def _case(*, complete: bool = True) -> LabelledCase:
    draw = np.random.default_rng(3)
    allowed = np.ones((3, 200, 160), np.uint8)
    allowed[:, :, 60:80] = 1 << Label.BODY
    grey = np.where(allowed > 1, 160, 60) + draw.normal(0, 8, allowed.shape)
    return LabelledCase(
        source="some",
        name="one",
        patient="one",
        grey=grey.astype(np.uint8),
        allowed=allowed,
        spacing_mm=(0.5, 0.5),
        s1_slices=frozenset({1}),
        complete=complete,
    )


def test_the_same_step_draws_the_same_batch() -> None:
    one, other = (Batches(_settings(), [[_case()]]) for _ in range(2))
    one.draw(4)
    first, second = one.draw(5), other.draw(5)
    assert torch.equal(first.grey, second.grey)
    assert torch.equal(first.allowed, second.allowed)
    assert torch.equal(first.weight, second.weight)


def test_another_step_draws_another_batch() -> None:
    batches = Batches(_settings(), [[_case()]])
    assert not torch.equal(batches.draw(5).grey, batches.draw(6).grey)


def test_a_batch_is_finite_and_every_pixel_may_be_something() -> None:
    batches = Batches(_settings(), [[_case()]])
    for step in range(10):
        batch = batches.draw(step)
        assert batch.grey.shape == (2, 3, 64, 48)
        assert torch.isfinite(batch.grey).all()
        assert batch.allowed.any(dim=1).all()
        assert (batch.weight >= 1).all()


def test_a_network_without_context_sees_the_slice_alone() -> None:
    settings = _settings()
    alone = replace(settings, network=replace(settings.network, context=0))
    batch = Batches(alone, [[_case()]]).draw(5)
    with_both = Batches(settings, [[_case()]]).draw(5)
    assert torch.equal(batch.grey, with_both.grey[:, 1:2])


def _still(settings: Settings) -> Settings:
    """Move crops only; leave their grey values as they are."""
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
    return replace(settings, augmentation=still)


def test_labels_move_with_the_picture() -> None:
    batch = Batches(_still(_settings()), [[_case()]]).draw(1)
    grey = batch.grey[:, 1]
    bright = grey > 0.5 * (grey.amax() + grey.amin())
    agree = (bright == batch.allowed[:, Label.BODY]).float().mean()
    assert float(agree) > 0.95


def test_tissue_changes_its_grey_only_where_every_tissue_is_labelled() -> None:
    settings = _still(_settings())
    settings = replace(
        settings, augmentation=replace(settings.augmentation, tissue_probability=1.0)
    )
    plain = Batches(_still(_settings()), [[_case()]]).draw(2).grey
    changed = Batches(settings, [[_case()]]).draw(2).grey
    spared = Batches(settings, [[_case(complete=False)]]).draw(2).grey
    assert not torch.equal(changed, plain)
    assert torch.equal(spared, plain)


@pytest.mark.parametrize("count", [12288, 999, 2, 1])
@pytest.mark.parametrize("share", [0.0, 0.87, 0.99, 1.0])
def test_the_quick_quantile_is_that_of_torch(count: int, share: float) -> None:
    values = torch.rand(count, generator=torch.Generator().manual_seed(count))
    assert torch.equal(quick_quantile(values, share), torch.quantile(values, share))

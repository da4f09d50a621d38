"""Every architecture can be made from its settings and learns by the same command."""

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")

from analysis.training.architectures import (  # noqa: E402
    build_network,
    logits_of,
)
from analysis.training.settings import (  # noqa: E402
    DEFAULT_SETTINGS,
    Settings,
    read_settings,
)
from analysis.training.swin import WINDOW, SwinStage  # noqa: E402


def _settings(name: str) -> Settings:
    return read_settings(DEFAULT_SETTINGS.with_name(f"{name}.yaml"))


@pytest.mark.parametrize(
    ("name", "millions"),
    # 84 million were counted by hand from the description of BianqueNet, 31 million
    # is the well-known size of a U-Net from 64 to 1024 channels.
    [("compact", 2.2), ("unet", 31.0), ("bianquenet", 84.3)],
)
def test_an_architecture_has_its_size_and_answers_in_every_pixel(
    name: str, millions: float
) -> None:
    settings = _settings(name)
    network = build_network(settings).eval()
    weights = sum(weight.numel() for weight in network.parameters())
    assert weights / 1e6 == pytest.approx(millions, abs=0.05)
    channels = 2 * settings.network.context + 1
    rows, columns = network.stride, 2 * network.stride
    with torch.inference_mode():
        logits = network(torch.randn(1, channels, rows, columns))
    assert logits.shape == (1, len(settings.classes), rows, columns)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", ["compact", "unet", "bianquenet"])
def test_crops_need_not_fit_the_stride_of_every_network(name: str) -> None:
    settings = _settings(name)
    network = build_network(settings).eval()
    rows, columns = network.stride, network.stride + network.stride // 2
    grey = torch.randn(1, 2 * settings.network.context + 1, rows, columns)
    wide = torch.nn.functional.pad(grey, (0, network.stride // 2, 0, 0), "replicate")
    with torch.inference_mode():
        assert torch.equal(logits_of(network, grey), network(wide)[..., :columns])
        assert torch.equal(logits_of(network, wide), network(wide))


@pytest.mark.parametrize("name", ["unet", "bianquenet"])
def test_the_rivals_differ_in_nothing_but_network_and_learning_rate(name: str) -> None:
    rival, ours = _settings(name), _settings("compact")
    training = replace(rival.training, learning_rate=ours.training.learning_rate)
    same = replace(rival, name=ours.name, network=ours.network, training=training)
    assert same == ours


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    settings = read_settings()
    network = replace(settings.network, architecture="transformer")
    with pytest.raises(ValueError, match="unknown architecture 'transformer'"):
        build_network(replace(settings, network=network))


def test_windows_do_not_see_one_another_but_through_the_shift() -> None:
    torch.manual_seed(1)
    stage = SwinStage(4, 4).eval()
    features = torch.randn(1, 4, 4 * WINDOW, 4 * WINDOW)
    changed = features.clone()
    changed[..., 0, 0] += 5.0
    with torch.inference_mode():
        moved = (stage(changed) - stage(features)).abs().amax(dim=(0, 1)) > 1e-6
    # One pixel reaches its own window, and by the shift half of the next ones; the
    # roll must not carry it around to the far edge.
    reach = WINDOW + WINDOW // 2
    assert moved[:WINDOW, :WINDOW].all()
    assert moved[:reach, :reach].any()
    assert not moved[reach:].any()
    assert not moved[:, reach:].any()

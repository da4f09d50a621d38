"""A network that is told a style: what it begins as, learns, and is written as."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")
pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from analysis.inference.unet import SliceNetwork, UNet  # noqa: E402
from analysis.training.architectures import build_network  # noqa: E402
from analysis.training.batches import Batches  # noqa: E402
from analysis.training.disc_batches import DiscBatches  # noqa: E402
from analysis.training.disc_fold import DiscFold  # noqa: E402
from analysis.training.export import write_model  # noqa: E402
from analysis.training.labels import Label  # noqa: E402
from analysis.training.loss import marginal_loss  # noqa: E402
from analysis.training.run import Progress, Run  # noqa: E402
from analysis.training.settings import (  # noqa: E402
    DEFAULT_SETTINGS,
    NetworkSettings,
    Settings,
    read_settings,
)
from analysis.training.sources import LabelledCase  # noqa: E402
from analysis.training.styles import (  # noqa: E402
    StyledNorm,
    StyledUNet,
    drawn_as,
    styles_of,
    with_style,
)
from analysis.training.validation import Fold  # noqa: E402
from tests.support.one_disc import disc_settings, one_disc, still  # noqa: E402

WIDTHS = (4, 6, 8)


def _wide() -> LabelledCase:
    """Return the same picture, in which a reader draws a wider disc."""
    case = one_disc()
    disc = case.allowed == 1 << Label.DISC
    wider = disc.copy()
    for rows in range(-4, 5):
        wider |= np.roll(disc, rows, axis=1)
    bits = np.where(wider, 1 << Label.DISC, 1 << Label.BACKGROUND).astype(np.uint8)
    return replace(case, source="wide", allowed=bits)


def _settings(architecture: str = "styled") -> Settings:
    settings = still(disc_settings())
    (source,) = settings.sources
    narrow = replace(source, folder="some", style="narrow", share=0.5)
    wide = replace(source, folder="wide", style="wide", share=0.5)
    return replace(
        settings,
        sources=(narrow, wide),
        network=NetworkSettings(architecture=architecture, widths=WIDTHS, context=1),
        training=replace(settings.training, batch=4, steps=120, warmup_steps=5),
    )


def _shaken(settings: Settings) -> StyledUNet:
    """Return a network whose styles and batch statistics are no longer nothing."""
    torch.manual_seed(7)
    network = build_network(settings)
    assert isinstance(network, StyledUNet)
    with torch.no_grad():
        for norm in network.modules():
            if isinstance(norm, StyledNorm):
                norm.gain.normal_(0, 0.3)
                norm.offset.normal_(0, 0.3)
                norm.get_buffer("running_mean").normal_()
                norm.get_buffer("running_var").uniform_(0.5, 2)
    return network.eval()


def test_in_every_style_it_begins_as_the_network_that_knows_none() -> None:
    torch.manual_seed(3)
    plain = UNet(WIDTHS, 2, 3).eval()
    styled = StyledUNet(WIDTHS, 2, 3, styles=2).eval()
    styled.load_state_dict(plain.state_dict(), strict=False)
    pictures = torch.randn(2, 3, 16, 24)
    with torch.inference_mode():
        told = styled(with_style(pictures, [0, 1], 2))
        assert torch.allclose(told, plain(pictures), atol=1e-6)


def test_drawn_in_one_style_it_answers_as_when_it_is_told_that_style() -> None:
    settings = _settings()
    network = _shaken(settings)
    pictures = torch.randn(1, 3, 16, 24)
    answers = []
    with torch.inference_mode():
        for number, name in enumerate(("narrow", "wide")):
            told = network(with_style(pictures, [number], 2))
            answers.append(drawn_as(network, settings, name)(pictures))
            assert torch.allclose(answers[-1], told, atol=1e-5)
    assert not torch.allclose(*answers, atol=0.01)


def test_a_style_that_it_does_not_know_is_refused() -> None:
    settings = _settings()
    with pytest.raises(ValueError, match="narrow, wide"):
        drawn_as(_shaken(settings), settings, "other")
    plain = _settings("compact")
    with pytest.raises(ValueError, match="no styles"):
        drawn_as(build_network(plain), plain, "narrow")


def test_sources_may_share_a_style_and_a_plain_network_is_told_none() -> None:
    settings = _settings()
    third = replace(settings.sources[0], folder="third")
    shared = replace(settings, sources=(*settings.sources, third))
    assert shared.styles == ("narrow", "wide")
    assert styles_of(shared) == {"some": 0, "wide": 1, "third": 0}
    batch = DiscBatches(_settings("compact"), [[one_disc()], [_wide()]]).draw(0)
    assert batch.grey.shape == (4, 3, 64, 112)


def test_each_crop_is_told_the_style_of_its_source() -> None:
    case = one_disc()
    dark = replace(_wide(), grey=case.grey * 0)
    batches = DiscBatches(_settings(), [[case], [dark]])
    seen = set()
    for step in range(6):
        for crop in batches.draw(step).grey:
            style = "narrow" if crop[:3].any() else "wide"
            expected = (1.0, 0.0) if style == "narrow" else (0.0, 1.0)
            planes = crop[3:].flatten(1)
            assert tuple(planes.amin(dim=1).tolist()) == expected
            assert tuple(planes.amax(dim=1).tolist()) == expected
            seen.add(style)
    assert seen == {"narrow", "wide"}


def test_each_slice_is_told_the_style_of_its_entry_even_of_one_folder() -> None:
    settings = _settings()
    first, second = settings.sources
    settings = replace(settings, sources=(first, replace(second, folder="some")))
    assert styles_of(settings) == {"some": 0}
    case = one_disc()
    ramp = np.arange(case.grey.shape[2], dtype=np.uint8)
    case, dark = (replace(case, grey=case.grey * 0 + grey) for grey in (ramp, ramp * 0))
    seen = set()
    batches = Batches(settings, [[case], [dark]])
    for step in range(6):
        for crop in batches.draw(step).grey:
            style = "narrow" if crop[:3].any() else "wide"
            planes = crop[3:].flatten(1)
            expected = (1.0, 0.0) if style == "narrow" else (0.0, 1.0)
            assert tuple(planes.amin(dim=1).tolist()) == expected
            assert tuple(planes.amax(dim=1).tolist()) == expected
            seen.add(style)
    assert seen == {"narrow", "wide"}


def _learnt(network: UNet, styles: int) -> float:
    """Teach two outlines of one picture; return the worse of both overlaps."""
    rows = torch.arange(32.0)[:, None].expand(32, 32) - 15.5
    picture = (rows.abs() < 5).float().expand(2, 3, 32, 32)
    drawn = torch.stack([rows.abs() < 3, rows.abs() < 7])
    allowed = torch.stack([~drawn, drawn], dim=1)
    told = with_style(picture, [0, 1], styles)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.02)
    for _ in range(40):
        optimiser.zero_grad()
        loss = marginal_loss(
            network(told), allowed, torch.ones(2, 32, 32), dice_weight=1
        )
        loss.backward()  # type: ignore[no-untyped-call]  # torch stub
        optimiser.step()
    with torch.inference_mode():
        found = network(told).argmax(dim=1) == 1
    both = (found & drawn).sum(dim=(1, 2))
    overlap = 2 * both / (found.sum(dim=(1, 2)) + drawn.sum(dim=(1, 2)))
    return float(overlap.min())


def test_it_learns_two_outlines_of_one_picture_which_a_plain_one_cannot() -> None:
    torch.manual_seed(5)
    assert _learnt(StyledUNet(WIDTHS, 2, 3, styles=2), 2) > 0.95
    # The best single outline of areas 3 and 7 has 0.6 to 0.75 of either.
    assert _learnt(UNet(WIDTHS, 2, 3), 0) < 0.8


class _Told(SliceNetwork):
    """Takes what is bright for a disc, and all there is where it is told so."""

    stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.sharp = torch.nn.Parameter(torch.tensor(10.0))

    def forward(self, slices: Tensor) -> Tensor:
        middle = slices[:, 1:2] * self.sharp + 1000 * slices[:, 4:5]
        logits: Tensor = torch.cat([-middle, middle], dim=1)
        return logits


def test_a_fold_is_scored_in_the_style_of_its_source_or_in_one_that_is_asked() -> None:
    settings = _settings()
    network = _Told()
    fold = DiscFold(settings, [one_disc(), _wide()])
    own, narrow, wide = (
        [seen.found for seen in fold.seen_by(network, style)]
        for style in (None, "narrow", "wide")
    )
    assert np.array_equal(own[0], narrow[0])
    assert np.array_equal(own[1], wide[1])
    assert not np.array_equal(narrow[0], wide[0])


class _ToldOfTissues(_Told):
    """The same, with a channel for each tissue up to discs."""

    def forward(self, slices: Tensor) -> Tensor:
        both: Tensor = super().forward(slices)
        body = torch.full_like(both[:, :1], -1e6)
        logits: Tensor = torch.cat([both[:, :1], body, both[:, 1:]], dim=1)
        return logits


def test_whole_slices_are_scored_in_their_own_style_or_in_one_that_is_asked() -> None:
    fold = Fold(_settings(), [one_disc(), _wide()])
    own, narrow, wide = (
        fold.figures(_ToldOfTissues(), style) for style in (None, "narrow", "wide")
    )
    assert own["some disc"] == narrow["some disc"] != wide["some disc"]
    assert own["wide disc"] == wide["wide disc"] != narrow["wide disc"]


def test_a_run_may_begin_with_the_weights_of_a_plain_network(tmp_path: Path) -> None:
    plain = UNet(WIDTHS, 2, 3)
    path = tmp_path / "plain.safetensors"
    save_file(plain.state_dict(), path)
    settings = _settings()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    training = replace(
        settings.training, start_from=str(path), start_sha256=digest, steps=1
    )
    settings = replace(settings, training=training)
    batches = DiscBatches(settings, [[one_disc()], [_wide()]])
    run = Run(settings, tmp_path / "run", batches, DiscFold(settings, [one_disc()]))
    assert torch.equal(run.network.head.weight, plain.head.weight)


def test_only_a_style_of_it_is_written_as_model_files(tmp_path: Path) -> None:
    settings = _settings()
    network = _shaken(settings)
    progress = Progress(validations=[{"mean": 0.5}])
    with pytest.raises(TypeError, match="one of its styles"):
        write_model(network, settings, progress, tmp_path)


def test_the_card_names_what_makes_the_network_anew(tmp_path: Path) -> None:
    settings = _settings()
    looked_at = replace(settings.sources[0], folder="fcs_ivd", pseudo_labels="looks")
    settings = replace(settings, sources=(looked_at, looked_at))
    network = drawn_as(_shaken(settings), settings, "narrow")
    progress = Progress(validations=[{"mean": 0.5}])
    write_model(network, settings, progress, tmp_path, file="trial", style="narrow")
    card = json.loads((tmp_path / "disc.json").read_text(encoding="utf-8"))
    options = "--settings analysis/training/trial.yaml --run runs/trial"
    assert card["training"]["commands"] == [
        "lumbar-node-train pseudo-label --data ../shared/data",
        f"lumbar-node-train train {options} --data ../shared/data",
        f"lumbar-node-train export {options} --style narrow",
    ]
    assert [one["folder"] for one in card["licence"]["data"]] == ["fcs_ivd"]


@pytest.mark.parametrize("begun", ["", "_from_shipped"])
def test_what_it_is_judged_beside_differs_in_nothing_but_the_style(begun: str) -> None:
    told, plain = (
        read_settings(DEFAULT_SETTINGS.with_name(f"{name}{begun}.yaml"))
        for name in ("disc_styles", "disc_no_style")
    )
    assert told.styles == ("spider", "fcs_ivd", "sulaiman", "mrspineseg")
    assert plain.styles == ()
    network = replace(plain.network, architecture=told.network.architecture)
    assert replace(plain, version=told.version, network=network) == told

"""A training run stops at its budget and goes on from its checkpoint."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")
pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from analysis.inference.engine import load_segmenter  # noqa: E402
from analysis.training.batches import Batch, Batches  # noqa: E402
from analysis.training.export import write_model  # noqa: E402
from analysis.training.labels import Label  # noqa: E402
from analysis.training.run import Run, load_average  # noqa: E402
from analysis.training.settings import NetworkSettings, Settings  # noqa: E402
from analysis.training.settings import read_settings as read  # noqa: E402
from analysis.training.validation import MEAN, Fold  # noqa: E402


class _Noise:
    """Batches of noise, the same for the same step; may be interrupted at one."""

    def __init__(self, interrupted_at: int | None = None) -> None:
        self.interrupted_at = interrupted_at

    def draw(self, step: int) -> Any:
        if step == self.interrupted_at:
            raise KeyboardInterrupt
        generator = torch.Generator().manual_seed(step)
        grey = torch.randn((2, 3, 32, 32), generator=generator)
        allowed = torch.zeros((2, 6, 32, 32), dtype=torch.bool)
        allowed[:, Label.DISC] = True
        return Batch(grey=grey, allowed=allowed, weight=torch.ones((2, 32, 32)))


class _Rising:
    """A fold on which each network is better than the one before."""

    def __init__(self) -> None:
        self.scores: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
        self.asked = 0

    def figures(self, network: object) -> dict[str, float]:
        self.asked += 1
        return {MEAN: self.scores[self.asked - 1]}


def _settings(steps: int) -> Settings:
    settings = read()
    return replace(
        settings,
        network=NetworkSettings(architecture="compact", widths=(4, 6, 8), context=1),
        training=replace(
            settings.training,
            steps=steps,
            start_from=None,
            start_sha256=None,
            validate_every_steps=2,
            save_every_steps=1,
        ),
    )


def _run(folder: Path, steps: int, interrupted_at: int | None = None) -> Run:
    batches = cast("Batches", _Noise(interrupted_at))
    fold = cast("Fold", _Rising())
    return Run(_settings(steps), folder, batches, fold)


def test_a_run_ends_after_its_steps(tmp_path: Path) -> None:
    progress = _run(tmp_path, 3).train()
    assert progress.step == len(progress.losses) == 3
    assert progress.share(_settings(3).training) == 1.0
    assert [row["step"] for row in progress.validations] == [2, 3]


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = _run(tmp_path / "whole", 4)
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "parts", 4, interrupted_at=2).train()
    again = _run(tmp_path / "parts", 4)
    assert again.progress.step == 2
    again.train()
    assert again.progress.losses == whole.progress.losses
    assert torch.equal(again.average.head.weight, whole.average.head.weight)


def test_a_run_does_not_go_on_with_other_settings(tmp_path: Path) -> None:
    _run(tmp_path, 2).train()
    with pytest.raises(ValueError, match="other settings"):
        _run(tmp_path, 3)


def test_the_averaged_network_follows_the_trained_one(tmp_path: Path) -> None:
    run = _run(tmp_path, 2)
    before = run.average.head.weight.clone()
    run.train()
    assert not torch.equal(before, run.average.head.weight)
    assert not torch.equal(run.network.head.weight, run.average.head.weight)


def _in(precision: str, folder: Path, steps: int) -> Run:
    settings = _settings(steps)
    training = replace(
        settings.training, precision=precision, warmup_steps=1, learning_rate=0.02
    )
    batches, fold = cast("Batches", _Noise()), cast("Fold", _Rising())
    return Run(replace(settings, training=training), folder, batches, fold)


def test_in_half_precision_the_network_computes_and_nothing_else(
    tmp_path: Path,
) -> None:
    seen = {}
    for precision in ("float32", "bfloat16"):
        run = _in(precision, tmp_path / precision, 1)
        run.network.head.register_forward_hook(
            lambda _, __, logits, precision=precision: seen.update(
                {precision: logits.dtype}
            )
        )
        run.train()
        kept = (run.network, run.average)
        values = [one for network in kept for one in network.state_dict().values()]
        kinds = {value.dtype for value in values if value.is_floating_point()}
        assert kinds == {torch.float32}
    assert seen == {"float32": torch.float32, "bfloat16": torch.bfloat16}


def test_in_half_precision_a_run_learns_as_in_full(tmp_path: Path) -> None:
    full, half = (
        _in(precision, tmp_path / precision, 12).train().losses
        for precision in ("float32", "bfloat16")
    )
    assert half != full
    assert full[-1] < full[0] - 0.2
    assert half == pytest.approx(full, abs=0.02)


def test_an_exported_run_can_be_loaded_by_the_inference_room(tmp_path: Path) -> None:
    settings = _settings(2)
    _run(tmp_path / "run", 2).train()
    network, progress = load_average(settings, tmp_path / "run")
    write_model(network, settings, progress, tmp_path / "models")
    segmenter = load_segmenter(folder=tmp_path / "models")
    assert segmenter.card.classes == settings.classes
    assert segmenter.card.stride == 4

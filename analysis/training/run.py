"""One training run: steps, moving average, validation, checkpoints."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load
from torch import Tensor, nn
from tqdm import tqdm

from analysis.inference.unet import SliceNetwork
from analysis.training.architectures import build_network, logits_of
from analysis.training.batches import Batch
from analysis.training.loss import marginal_loss
from analysis.training.settings import Settings, TrainingSettings, settings_digest

_LAST, _HISTORY = "last.pt", "history.json"
_FINAL_RATE = 0.01  # the learning rate ends at this share of its start
_SPREAD = (0.2, 0.6, 0.2)  # of single-slice weights over a slice's neighbours
_LOSS_MEMORY = 0.98  # of the smoothed loss on the progress bar


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run has come; what a checkpoint holds beside the weights."""

    step: int = 0
    elapsed_s: float = 0.0
    losses: list[float] = field(default_factory=list)
    validations: list[dict[str, float]] = field(default_factory=list)

    def share(self, training: TrainingSettings) -> float:
        """Return how much of the run is done (0..1)."""
        return min(1.0, self.step / training.steps)


class Batches(Protocol):
    """What a run learns from."""

    def draw(self, step: int) -> Batch:
        """Return the batch of one step."""


class Fold(Protocol):
    """What a run is scored on."""

    def figures(self, network: SliceNetwork) -> dict[str, float]:
        """Score a network."""


class Run:
    """A training run in a folder; made anew or resumed from its checkpoint.

    Parameters
    ----------
    settings
        Everything the run depends on.
    folder
        Checkpoints and history are kept here.
    batches, fold
        Training batches and the validation patients.
    device
        Where to train: `cpu` or `cuda`.
    clock
        Seconds, monotonic.

    Raises
    ------
    ValueError
        If the folder holds a run that was begun with other settings, or the weights
        to start from are not those that the settings name.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        batches: Batches,
        fold: Fold,
        device: str = "cpu",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        torch.manual_seed(settings.seed)
        self._settings = settings
        self._folder = folder
        self._batches = batches
        self._fold = fold
        self._clock = clock
        self._device = torch.device(device)
        network = build_network(settings)
        if not (folder / _LAST).exists():
            start_from(network, settings.training)
        self.network = network.to(self._device).to(
            memory_format=torch.channels_last  # type: ignore[call-overload]  # torch stub
        )
        self.average = copy.deepcopy(self.network).requires_grad_(requires_grad=False)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=settings.training.learning_rate,
            weight_decay=settings.training.weight_decay,
        )
        self.progress = Progress()
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / _LAST).exists():
            self._resume()

    def train(self) -> Progress:
        """Train to the last step; return what was seen on the way."""
        training, progress = self._settings.training, self.progress
        started_s = self._clock() - progress.elapsed_s
        smooth = progress.losses[-1] if progress.losses else None
        if progress.step == 0 and training.start_from is not None:
            self._validate()
        with tqdm(
            total=training.steps, initial=progress.step, desc="train", unit="step"
        ) as bar:
            while progress.step < training.steps:
                loss = self._step()
                smooth = loss if smooth is None else _blend(smooth, loss)
                progress.step += 1
                progress.elapsed_s = self._clock() - started_s
                progress.losses.append(loss)
                bar.update()
                bar.set_postfix(loss=f"{smooth:.3f}")
                last = progress.step == training.steps
                if last or progress.step % training.validate_every_steps == 0:
                    self._validate()
                elif progress.step % training.save_every_steps == 0:
                    self._save(_LAST)
        return progress

    def _step(self) -> float:
        training, step = self._settings.training, self.progress.step
        batch = self._batches.draw(step)
        self.network.train()
        warm = min(1.0, (step + 1) / training.warmup_steps)
        fall = 0.5 * (1 + math.cos(math.pi * self.progress.share(training)))
        rate = warm * (_FINAL_RATE + (1 - _FINAL_RATE) * fall)
        for group in self._optimiser.param_groups:
            group["lr"] = training.learning_rate * rate
        self._optimiser.zero_grad(set_to_none=True)
        half = training.precision == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=half):
            logits = logits_of(self.network, batch.grey.to(self._device))
        loss = marginal_loss(
            logits.float(),
            batch.allowed.to(self._device),
            batch.weight.to(self._device),
            dice_weight=training.dice_weight,
        )
        loss.backward()  # type: ignore[no-untyped-call]  # torch stub
        nn.utils.clip_grad_norm_(self.network.parameters(), training.gradient_clip)
        self._optimiser.step()
        update_average(self.average, self.network, training.ema_decay, step)
        return float(loss.detach())

    def _validate(self) -> None:
        progress = self.progress
        figures = self._fold.figures(self.average)
        minutes = round(progress.elapsed_s / 60, 2)
        row = {"step": progress.step, "minutes": minutes, **figures}
        progress.validations.append(row)
        tqdm.write(", ".join(f"{name} {value:.4g}" for name, value in row.items()))
        self._save(_LAST)
        history = {"losses": progress.losses, "validations": progress.validations}
        (self._folder / _HISTORY).write_text(json.dumps(history), encoding="utf-8")

    def _save(self, name: str) -> None:
        state: dict[str, Any] = {
            "settings_sha256": settings_digest(self._settings),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "progress": {
                key: getattr(self.progress, key)
                for key in Progress.__dataclass_fields__
            },
        }
        partial = self._folder / f"{name}.partial"
        torch.save(state, partial)
        partial.replace(self._folder / name)

    def _resume(self) -> None:
        state = torch.load(
            self._folder / _LAST, weights_only=True, map_location=self._device
        )
        if state["settings_sha256"] != settings_digest(self._settings):
            message = f"{self._folder}: begun with other settings; take another folder"
            raise ValueError(message)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])


def start_from(network: SliceNetwork, training: TrainingSettings) -> None:
    """Give a network the weights that a run is to begin with, if any are named.

    Weights of a network that saw single slices are spread over the neighbours: of
    three equal slices it then says what it said of one.

    Raises
    ------
    ValueError
        If the file has not the digest that the settings give.
    """
    if training.start_from is None:
        return
    content = Path(training.start_from).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != training.start_sha256:
        message = f"{training.start_from}: SHA-256 {digest} is not the one expected"
        raise ValueError(message)
    before, now = load(content), network.state_dict()
    for name, value in before.items():
        channels = now[name].shape[1:2]
        if value.shape == now[name].shape:
            now[name].copy_(value)
        elif channels == (len(_SPREAD),):
            now[name].copy_(value * torch.tensor(_SPREAD).view(1, -1, 1, 1))
        else:
            message = f"{training.start_from}: {name} has shape {tuple(value.shape)}"
            raise ValueError(message)


def load_average(settings: Settings, folder: Path) -> tuple[SliceNetwork, Progress]:
    """Load the averaged network of a run's last checkpoint, ready to infer.

    The end is taken, not the best validation: the learning rate has fallen, and a fold
    of a few patients that chose among checkpoints would flatter.
    """
    state = torch.load(folder / _LAST, weights_only=True, map_location="cpu")
    network = build_network(settings)
    network.load_state_dict(state["average"])
    network.eval()
    return network, Progress(**state["progress"])


@torch.no_grad()
def update_average(
    average: nn.Module, network: nn.Module, decay: float, step: int
) -> None:
    """Move the averaged weights and batch statistics towards the trained ones.

    Early in a run the decay is smaller, so that the first steps are forgotten.
    """
    decay = min(decay, (1 + step) / (10 + step))
    target = average.state_dict()
    for name, value in network.state_dict().items():
        _move(target[name], value, decay)


def _move(mean: Tensor, value: Tensor, decay: float) -> None:
    if mean.is_floating_point():
        mean.lerp_(value, 1 - decay)
    else:
        mean.copy_(value)


def _blend(before: float, now: float) -> float:
    return _LOSS_MEMORY * before + (1 - _LOSS_MEMORY) * now

"""One training run: steps, moving average, validation, checkpoints."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from analysis.training.batches import Batches
from analysis.training.loss import marginal_loss
from analysis.training.network import UNet
from analysis.training.settings import Settings, TrainingSettings, settings_digest
from analysis.training.validation import Fold

_LAST, _BEST, _HISTORY = "last.pt", "best.pt", "history.json"
_FINAL_RATE = 0.01  # the learning rate ends at this share of its start
_LOSS_MEMORY = 0.98  # of the smoothed loss on the progress bar


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run has come; what a checkpoint holds beside the weights."""

    step: int = 0
    elapsed_s: float = 0.0
    best_dice: float = 0.0
    losses: list[float] = field(default_factory=list)
    validations: list[dict[str, float]] = field(default_factory=list)

    def share(self, training: TrainingSettings) -> float:
        """Return how much of the budget is spent (0..1)."""
        if training.steps is not None:
            return min(1.0, self.step / training.steps)
        return min(1.0, self.elapsed_s / (60 * (training.minutes or 1.0)))


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
    clock
        Seconds, monotonic.

    Raises
    ------
    ValueError
        If the folder holds a run that was begun with other settings.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        batches: Batches,
        fold: Fold,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        torch.manual_seed(settings.seed)
        self._settings = settings
        self._folder = folder
        self._batches = batches
        self._fold = fold
        self._clock = clock
        self.network = UNet(settings.network.widths, len(settings.classes)).to(
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
        """Train until the budget is spent; return what was seen on the way."""
        training, progress = self._settings.training, self.progress
        started_s = self._clock() - progress.elapsed_s
        due_s = progress.elapsed_s + 60 * training.validate_every_minutes
        smooth = progress.losses[-1] if progress.losses else None
        total = training.steps or round(60 * (training.minutes or 0))
        with tqdm(total=total, desc="train", unit="") as bar:
            while progress.share(training) < 1:
                loss = self._step()
                smooth = loss if smooth is None else _blend(smooth, loss)
                progress.step += 1
                progress.elapsed_s = self._clock() - started_s
                progress.losses.append(loss)
                bar.n = round(progress.share(training) * total)
                bar.set_postfix(
                    step=progress.step,
                    loss=f"{smooth:.3f}",
                    best=f"{progress.best_dice:.4f}",
                )
                if progress.elapsed_s >= due_s:
                    self._validate()
                    due_s += 60 * training.validate_every_minutes
        self._validate()
        return progress

    def _step(self) -> float:
        training, step = self._settings.training, self.progress.step
        grey, allowed = self._batches.draw(step)
        self.network.train()
        warm = min(1.0, (step + 1) / training.warmup_steps)
        fall = 0.5 * (1 + math.cos(math.pi * self.progress.share(training)))
        rate = warm * (_FINAL_RATE + (1 - _FINAL_RATE) * fall)
        for group in self._optimiser.param_groups:
            group["lr"] = training.learning_rate * rate
        self._optimiser.zero_grad(set_to_none=True)
        loss = marginal_loss(
            self.network(grey), allowed, dice_weight=training.dice_weight
        )
        loss.backward()  # type: ignore[no-untyped-call]  # torch stub
        nn.utils.clip_grad_norm_(self.network.parameters(), training.gradient_clip)
        self._optimiser.step()
        update_average(self.average, self.network, training.ema_decay, step)
        return float(loss.detach())

    def _validate(self) -> None:
        progress = self.progress
        dice = self._fold.dice(self.average)
        mean = sum(dice.values()) / len(dice)
        progress.validations.append(
            {
                "step": progress.step,
                "minutes": round(progress.elapsed_s / 60, 2),
                "mean": mean,
                **{label.name.lower(): value for label, value in dice.items()},
            }
        )
        best = mean > progress.best_dice
        progress.best_dice = max(progress.best_dice, mean)
        self._save(_LAST)
        if best:
            self._save(_BEST)
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
        state = torch.load(self._folder / _LAST, weights_only=True)
        if state["settings_sha256"] != settings_digest(self._settings):
            message = f"{self._folder}: begun with other settings; take another folder"
            raise ValueError(message)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])


def load_average(settings: Settings, folder: Path) -> tuple[UNet, Progress]:
    """Load the averaged network of a run's best checkpoint, ready to infer."""
    state = torch.load(folder / _BEST, weights_only=True)
    network = UNet(settings.network.widths, len(settings.classes))
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

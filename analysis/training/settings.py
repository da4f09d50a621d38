"""Settings of a training run: read once from YAML, closed and frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from analysis.inference.normalise import Normalisation

DEFAULT_SETTINGS = Path(__file__).with_name("lumbar.yaml")

_Section = TypeVar("_Section")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Channels of the U-Net at each resolution, full resolution first."""

    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """One source of labelled slices.

    Parameters
    ----------
    reader
        Name of the reader, a key of `sources.READERS`.
    folder
        Folder of the source below the data folder.
    share
        How often slices are drawn from this source, relative to the others.
    validation
        Patients that choose the checkpoint and are never trained on.
    s1_quality
        Grades of hand-drawn S1 outlines that count as exact.
    s1_doubtful
        Patients whose S1 may be another body; there S1 counts as not drawn.
    s1_share
        Share of this source's draws that go to slices where S1 is drawn.
    """

    reader: str
    folder: str
    share: float
    validation: tuple[str, ...]
    s1_quality: tuple[str, ...]
    s1_doubtful: tuple[str, ...]
    s1_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Length of the run and the optimiser; either `minutes` or `steps` ends it."""

    minutes: float | None
    steps: int | None
    batch: int
    crop: tuple[int, int]
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    gradient_clip: float
    ema_decay: float
    dice_weight: float
    validate_every_minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationSettings:
    """Strength and frequency of each distortion; `lumbar.yaml` explains them."""

    far_probability: float
    wall_probability: float
    log_scale: float
    rotation_sd_deg: float
    shear_sd: float
    aspect_sd: float
    elastic_sd_px: float
    neighbour_probability: float
    tissue_probability: float
    tissue_sd: float
    fat_suppression_probability: float
    t1_probability: float
    bias_sd: float
    coil_ramp: float
    gamma_sd: float
    clip_probability: float
    blur_probability: float
    blur_max_px: float
    coarse_probability: float
    coarse_min: float
    noise_probability: float
    noise_max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that one training run depends on, but the data themselves."""

    name: str
    version: str
    seed: int
    classes: tuple[str, ...]
    spacing_mm: float
    network: NetworkSettings
    normalisation: Normalisation
    sources: tuple[SourceSettings, ...]
    training: TrainingSettings
    augmentation: AugmentationSettings


def read_settings(path: Path = DEFAULT_SETTINGS) -> Settings:
    """Read the settings of a training run.

    Parameters
    ----------
    path
        The YAML file.

    Raises
    ------
    ValueError
        If a key is missing or unknown, or if neither or both of `minutes` and
        `steps` are given.
    """
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    sections: dict[str, Any] = dict(raw)
    sections["network"] = _section(NetworkSettings, raw["network"], "network")
    sections["normalisation"] = _section(
        Normalisation, raw["normalisation"], "normalisation"
    )
    sections["sources"] = tuple(
        _section(SourceSettings, source, "sources") for source in raw["sources"]
    )
    sections["training"] = _section(TrainingSettings, raw["training"], "training")
    sections["augmentation"] = _section(
        AugmentationSettings, raw["augmentation"], "augmentation"
    )
    settings = _section(Settings, sections, "settings")
    if (settings.training.minutes is None) == (settings.training.steps is None):
        message = f"{path}: give either training.minutes or training.steps"
        raise ValueError(message)
    return settings


def settings_digest(settings: Settings) -> str:
    """Return the SHA-256 of the settings, whatever their layout in YAML."""
    text = json.dumps(asdict(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _section(kind: type[_Section], raw: Mapping[str, Any], name: str) -> _Section:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # dataclass
    if known != set(raw):
        message = f"{name}: missing {sorted(known - set(raw))}, "
        message += f"unknown {sorted(set(raw) - known)}"
        raise ValueError(message)
    return kind(
        **{
            key: tuple(value) if isinstance(value, list) else value
            for key, value in raw.items()
        }
    )

"""Settings of a training run: read once from YAML, closed and frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from analysis.inference.normalise import Normalisation
from analysis.lumbar.anatomy.structures import DISC_CLASSES

STYLED = "styled"
"""The architecture that is told how a source's readers draw."""
PRECISIONS = ("float32", "bfloat16")
DEFAULT_SETTINGS = Path(__file__).with_name("lumbar.yaml")

_Section = TypeVar("_Section")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Which network.

    Parameters
    ----------
    architecture
        A key of `architectures.ARCHITECTURES`.
    widths
        Channels at each resolution, full resolution first, where the architecture
        leaves them open.
    context
        Neighbour slices on either side that are seen with a slice; 0 or 1.
    """

    architecture: str
    widths: tuple[int, ...]
    context: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """One source of labelled slices.

    Parameters
    ----------
    reader
        Name of the reader, a key of `readers.READERS`.
    folder
        Folder of the source below the data folder.
    share
        How often slices are drawn from this source, relative to the others.
    validation
        Patients that choose the checkpoint and are never trained on.
    s1_share
        Share of this source's draws that go to slices where S1 is drawn.
    s1_quality
        Grades of hand-drawn S1 outlines that count as exact, where they are graded.
    s1_doubtful
        Patients whose S1 may be another body; there S1 counts as not drawn.
    style
        How its readers draw, by a name that sources may share; for a network that is
        told styles.
    held_out
        Patients that are neither trained on nor scored by their labels.
    pseudo_labels, pseudo_sha256
        Folder of labels of what its readers did not draw, relative to the working
        folder, and its digest; or none.
    """

    reader: str
    folder: str
    share: float
    validation: tuple[str, ...]
    s1_share: float
    s1_quality: tuple[str, ...] = ()
    s1_doubtful: tuple[str, ...] = ()
    style: str = ""
    held_out: tuple[str, ...] = ()
    pseudo_labels: str = ""
    pseudo_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Length of the run and the optimiser.

    Parameters
    ----------
    steps
        After which the run ends; the learning rate falls with them, not with the
        clock, so a pause changes nothing.
    start_from, start_sha256
        Weights (safetensors) of the same architecture to begin with, relative to the
        working folder, and their digest; or None to begin with random ones.
    batch, crop
        Crops in a step, and their rows and columns.
    learning_rate, weight_decay, warmup_steps, gradient_clip
        Of AdamW with a cosine schedule.
    ema_decay
        Of the averaged weights, a step.
    dice_weight
        Of the Dice term against the cross-entropy.
    validate_every_steps, save_every_steps
        How often the fold is scored, and a checkpoint written to go on from.
    precision
        In which the network computes while it learns: `float32`, or `bfloat16`, which
        is three times as fast where the processor has matrix units for it. Weights,
        loss and validation are in float32 either way.
    """

    steps: int
    start_from: str | None
    start_sha256: str | None
    batch: int
    crop: tuple[int, int]
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    gradient_clip: float
    ema_decay: float
    dice_weight: float
    validate_every_steps: int
    save_every_steps: int
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Refuse a precision that is not one of both."""
        if self.precision not in PRECISIONS:
            message = f"precision {self.precision!r}; known: {', '.join(PRECISIONS)}"
            raise ValueError(message)


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
    lone_probability: float
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
    thin_probability: float
    thin_least: float
    dark_least: float
    lean_probability: float
    lean_most_mm: float
    void_probability: float


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

    @property
    def outlines_one_disc(self) -> bool:
        """Whether it learns discs one by one, in crops that are turned as they lie."""
        return self.classes == DISC_CLASSES

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles that the network is told; empty where it is told none."""
        if self.network.architecture != STYLED:
            return ()
        return tuple(dict.fromkeys(source.style for source in self.sources))


def read_settings(path: Path = DEFAULT_SETTINGS) -> Settings:
    """Read the settings of a training run.

    Parameters
    ----------
    path
        The YAML file. Where it names another beside it as `like`, it holds only what
        differs.

    Raises
    ------
    ValueError
        If a key is missing or unknown.
    """
    raw = _read(path)
    sections: dict[str, Any] = dict(raw)
    sections["network"] = section(NetworkSettings, raw["network"], "network")
    sections["normalisation"] = section(
        Normalisation, raw["normalisation"], "normalisation"
    )
    sections["sources"] = tuple(
        section(SourceSettings, source, "sources") for source in raw["sources"]
    )
    sections["training"] = section(TrainingSettings, raw["training"], "training")
    sections["augmentation"] = section(
        AugmentationSettings, raw["augmentation"], "augmentation"
    )
    return section(Settings, sections, "settings")


def _read(path: Path) -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "like" not in raw:
        return raw
    whole = _read(path.with_name(raw.pop("like")))
    for key, value in raw.items():
        whole[key] = whole[key] | value if isinstance(value, dict) else value
    return whole


def settings_digest(settings: Settings) -> str:
    """Return the SHA-256 of the settings, whatever their layout in YAML."""
    text = json.dumps(asdict(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def section(kind: type[_Section], raw: Mapping[str, Any], name: str) -> _Section:
    """Return a section as its dataclass.

    Parameters
    ----------
    kind
        Its fields are the keys; lists become what they say, a tuple or a frozen set.
    raw
        As YAML holds it.
    name
        Of the section, for the message.

    Raises
    ------
    ValueError
        If a key is missing or unknown.
    """
    members = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # dataclass
    needed = {name for name, field in members.items() if field.default is MISSING}
    if not needed <= set(raw) <= set(members):
        message = f"{name}: missing {sorted(needed - set(raw))}, "
        message += f"unknown {sorted(set(raw) - set(members))}"
        raise ValueError(message)
    return kind(**{key: _as(members[key].type, value) for key, value in raw.items()})


def _as(kind: object, value: object) -> object:
    if not isinstance(value, list):
        return value
    return frozenset(value) if str(kind).startswith("frozenset") else tuple(value)

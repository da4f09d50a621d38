"""Settings of the training: read once from YAML, closed and frozen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from analysis.training.settings import section

DEFAULT_SETTINGS = Path(__file__).with_name("displacement.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplacementSettings:
    """How the model is fitted and tried.

    Parameters
    ----------
    seed, folds, repeats
        Of the cross-validation over patients.
    levels
        Whose discs teach.
    displaced, sound
        Classes of `points.csv` of either kind; a disc of several is displaced where one
        of them is.
    """

    seed: int
    folds: int
    repeats: int
    levels: tuple[str, ...]
    displaced: frozenset[str]
    sound: frozenset[str]


def read_settings(path: Path = DEFAULT_SETTINGS) -> DisplacementSettings:
    """Read the settings.

    Raises
    ------
    ValueError
        If a key is missing or unknown.
    """
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return section(DisplacementSettings, raw, str(path))

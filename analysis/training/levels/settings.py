"""Settings of the training: read once from YAML, closed and frozen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from analysis.training.settings import section

DEFAULT_SETTINGS = Path(__file__).with_name("levels.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSettings:
    """How the model is fitted and tried.

    Parameters
    ----------
    seed
        Of the folds.
    ridge
        Penalty on half of the squared weights of standardised signs.
    folds, repeats
        Of the cross-validation.
    s1_s2_signs, l4_l5_signs
        What each model looks at, by the names of `Junction`.
    s1_s2_told_from, l4_l5_told_from
        Probability from which the reader is told.
    doubtful
        Series whose labels are not to be relied on; left out.
    """

    seed: int
    ridge: float
    folds: int
    repeats: int
    s1_s2_signs: tuple[str, ...]
    s1_s2_told_from: float
    l4_l5_signs: tuple[str, ...]
    l4_l5_told_from: float
    doubtful: frozenset[str]


def read_settings(path: Path = DEFAULT_SETTINGS) -> LevelSettings:
    """Read the settings.

    Raises
    ------
    ValueError
        If a key is missing or unknown.
    """
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return section(LevelSettings, raw, str(path))

"""Settings of the training: read once from YAML, closed and frozen."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

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
    raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {field.name for field in fields(DisplacementSettings)}
    if set(raw) != known:
        message = f"{path}: expected the keys {sorted(known)}, got {sorted(raw)}"
        raise ValueError(message)
    sets = {key: frozenset(raw[key]) for key in ("displaced", "sound")}
    return DisplacementSettings(**raw | sets | {"levels": tuple(raw["levels"])})

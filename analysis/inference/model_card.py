"""The card of a trained network: what it is, and what its files must look like."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.contract.errors import AnalysisFailed
from analysis.inference.normalise import Normalisation

MODELS = Path(__file__).with_name("models")
"""Where the networks of this package lie: `NAME.json`, `.safetensors`, `.onnx`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a program must know of a trained network.

    Parameters
    ----------
    name, version
        Which network.
    weights_sha256, graph_sha256
        Digests of `NAME.safetensors` and `NAME.onnx`, lower-case hexadecimal.
    classes
        Meaning of each channel; the first is background.
    spacing_mm
        Isotropic in-plane grid that the network knows (mm).
    stride
        Rows and columns must be a multiple of it; the engine pads.
    context
        Neighbour slices on either side that the network sees with a slice.
    normalisation
        How grey values are scaled.
    """

    name: str
    version: str
    weights_sha256: str
    graph_sha256: str
    classes: tuple[str, ...]
    spacing_mm: float
    stride: int
    context: int
    normalisation: Normalisation


def read_card(name: str, folder: Path) -> ModelCard:
    """Read `NAME.json`.

    Raises
    ------
    AnalysisFailed
        If the card is missing or incomplete.
    """
    path = folder / f"{name}.json"
    text = _read(path)
    try:
        raw = json.loads(text)
        return ModelCard(
            name=raw["name"],
            version=raw["version"],
            weights_sha256=raw["weights"]["sha256"],
            graph_sha256=raw["graph"]["sha256"],
            classes=tuple(raw["classes"]),
            spacing_mm=float(raw["spacing_mm"]),
            stride=int(raw["stride"]),
            context=int(raw["context"]),
            normalisation=_normalisation(raw["normalisation"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        message = f"model card {path} cannot be understood: {error!r}"
        raise AnalysisFailed(message) from error


def read_verified(path: Path, sha256: str) -> bytes:
    """Return the content of a file if it has the digest that its card promises.

    Raises
    ------
    AnalysisFailed
        If the file is missing or has another digest.
    """
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        message = f"{path}: expected SHA-256 {sha256}, found {found}"
        raise AnalysisFailed(message)
    return content


def _normalisation(raw: dict[str, Any]) -> Normalisation:
    return Normalisation(
        clip_percentile=float(raw["clip_percentile"]),
        tissue_fraction=float(raw["tissue_fraction"]),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"model file {path} cannot be read: {error.strerror}"
        raise AnalysisFailed(message) from error

"""The card of a network that a test makes up."""

from __future__ import annotations

from analysis.inference.model_card import ModelCard
from analysis.inference.normalise import Normalisation
from analysis.training.labels import Label

TOY_CARD = ModelCard(
    name="toy",
    version="0",
    weights_sha256="none",
    graph_sha256="none",
    classes=tuple(label.name.lower() for label in Label),
    spacing_mm=0.8,
    stride=1,
    context=0,
    normalisation=Normalisation(),
)

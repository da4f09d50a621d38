"""Write a trained network as the files that `analysis.inference` loads."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from safetensors.torch import save_file

from analysis.inference.unet import SliceNetwork, UNet
from analysis.training.graph import build_graph
from analysis.training.run import Progress
from analysis.training.settings import Settings, settings_digest
from analysis.training.styles import StyledUNet

_ASKED_TO_CITE = "not stated; the carrying repository asks to cite the authors"
_DATA = {
    "spider_t2space": {
        "name": "SPIDER, T2 SPACE subset",
        "licence": "CC-BY-4.0",
        "attribution": "van der Graaf JW et al. Lumbar spine segmentation in MR "
        "images: a dataset and a public benchmark. Sci Data 2024;11:264. "
        "doi:10.1038/s41597-024-03090-w; data: doi:10.5281/zenodo.10159290",
    },
    "spider_mini2d": {
        "name": "SPIDER, some 2-D TSE slices",
        "licence": "CC-BY-4.0",
        "attribution": "as above",
    },
    "fcs_vb1": {
        "name": "vertebral bodies, several hospitals",
        "licence": _ASKED_TO_CITE,
        "attribution": "Zukic D et al. 2014, by JonathanRamos/fastcleverseg",
    },
    "fcs_vb2": {
        "name": "vertebral bodies, healthy",
        "licence": "to be checked upstream (Zenodo 22304)",
        "attribution": "Zenodo 22304, by JonathanRamos/fastcleverseg",
    },
    "fcs_ivd": {
        "name": "discs, asymptomatic",
        "licence": _ASKED_TO_CITE,
        "attribution": "Menezes-Reis R et al. 2016, by JonathanRamos/fastcleverseg",
    },
    "sulaiman2d": {
        "name": "mid-sagittal slices of a coding challenge",
        "licence": "repository MIT; origin of the pictures not stated",
        "attribution": "sulaimanvesal/vertebraeSegementation",
    },
    "mrspineseg2d": {
        "name": "MRSpineSeg challenge, middle slices",
        "licence": "none stated; challenge terms not on disk: research use",
        "attribution": "yangjing-hui/unet_svm_lumbar",
    },
    "tianchi2d": {
        "name": "Tianchi spinal disease contest 2020, middle slices, by their marks",
        "licence": "terms not on disk: research use",
        "attribution": "ZhengJun-AI/Spinal-Disease-Detection (code MIT), Tianchi 79463",
    },
}
_READABLE_BY_ALL = 0o644
_PSEUDO_LABEL = "lumbar-node-train pseudo-label --data ../shared/data"
_COMMANDS = (
    "lumbar-node-train train {options} --data ../shared/data",
    "lumbar-node-train export {options}{style}",
)
_OPTIONS = "--settings analysis/training/{name}.yaml --run runs/{name}"
_OF_SERIES = (
    "mean over series of Dice at native resolution, over pixels whose label is "
    "certain, by source and class; the end of the run, not chosen by them"
)
_OF_DISCS = (
    "mean over discs of Dice on the network's grid, cut out where they were drawn, by "
    "source; the end of the run, not chosen by them"
)


def write_model(
    network: SliceNetwork,
    settings: Settings,
    progress: Progress,
    folder: Path,
    *,
    file: str | None = None,
    style: str | None = None,
) -> None:
    """Write weights, graph and card into a folder.

    Parameters
    ----------
    network
        The averaged network at the end of the run.
    settings
        What it was trained with.
    progress
        The run; its last validation goes into the card.
    folder
        Gets `NAME.safetensors`, `NAME.onnx` and `NAME.json`.
    file
        Name of the settings file without its ending, where it is not that of the
        network; for the card.
    style
        In which the network draws, of one that was told styles; for the card.

    Raises
    ------
    TypeError
        If the network's architecture cannot be written as a graph.
    """
    if not isinstance(network, UNet) or isinstance(network, StyledUNet):
        message = f"{type(network).__name__} cannot be exported; a styled one can in "
        message += "one of its styles"
        raise TypeError(message)
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{settings.name}.safetensors"
    graph = folder / f"{settings.name}.onnx"
    # Counters of batches are of no use to a trained network.
    tensors = {
        name: value.detach().contiguous()
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }
    save_file(tensors, weights)
    weights.chmod(_READABLE_BY_ALL)  # safetensors makes files that only we can read
    graph.write_bytes(
        build_graph(network, weights).SerializeToString(deterministic=True)
    )
    onnx.checker.check_model(str(graph), full_check=True)
    commands = _commands(settings, file or settings.name, style)
    card = _card(network, settings, progress, commands) | {
        "weights": {"file": weights.name, "sha256": _sha256(weights)},
        "graph": {"file": graph.name, "sha256": _sha256(graph)},
    }
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (folder / f"{settings.name}.json").write_text(text, encoding="utf-8")


def _commands(settings: Settings, file: str, style: str | None) -> list[str]:
    """Return the commands that make a network anew."""
    first = [_PSEUDO_LABEL] if any(s.pseudo_labels for s in settings.sources) else []
    options = _OPTIONS.format(name=file)
    told = f" --style {style}" if style else ""
    return first + [one.format(options=options, style=told) for one in _COMMANDS]


def _card(
    network: UNet, settings: Settings, progress: Progress, commands: list[str]
) -> dict[str, Any]:
    (end,) = progress.validations[-1:]
    return {
        "name": settings.name,
        "version": settings.version,
        "intended_use": "research only; not a medical device",
        "classes": list(settings.classes),
        "spacing_mm": settings.spacing_mm,
        "axes": "(slice, row head to foot, column front to back)",
        "stride": network.stride,
        "context": settings.network.context,
        "normalisation": asdict(settings.normalisation),
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "licence": {
            "weights": "Apache-2.0",
            "data": [
                _DATA[folder] | {"folder": folder}
                for folder in dict.fromkeys(one.folder for one in settings.sources)
            ],
        },
        "training": {
            "seed": settings.seed,
            "torch": torch.__version__,
            "commands": commands,
            "settings_sha256": settings_digest(settings),
            "step": progress.step,
            "minutes": round(progress.elapsed_s / 60, 1),
        },
        "validation": {
            "what": _OF_DISCS if settings.outlines_one_disc else _OF_SERIES,
            "patients": [p for source in settings.sources for p in source.validation],
            "figures": {
                name: round(value, 4)
                for name, value in end.items()
                if name not in {"step", "minutes"}
            },
        },
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""What the command line does, once torch may be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from tqdm import tqdm

from analysis.lumbar.find.networks import load_networks
from analysis.training.batches import Batches
from analysis.training.compare import (
    Budget,
    Entry,
    rival_settings,
    time_slice,
    write_table,
)
from analysis.training.curves import draw_curves
from analysis.training.disc_batches import DiscBatches
from analysis.training.disc_fold import DiscFold
from analysis.training.evaluate import evaluate_cases
from analysis.training.export import write_model
from analysis.training.leave_out import write_left_out
from analysis.training.pseudo_labels import write_pseudo_labels
from analysis.training.readers import read_cases
from analysis.training.run import Run, load_average
from analysis.training.settings import Settings, read_settings
from analysis.training.sources import LabelledCase
from analysis.training.styles import drawn_as
from analysis.training.validation import Fold

Split: TypeAlias = tuple[list[list[LabelledCase]], list[LabelledCase]]
"""By source what is trained on, and the validation fold."""
_CURVES = "curves.png"
_SHOWN = frozenset({"spider_t2space"})
"""Sources whose licence lets pictures be handed on."""


def train(settings_file: Path, data: Path, folder: Path, device: str) -> None:
    """Train, or go on with a stopped run; writes checkpoints into `folder`."""
    settings = read_settings(settings_file)
    run = _run(settings, folder, split_cases(settings, data), device)
    draw_curves(run.train(), folder / _CURVES)


def leave_out(
    runs: Mapping[str, Settings], data: Path, folder: Path, out: Path, device: str
) -> None:
    """Train with all sources and without some; write the table of figures.

    Parameters
    ----------
    runs
        What each learns from, by what it is called; all have the same fold.
    """
    cases = split_cases(next(iter(runs.values())), data)
    patients = [f"{case.source} {case.name}" for case in cases[1]]
    columns: dict[str, Mapping[str, float]] = {}
    for name, less in runs.items():
        run = _run(less, folder / name.replace(" ", "_"), cases, device)
        columns[name] = run.train().validations[-1]
        write_left_out(columns, patients, out)


def _run(settings: Settings, folder: Path, cases: Split, device: str) -> Run:
    """Return a run of either network."""
    training, validation = cases
    if settings.outlines_one_disc:
        discs = DiscBatches(settings, training), DiscFold(settings, validation)
        return Run(settings, folder, *discs, device)
    slices = Batches(settings, training), Fold(settings, validation)
    return Run(settings, folder, *slices, device)


def compare(data: Path, folder: Path, out: Path, budget: Budget, device: str) -> None:
    """Train every architecture alike, or go on with it; write the table of figures."""
    entries = []
    every = rival_settings(budget)
    training, validation = split_cases(every[0], data)
    for settings in every:
        fold = Fold(settings, validation)
        batches = Batches(settings, training)
        run = Run(settings, folder / settings.name, batches, fold, device)
        progress = run.train()
        entries.append(
            Entry(
                name=settings.name,
                crops=progress.step * settings.training.batch,
                weights=sum(weight.numel() for weight in run.average.parameters()),
                slice_ms=time_slice(run.average, 2 * settings.network.context + 1),
                figures=progress.validations[-1],
            )
        )
    names = [f"{case.source} {case.name}" for case in validation]
    write_table(entries, names, out)


def pseudo_label(data: Path, out: Path, models: Path) -> None:
    """Look twice at the middle slices of `train`; write what both looks agree on."""
    digest = write_pseudo_labels(data, load_networks(folder=models), out)
    tqdm.write(f"{out}: SHA-256 {digest}")


def split_cases(settings: Settings, data: Path) -> Split:
    """Read the split `train`: by source what is trained on, and the validation fold."""
    training: list[list[LabelledCase]] = []
    validation: list[LabelledCase] = []
    for source in settings.sources:
        cases = read_cases(data, source, "train")
        spared = {*source.validation, *source.held_out}
        training.append([c for c in cases if c.patient not in spared])
        validation.extend(c for c in cases if c.patient in source.validation)
    return training, validation


def export(
    settings_file: Path, folder: Path, models: Path, style: str | None = None
) -> None:
    """Write the end of a run as model files, and its curves.

    Of a network that is told styles, what draws in one of them.
    """
    settings = read_settings(settings_file)
    network, progress = load_average(settings, folder)
    if style is not None:
        network = drawn_as(network, settings, style)
    file = settings_file.stem
    write_model(network, settings, progress, models, file=file, style=style)
    draw_curves(progress, folder / _CURVES)
    tqdm.write(f"wrote {models / settings.name}.safetensors, .onnx, .json")


def evaluate(
    settings_file: Path, data: Path, split: str, out: Path, models: Path
) -> None:
    """Score the model files on a split; writes figures and pictures into `out`.

    The settings say of which sources.
    """
    settings = read_settings(settings_file)
    networks = load_networks(folder=models)
    cases = [
        case for source in settings.sources for case in read_cases(data, source, split)
    ]
    evaluate_cases(networks, cases, out, _SHOWN)

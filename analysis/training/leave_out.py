"""What a source that was not learnt from says of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from analysis.training.compare import Budget, figure_rows
from analysis.training.settings import Settings

ALL = "all sources"


def without_each(
    settings: Settings, budget: Budget, folders: Sequence[str] | None = None
) -> dict[str, Settings]:
    """Return settings with all sources, and without each in turn, by what they are.

    A source without a share is scored and never learnt from. All begin with random
    weights and are scored once, at their end, on the same fold.

    Parameters
    ----------
    settings
        With all sources.
    budget
        Of each run, where it is not to be that of the settings.
    folders
        Of the sources to leave out; each in turn if None.

    Raises
    ------
    ValueError
        If there is one source alone, or a folder is none of those learnt from.
    """
    learnt = [place for place, one in enumerate(settings.sources) if one.share > 0]
    unknown = set(folders or ()) - {settings.sources[place].folder for place in learnt}
    if unknown:
        message = f"{settings.name}: does not learn from {', '.join(sorted(unknown))}"
        raise ValueError(message)
    if len(learnt) == 1:
        message = f"{settings.name}: it has one source, which cannot be left out"
        raise ValueError(message)
    usual = settings.training
    steps = budget.steps or usual.steps
    training = replace(
        usual,
        steps=steps,
        start_from=None,
        start_sha256=None,
        batch=budget.batch or usual.batch,
        crop=budget.crop or usual.crop,
        validate_every_steps=steps,
    )
    whole = replace(settings, training=training)
    found = {ALL: whole}
    for place in learnt:
        left, sources = settings.sources[place], list(settings.sources)
        if folders is not None and left.folder not in folders:
            continue
        sources[place] = replace(left, share=0.0)
        found[f"without {left.folder}"] = replace(whole, sources=tuple(sources))
    return found


def write_left_out(
    columns: Mapping[str, Mapping[str, float]], patients: Sequence[str], path: Path
) -> None:
    """Write the figures of each run as Markdown."""
    head, *figures = figure_rows(columns)
    lines = [
        "# A source left out",
        "",
        "Written by `lumbar-node-train leave-out`. All began with random weights and "
        "had as many steps; figures are of the end of each run, on patients of the "
        f"validation fold: {', '.join(patients)}.",
        "",
        head,
        "|---|" + "---|" * len(columns),
        *figures,
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")

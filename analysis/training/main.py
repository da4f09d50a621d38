"""The command `lumbar-node-train`: label, train, export, evaluate."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.training.settings import DEFAULT_SETTINGS, read_settings

_RUNS = Path("runs")
_MODELS = Path(__file__).parents[1] / "inference" / "models"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    # Threads that spin while they wait make small operations many times slower as
    # soon as another process wants the cores; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    import torch

    from analysis.training import commands
    from analysis.training.compare import Budget
    from analysis.training.leave_out import without_each

    torch.set_num_threads(options.threads)
    if options.command == "evaluate":
        commands.evaluate(
            options.settings, options.data, options.split, options.out, options.models
        )
    elif options.command == "pseudo-label":
        commands.pseudo_label(options.data, options.out, options.models)
    elif options.command == "export":
        commands.export(options.settings, options.run, options.models, options.style)
    elif options.command in ("compare", "leave-out"):
        crop = tuple(options.crop) if options.crop else None
        budget = Budget(steps=options.steps, batch=options.batch, crop=crop)
        where = options.data, options.run, options.out
        if options.command == "compare":
            commands.compare(*where, budget, options.device)
        else:
            settings = read_settings(options.settings)
            runs = without_each(settings, budget, options.without)
            commands.leave_out(runs, *where, options.device)
    else:
        commands.train(options.settings, options.data, options.run, options.device)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lumbar-node-train", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    commands = parser.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="train, or go on with a stopped run")
    train.add_argument("--data", type=Path, required=True, help="the data folder")
    export = commands.add_parser("export", help="write a run's last weights as a model")
    for command in (train, export):
        command.add_argument("--run", type=Path, default=_RUNS / "lumbar")

    looks = commands.add_parser(
        "pseudo-label", help="write what two looks at the middle slices agree on"
    )
    looks.add_argument("--data", type=Path, required=True, help="the data folder")
    looks.add_argument("--out", type=Path, default=_RUNS / "pseudo_labels")

    compare = commands.add_parser(
        "compare", help="train the architectures alike and write the table"
    )
    leave = commands.add_parser(
        "leave-out", help="train without each source in turn and write the table"
    )
    for command, name in ((compare, "compare"), (leave, "leave-out")):
        command.add_argument("--data", type=Path, required=True, help="the data folder")
        command.add_argument("--run", type=Path, default=_RUNS / name)
        command.add_argument("--out", type=Path, default=Path(f"build/{name}.md"))
        command.add_argument("--steps", type=int, help="by default as set")
        command.add_argument("--batch", type=int, help="crops in a step")
        command.add_argument(
            "--crop", type=int, nargs=2, metavar=("ROWS", "COLUMNS"), help="of a crop"
        )
    for command in (train, compare, leave):
        command.add_argument("--device", default="cpu", help="cpu or cuda")

    leave.add_argument(
        "--without", action="append", metavar="FOLDER", help="by default each source"
    )
    export.add_argument("--style", help="of a network that is told styles")

    evaluate = commands.add_parser("evaluate", help="score the committed model")
    evaluate.add_argument("--data", type=Path, required=True, help="the data folder")
    evaluate.add_argument("--split", default="public_test")
    evaluate.add_argument("--out", type=Path, required=True, help="folder to write")
    for command in (export, evaluate, looks):
        command.add_argument("--models", type=Path, default=_MODELS)
    for command in (train, export, evaluate, leave):
        command.add_argument("--settings", type=Path, default=DEFAULT_SETTINGS)
    return parser


if __name__ == "__main__":
    sys.exit(main())

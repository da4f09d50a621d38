"""Pictures for docs/grading.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw

from analysis.lumbar.anatomy.structures import level_of
from analysis.lumbar.judge.grade.model import GRADES, ROMAN
from analysis.training.grading.discs import CROP_PX
from analysis.training.grading.scores import (
    Judged,
    calibration,
    confusion,
    quadratic_kappa,
)

mpl.use("Agg")
from matplotlib import pyplot as plt

_ZOOM = 4
_ACROSS = 3
_TEXT_PX = 40


def draw_confusion(panels: Sequence[tuple[str, Judged]], path: Path) -> None:
    """Draw one confusion matrix a panel."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 4.4))
    for axis, (title, judged) in zip(np.ravel(axes), panels, strict=True):
        table = confusion(judged)
        axis.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), "Blues")
        for (row, column), count in np.ndenumerate(table):
            axis.text(column, row, str(count), ha="center", va="center")
        axis.set_xticks(range(len(GRADES)), ROMAN)
        axis.set_yticks(range(len(GRADES)), ROMAN)
        axis.set_xlabel("lumbar-node")
        axis.set_ylabel("reader")
        axis.set_title(f"{title}\nquadratic kappa {quadratic_kappa(table):.2f}")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_calibration(panels: Sequence[tuple[str, Judged]], path: Path) -> None:
    """Draw promised against kept probability."""
    figure, axis = plt.subplots(figsize=(5.2, 5.0))
    axis.plot([0, 1], [0, 1], color="0.7")
    for title, judged in panels:
        promised, kept, counts = zip(*calibration(judged), strict=True)
        axis.plot(promised, kept, marker="o", label=title)
        for x, y, count in zip(promised, kept, counts, strict=True):
            axis.annotate(
                str(count),
                (x, y),
                fontsize=7,
                xytext=(4, -8),
                textcoords="offset points",
            )
    axis.set_xlabel("probability given to a grade")
    axis.set_ylabel("share of discs that had it")
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_doubtful(judged: Judged, path: Path) -> None:
    """Draw the discs whose grade the reader's other labels contradict."""
    height, width = (side * _ZOOM for side in CROP_PX)
    tiles = []
    for disc, shares in zip(judged.discs, judged.shares, strict=True):
        if not disc.doubt:
            continue
        tile = Image.new("RGB", (width, height + _TEXT_PX), "white")
        crop = Image.fromarray(disc.crop).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        tile.paste(crop, (0, _TEXT_PX))
        reader, ours = ROMAN[disc.grade - 1], ROMAN[int(shares.argmax())]
        head = f"{disc.patient} {level_of(disc.disc)}: reader {reader}, ours {ours}"
        pen = ImageDraw.Draw(tile)
        pen.text((4, 2), head, fill="black", font_size=16)
        pen.text((4, 21), disc.doubt, fill="black", font_size=13)
        tiles.append(tile)
    rows = -(-len(tiles) // _ACROSS)
    sheet = Image.new(
        "RGB", (_ACROSS * (width + 6), rows * (height + _TEXT_PX + 6)), "white"
    )
    for place, tile in enumerate(tiles):
        row, column = divmod(place, _ACROSS)
        sheet.paste(tile, (column * (width + 6), row * (height + _TEXT_PX + 6)))
    sheet.save(path, optimize=True)

"""The grade of each disc, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import Structure
from analysis.lumbar.judge.grade.features import DiscFeatures, disc_features
from analysis.lumbar.judge.grade.grade_range import bracket, honest, rival
from analysis.lumbar.judge.grade.model import GRADES, OrdinalModel, load_models
from analysis.lumbar.number_or_reason import Missing

_NARROWED_MM = 8.0
"""A disc above this height is not called narrowed, however dark it is. Of the discs
that the model calls narrowed on train (SPIDER) the highest has 7.1 mm (241 L2/L3); in
23 slices of another source (MRSpineSeg) half of the 16 had 8.0 to 10.4 mm."""
_NOT_KNOWN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscGrade:
    """A Pfirrmann grade.

    Parameters
    ----------
    grade
        The most probable one, 1 to 5.
    lowest, highest
        The grades that it may be lie between them: see `grade_range.bracket`.
    rival
        Another grade that is as probable; None where there is none.
    probabilities
        Of grades 1 to 5, summing to 1; they hold what they promise
        (`grade_range.honest`).
    narrowing
        Probability that a reader calls the disc space narrowed; 0.5 at most for a disc
        above 8 mm.
    """

    grade: int
    lowest: int
    highest: int
    rival: int | None
    probabilities: tuple[float, ...]
    narrowing: float


Graded = DiscGrade | Missing


def grade_discs(
    anatomy: Anatomy,
    volume: Volume,
    discs: tuple[Structure, ...],
    signal_unfit: Missing | None,
    *,
    threads: int = 1,
) -> dict[int, Graded]:
    """Grade discs, by the number of the disc.

    Parameters
    ----------
    anatomy
        On the sagittal grid.
    volume
        The series.
    discs
        Which ones; only those that were found are graded.
    signal_unfit
        Why no signal of this series can be used; None where it can. The shape alone
        does not tell the grade (docs/grading.md).
    threads
        That share the slices.

    Raises
    ------
    AnalysisFailed
        If the models cannot be read.
    """
    if signal_unfit is not None:
        return {disc.number: signal_unfit for disc in discs}
    return grades_by(disc_features(anatomy, volume, discs, threads=threads))


def grades_by(features: Mapping[int, DiscFeatures | Missing]) -> dict[int, Graded]:
    """Grade discs by what was read of them, by the number of the disc.

    Raises
    ------
    AnalysisFailed
        If the models cannot be read.
    """
    models = load_models()
    graded: dict[int, Graded] = {}
    for number, found in features.items():
        if isinstance(found, Missing):
            graded[number] = found
            continue
        vector = found.vector()
        likely = models.grade.probabilities(vector)
        shares = honest(likely)
        lowest, highest = bracket(shares)
        other = rival(shares)
        graded[number] = DiscGrade(
            grade=GRADES[int(likely.argmax())],
            lowest=GRADES[lowest],
            highest=GRADES[highest],
            rival=None if other is None else GRADES[other],
            probabilities=tuple(shares.tolist()),
            narrowing=_narrowing(models.narrowing, found),
        )
    return graded


def _narrowing(model: OrdinalModel, disc: DiscFeatures) -> float:
    share = float(model.probabilities(disc.vector())[1])
    is_high = disc.log_height > math.log(_NARROWED_MM)
    return min(share, _NOT_KNOWN) if is_high else share

"""What is told of a series, after all doubts: values, grades, norms, warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.contract.acquisition import Acquisition
from analysis.contract.plugin import SeriesSummary, Subject
from analysis.contract.result import Notice
from analysis.contract.volume import Volume
from analysis.lumbar.check.weighting import weighting_doubts
from analysis.lumbar.correct.outlined_spine import OutlinedSpine
from analysis.lumbar.doubt import Doubt
from analysis.lumbar.judge.artefacts import (
    artefacts,
    cut_bodies,
    unfit_bodies,
    unfit_discs,
    unfit_fronts,
)
from analysis.lumbar.judge.dark_stripes import dark_stripes
from analysis.lumbar.judge.grades_and_norms import Assessment, assess
from analysis.lumbar.judge.height_loss_doubts import (
    height_losses,
    merged_bodies,
    overlooked_bodies,
)
from analysis.lumbar.judge.impossible_signal import impossible_signal
from analysis.lumbar.judge.norms.place import norm_age, norm_doubts
from analysis.lumbar.judge.outline_confidence import (
    outline_confidence,
    uncertain_outlines,
)
from analysis.lumbar.judge.resolve import notices, signal_unfit, withheld
from analysis.lumbar.judge.signal_voids import metal
from analysis.lumbar.judge.uncertainty import height_doubts, with_uncertainty
from analysis.lumbar.judge.uneven_signal import signal_signs, uneven_signal
from analysis.lumbar.measure.measurements import SpineMeasurements


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What is judged beside the values.

    Parameters
    ----------
    volume
        The series.
    summary
        Its attributes; None where they are not known.
    acquisition
        How it was acquired; None where nothing is known.
    subject
        Age and sex, as far as the series states them.
    spine
        The structures, and who outlined them.
    doubts
        Those that the check of the series left.
    """

    volume: Volume
    summary: SeriesSummary | None
    acquisition: Acquisition | None
    subject: Subject
    spine: OutlinedSpine
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """What is left to tell.

    Parameters
    ----------
    measured
        The values with their uncertainty; reasons in the place of those withheld.
    assessment
        Grades, and places among norms.
    confidence
        How good each outline is expected to be, by number of the structure.
    warnings
        What the reader must know first.
    """

    measured: SpineMeasurements
    assessment: Assessment
    confidence: Mapping[int, float]
    warnings: tuple[Notice, ...]


def judge(
    evidence: Evidence, measured: SpineMeasurements, *, threads: int
) -> Judgement:
    """Judge what was measured.

    Parameters
    ----------
    measured
        As it was measured, without uncertainty.
    threads
        That share the slices of the pictures that are looked at again.

    Raises
    ------
    UnsuitableInput
        If nothing tells the weighting, or no disc was found.
    """
    volume, spine, anatomy = evidence.volume, evidence.spine, evidence.spine.anatomy
    known = with_uncertainty(measured, spine.edited)
    doubts = (
        *spine.doubts,
        *evidence.doubts,
        *weighting_doubts(evidence.summary, volume, spine.labels),
        *anatomy.levels.doubts,
        *cut_bodies(anatomy.levels),
        *unfit_discs(known),
        *unfit_bodies(known),
        *unfit_fronts(known, spine.edited),
        *overlooked_bodies(known, spine.edited),
        *dark_stripes(anatomy, volume, spine.edited),
        *height_doubts(known),
    )
    if signal_unfit(doubts) is None:  # else why its values are odd is known
        doubts = (*doubts, *impossible_signal(known))
    if signal_unfit(doubts) is None:
        signs = signal_signs(anatomy, volume, spine.labels)
        doubts = (*doubts, *uneven_signal(signs))
    told = withheld(known, doubts)
    person = norm_age(evidence.subject, evidence.acquisition)
    assessment = assess(
        anatomy, volume, told, person, signal_unfit(doubts), threads=threads
    )
    levels = anatomy.levels
    confidence = outline_confidence(
        anatomy.tissues,
        levels.names,
        spine.edited,
        levels.windows,
        slices=anatomy.measured_slices(),
    )
    doubts = (
        *doubts,
        *height_losses(told),
        *merged_bodies(told),
        *metal(anatomy, volume, spine.labels),
        *artefacts(anatomy, volume, told),
        *uncertain_outlines(confidence),
        *norm_doubts(assessment.person),
    )
    return Judgement(
        measured=told,
        assessment=assessment,
        confidence=confidence,
        warnings=notices(doubts, told),
    )

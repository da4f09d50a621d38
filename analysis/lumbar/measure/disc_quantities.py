"""The quantities of a disc level, in the order of a reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analysis.contract.concepts import (
    ANTERIOR,
    AREA,
    DEGREE,
    DEPTH,
    DERIVATION,
    HEIGHT,
    MEAN,
    MIDDLE,
    MILLIMETRE,
    NO_UNITS,
    POSTERIOR,
    PRIVATE_SCHEME,
    RATIO,
    SQUARE_MILLIMETRE,
    TOPOGRAPHY,
    Concept,
)
from analysis.lumbar.anatomy.structures import VERTEBRAE
from analysis.lumbar.doubt import Need
from analysis.lumbar.measure.discs_and_bodies import DISC_HEIGHT_MM, DISC_LENGTH_MM
from analysis.lumbar.measure.height_loss import has_lost_height, lost_beside
from analysis.lumbar.measure.interbody import interbody_in_slices, interbody_value
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.measure.quantity import (
    DetectableChange,
    Quantity,
    Shown,
    Terms,
)
from analysis.lumbar.measure.repeat_examinations import (
    AREA_SHARE,
    LENGTH_SHARE,
    RATIO_SHARE,
)
from analysis.lumbar.measure.slab import Slab
from analysis.lumbar.number_or_reason import Missing, Value, ratio

_OUTLINES = frozenset({Need.DISC, Need.BODIES})
_SIGNAL = frozenset({Need.DISC, Need.BODIES, Need.CANAL, Need.SIGNAL})
_S1 = VERTEBRAE[0]


def _own(value: str, meaning: str) -> Concept:
    return Concept(value, PRIVATE_SCHEME, meaning)


def _in_slices(
    read: Callable[[Slab], float],
) -> Callable[[DiscLevel], Sequence[float]]:
    return lambda level: [read(one) for one in level.slab.slices]


def _heights_over(
    divisor: Callable[[DiscLevel], Value],
) -> Callable[[DiscLevel], Sequence[float]]:
    """Return ratios that move from slice to slice as the height does."""

    def read(level: DiscLevel) -> Sequence[float]:
        below = divisor(level)
        if isinstance(below, Missing):
            return []
        return [one.height_mm / below for one in level.slab.slices]

    return read


def _body_height_mm(level: DiscLevel) -> Value:
    """Return the mean height of both bodies; at L5/S1 that of L5.

    The sacrum's first body is a wedge; its height is no height of a vertebra. A body
    that has lost height is left out: what is left tells nothing of the disc.
    """
    bodies = [body for body in (level.above, level.below) if body.structure is not _S1]
    whole = [body for body in bodies if not has_lost_height(level.shares, body)]
    if not whole:
        return lost_beside(bodies)
    first, last = whole[0].height_mm, whole[-1].height_mm
    if isinstance(first, Missing):
        return first
    return last if isinstance(last, Missing) else (first + last) / 2


DISC_QUANTITIES: tuple[Quantity[DiscLevel], ...] = (
    Quantity(
        key="disc_height_mm",
        concept=HEIGHT,
        modifiers=((DERIVATION, MEAN),),
        unit=MILLIMETRE,
        read=lambda level: level.slab.height_mm,
        definition="area of the central 80 % of the length / that length",
        needs=_OUTLINES,
        plausible=DISC_HEIGHT_MM,
        in_slices=_in_slices(lambda one: one.height_mm),
        terms=Terms(floor=0.35, share=0.0394, blur=0.61, spread=0.667),
        change=DetectableChange(
            share=LENGTH_SHARE,
            floor=0.255,
            told_as=_own("CHANGE-HEIGHT", "Change of mean disc height"),
        ),
        shown=Shown(head="Disc height", unit="mm", decimals=1),
        is_main=True,
    ),
    Quantity(
        key="anterior_height_mm",
        concept=HEIGHT,
        modifiers=((TOPOGRAPHY, ANTERIOR),),
        unit=MILLIMETRE,
        read=lambda level: level.slab.anterior_height_mm,
        definition="height at the front end of the central 80 %, over a tenth of the "
        "length around it",
        needs=_OUTLINES,
        in_slices=_in_slices(lambda one: one.anterior_height_mm),
        terms=Terms(floor=0.524, share=0.0704, spread=0.206),
        change=DetectableChange(share=LENGTH_SHARE, floor=0.549),
    ),
    Quantity(
        key="middle_height_mm",
        concept=HEIGHT,
        modifiers=((TOPOGRAPHY, MIDDLE),),
        unit=MILLIMETRE,
        read=lambda level: level.slab.middle_height_mm,
        definition="the same in the middle of the length",
        needs=_OUTLINES,
        in_slices=_in_slices(lambda one: one.middle_height_mm),
        terms=Terms(floor=0.659, share=0.0188, spread=0.421),
        change=DetectableChange(share=LENGTH_SHARE, floor=0.315),
    ),
    Quantity(
        key="posterior_height_mm",
        concept=HEIGHT,
        modifiers=((TOPOGRAPHY, POSTERIOR),),
        unit=MILLIMETRE,
        read=lambda level: level.slab.posterior_height_mm,
        definition="the same at the rear end of the central 80 %",
        needs=_OUTLINES,
        in_slices=_in_slices(lambda one: one.posterior_height_mm),
        terms=Terms(floor=0.616, spread=0.298),
        change=DetectableChange(share=LENGTH_SHARE, floor=0.319),
    ),
    Quantity(
        key="disc_length_mm",
        concept=DEPTH,
        unit=MILLIMETRE,
        read=lambda level: level.slab.length_mm,
        definition="end to end along the axis",
        needs=_OUTLINES,
        plausible=DISC_LENGTH_MM,
        in_slices=_in_slices(lambda one: one.length_mm),
        terms=Terms(floor=0.296, share=0.0192, blur=0.133, spread=0.142),
        change=DetectableChange(share=LENGTH_SHARE, floor=1.136),
        shown=Shown(head="Depth", unit="mm", decimals=1),
    ),
    Quantity(
        key="disc_area_mm2",
        concept=AREA,
        unit=SQUARE_MILLIMETRE,
        read=lambda level: level.slab.area_mm2,
        definition="inside the whole outline, mid-sagittal",
        needs=_OUTLINES,
        in_slices=_in_slices(lambda one: one.area_mm2),
        terms=Terms(floor=0, share=0.0784, blur=0.731, spread=0.483),
        change=DetectableChange(share=AREA_SHARE, floor=10.947),
    ),
    Quantity(
        key="wedge_angle_deg",
        concept=_own("DISC-WEDGE", "Disc wedge angle, open to the front"),
        unit=DEGREE,
        read=interbody_value(lambda one: one.wedge_deg),
        definition="between the lines on the rims of the two facing end plates; "
        "positive where it opens to the front",
        needs=_OUTLINES | {Need.BODY_HEIGHTS},  # by the rims of whole bodies
        in_slices=interbody_in_slices(lambda one: one.wedge_deg),
        terms=Terms(floor=1.4, share=0.078, blur=1.47, spread=0.212),
    ),
    Quantity(
        key="disc_height_index",
        concept=_own("DHI", "Disc height index"),
        unit=RATIO,
        read=lambda level: ratio(level.slab.height_mm, _body_height_mm(level)),
        definition="disc height / mean height of the two adjacent bodies, of one alone "
        "where the other has lost height. L5/S1: / height of L5 alone, because S1 is a "
        "wedge and part of the sacrum",
        needs=_OUTLINES | {Need.BODY_HEIGHTS},
        in_slices=_heights_over(_body_height_mm),
        terms=Terms(floor=0, share=0.0388, blur=1.37, spread=0.478),
        change=DetectableChange(
            share=RATIO_SHARE,
            floor=0.014,
            told_as=_own("CHANGE-DHI", "Change of disc height index"),
        ),
        shown=Shown(head="DHI", unit="ratio", decimals=2),
        is_main=True,
    ),
    Quantity(
        key="height_diameter_ratio",
        concept=_own("HDR", "Disc height-diameter ratio"),
        unit=RATIO,
        read=lambda level: ratio(level.slab.height_mm, level.slab.length_mm),
        definition="disc height / disc length",
        needs=_OUTLINES,
        in_slices=_heights_over(lambda level: level.slab.length_mm),
        terms=Terms(floor=0.0124, blur=0.325, spread=0.351),
        change=DetectableChange(
            share=RATIO_SHARE,
            floor=0.008,
            told_as=_own("CHANGE-HDR", "Change of disc height-diameter ratio"),
        ),
        shown=Shown(head="HDR", unit="ratio", decimals=2),
    ),
    Quantity(
        key="delta_si",
        concept=_own("DELTA-SI", "Disc signal intensity difference relative to CSF"),
        unit=NO_UNITS,
        read=lambda level: level.signal.delta_si,
        definition="distance of the disc's two grey-value peaks in 255ths of CSF, see "
        "below",
        needs=_SIGNAL,
        terms=Terms(floor=0.478, share=0.00932),
        shown=Shown(head="delta-SI", unit="1/255 CSF", decimals=0),
    ),
    Quantity(
        key="signal_ratio_csf",
        concept=_own("DISC-CSF", "Disc to CSF mean signal ratio"),
        unit=RATIO,
        read=lambda level: level.signal.ratio_csf,
        definition="mean signal of the disc / CSF",
        needs=_SIGNAL,
        terms=Terms(floor=0.00101, share=0.0273),
    ),
    Quantity(
        key="nucleus_ratio_csf",
        concept=_own("NUCLEUS-CSF", "Nucleus to CSF mean signal ratio"),
        unit=RATIO,
        read=lambda level: level.signal.nucleus_ratio_csf,
        definition="mean signal of the disc's central quarter (middle half of both "
        "axes) / CSF",
        needs=_SIGNAL,
        terms=Terms(floor=0.00246, share=0.003),
    ),
)

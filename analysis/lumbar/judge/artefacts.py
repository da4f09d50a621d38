"""What in the picture itself makes its values doubtful; each with its number.

Asked after the structures are named. Nothing is refused here: what can be measured is,
and the reader is told.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.named_levels import Levels
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import (
    DISCS,
    VERTEBRAE,
    Structure,
    level_of,
)
from analysis.lumbar.doubt import (
    Doubt,
    Effect,
    Need,
    Scope,
    apart,
    of_body_height,
    of_disc,
    warning,
)
from analysis.lumbar.fitted_limits import BLUR_MM, FRONT_SHARE, JOLT_MM
from analysis.lumbar.measure.canal import BESIDE_SLICES
from analysis.lumbar.measure.discs_and_bodies import (
    IMPLAUSIBLE,
    INCOMPLETE,
    NOT_FOUND,
)
from analysis.lumbar.measure.height_loss import USUAL
from analysis.lumbar.measure.measurements import MeasuredDisc, SpineMeasurements
from analysis.lumbar.number_or_reason import Missing

COARSE_PIXEL_MM = 1.2
"""A pixel more than 1.2 mm wide is a fifth of a usual disc's height."""
WIDE_SPACING_MM = 6.0
"""With slices further apart the nearest can lie 3 mm beside the middle, a third of the
half width of the canal."""
SCOLIOSIS_DEG = 10.0
"""Between the sideways tilts of two discs L1/L2 to L5/S1; the Cobb angle from which a
scoliosis is one (Scoliosis Research Society)."""
TILT_ERROR_DEG = 3.0
"""Typical error of that angle: the root mean square of its differences from that of
the drawn outlines, of the seven patients of train whose drawn angle is 10 deg or more.
Over all 25 it is 1.8."""
OBLIQUE_DEG = 20.0
"""Slices of one series leave the middle of the canal from about here on."""
MAX_WANDER_MM = 10.0
"""The middle of the canal wanders by its own half width between levels."""
OFF_MIDDLE_LOWER_MM, OFF_MIDDLE_MOST_MM = 0.3, 1.1
"""By how much discs of train are lower 4 to 12 mm beside their middle, on average, and
what one in twenty differs by (`python -m tests.accuracy.beside_middle train`)."""
MAX_JOLT_MM = JOLT_MM.limit
"""Of a structure against its two neighbour slices."""
MAX_BLUR_MM = BLUR_MM.limit
"""By which heights change with the level at which outlines are drawn, median of the
discs."""
_MOST_OF = 0.5
"""Slices with less than this share of a structure's largest section cut its rim."""
THIN_MM = 4.0
"""Five pixels of the network. Of discs measured lower, the error is a sixth of the
height on train, and 1.7 mm drawn became 3.4 mm in a patient whom it had not seen."""
MIN_FRONT_SHARE = FRONT_SHARE.limit
"""Of the front height of a disc, what the space between its bodies has at least."""
_LEVELS = 5
_UNFIT_HEIGHTS = frozenset({INCOMPLETE, IMPLAUSIBLE})
_COMPARED = tuple(body for body in VERTEBRAE if body.label in USUAL)


def cut_bodies(levels: Levels) -> tuple[Doubt, ...]:
    """Doubt the height of the bodies that something cuts in two."""
    return tuple(
        Doubt(
            scope=of_body_height(body.number),
            effect=Effect.WITHHOLD,
            code=INCOMPLETE,
            text="what looks like a disc cuts it in two",
        )
        for body in VERTEBRAE
        if body.number in levels.cut
    )


def unfit_discs(rows: SpineMeasurements) -> tuple[Doubt, ...]:
    """Doubt all that rests on a disc which is seen, and has no height of its own.

    What lies between its bodies is looked for where the disc is. Of a disc that was
    outlined over 74 % of them (018 L1/L2, public_test) the end plates were read to be
    3.5 mm apart where the drawn ones are 4.8 mm, and the slip -2.5 for -0.9 mm.
    """
    heights = [
        (row.disc, row.values["disc_height_mm"]) for row in (*rows.upper, *rows.discs)
    ]
    return tuple(
        Doubt(
            scope=of_disc(disc.number),
            effect=Effect.WITHHOLD,
            code=height.code,
            text=height.text,
            absence=height.absence,
        )
        for disc, height in heights
        if isinstance(height, Missing) and height.code in _UNFIT_HEIGHTS
    )


def unfit_fronts(
    rows: SpineMeasurements, edited: frozenset[int] = frozenset()
) -> tuple[Doubt, ...]:
    """Doubt the levels whose disc is far higher in front than the space it lies in.

    An end plate was then not found as it lies: that of S1 of vb1_15 leans by 45 degrees
    and more, and was read at 20; above L1 of 241, crushed to a quarter, the rims of
    both bodies crossed. At L5/S1 all goes that hangs on S1, at other levels what rests
    on the disc. But for discs that a reader has outlined, by their numbers.
    """
    doubts = []
    for row in (*rows.upper, *rows.discs):
        fronts = front_heights(row)
        if fronts is None or row.disc.number in edited:
            continue
        space, disc = fronts
        if space >= MIN_FRONT_SHARE * disc:
            continue
        below = row.site.below.structure
        scope = of_disc(row.disc.number)
        if below is VERTEBRAE[0]:
            both = frozenset({row.disc.number, below.number})
            scope = Scope(structures=both, need=Need.BODIES)
        doubts.append(
            Doubt(
                scope=scope,
                effect=Effect.WITHHOLD,
                code=IMPLAUSIBLE,
                text=f"the space between the bodies of {row.level} is {space:.1f} mm "
                f"high in front, its disc {disc:.1f} mm (limit {MIN_FRONT_SHARE} of "
                "it): an end plate may not lie where it was found",
            )
        )
    return tuple(doubts)


def front_heights(row: MeasuredDisc) -> tuple[float, float] | None:
    """Return the front heights (mm) of the space between two bodies and of its disc.

    None where one of them is not measured.
    """
    space = row.number("interbody_anterior_height_mm")
    disc = row.number("anterior_height_mm")
    return None if space is None or disc is None else (space, disc)


def unfit_bodies(rows: SpineMeasurements) -> tuple[Doubt, ...]:
    """Doubt all that rests on the height of a body which has none, or was not found.

    Of those that are compared for lost height: else nobody would be told that one is
    not. T12 may lie above the picture.
    """
    slabs = rows.spine.site.bodies
    return tuple(
        Doubt(
            scope=of_body_height(body.number),
            effect=Effect.WITHHOLD,
            code=INCOMPLETE if height.code == NOT_FOUND else height.code,
            text=height.text,
            absence=height.absence,
        )
        for body in _COMPARED
        if isinstance(height := slabs[body.label].height_mm, Missing)
        and (height.code in _UNFIT_HEIGHTS or _is_overlooked(body, height))
    )


def _is_overlooked(body: Structure, height: Missing) -> bool:
    return height.code == NOT_FOUND and body in VERTEBRAE[1 : _LEVELS + 1]


def artefacts(
    anatomy: Anatomy, volume: Volume, rows: SpineMeasurements
) -> tuple[Doubt, ...]:
    """Return the doubts about a picture, worst first, but for `metal`.

    Parameters
    ----------
    anatomy
        On the sagittal grid.
    volume
        The series.
    rows
        What was measured.
    """
    found = (
        _motion(anatomy) or _unsharp(rows),
        _scoliosis(anatomy),
        _off_the_middle(anatomy, rows),
        _clipped(rows),
        _coarse(volume),
        _wide(volume),
        _thin(rows),
    )
    return tuple(doubt for doubt in found if doubt is not None)


def _coarse(volume: Volume) -> Doubt | None:
    pixel = float(volume.frame.spacing_mm[1:].max())
    if pixel <= COARSE_PIXEL_MM:
        return None
    shown = apart(pixel, COARSE_PIXEL_MM, 2)
    text = f"Pixels of {shown} mm, more than {COARSE_PIXEL_MM} mm: heights are rough"
    return warning("coarse_pixels", text)


def _wide(volume: Volume) -> Doubt | None:
    spacing = float(volume.frame.spacing_mm[0])
    if spacing <= WIDE_SPACING_MM:
        return None
    shown = apart(spacing, WIDE_SPACING_MM, 1)
    text = (
        f"Slices are {shown} mm apart, more than {WIDE_SPACING_MM:.0f} mm: the "
        "middle may lie between them"
    )
    return warning("wide_slice_spacing", text)


def _clipped(rows: SpineMeasurements) -> Doubt | None:
    for row in rows.discs:
        value = row.values["signal_ratio_csf"]
        if isinstance(value, Missing) and value.code == "csf_saturated":
            return warning("csf_saturated", f"Signal: {value.text}")
    return None


def _thin(rows: SpineMeasurements) -> Doubt | None:
    thin = [
        row.level
        for row in rows.discs
        if (row.number("disc_height_mm") or THIN_MM) < THIN_MM
    ]
    if not thin:
        return None
    text = (
        f"{', '.join(thin)}: disc height below {THIN_MM:.0f} mm; such discs are "
        "measured least well, often too high"
    )
    return warning("thin_disc", text)


def _scoliosis(anatomy: Anatomy) -> Doubt | None:
    planes = anatomy.levels.planes
    discs = [disc for disc in DISCS[:_LEVELS] if disc.number in planes]
    frame = anatomy.tissues.grid.frame
    tilts = [planes[disc.number].fall_deg(frame) for disc in discs]
    tilt = float(np.ptp(tilts)) if tilts else 0.0
    wander = _wander_mm(anatomy, discs)
    if tilt - TILT_ERROR_DEG <= SCOLIOSIS_DEG and wander <= MAX_WANDER_MM:
        return None
    shown = apart(tilt, SCOLIOSIS_DEG + TILT_ERROR_DEG, 0)
    text = (
        f"Seen from the front, the discs tilt by up to {shown} deg against each "
        f"other (typical error {TILT_ERROR_DEG:.0f} deg; from {SCOLIOSIS_DEG:.0f} deg "
        f"on it is a scoliosis) and their middle wanders by "
        f"{apart(wander, MAX_WANDER_MM, 0)} mm (limit "
        f"{MAX_WANDER_MM:.0f})"
    )
    if tilt > OBLIQUE_DEG or wander > MAX_WANDER_MM:
        text = f"{text}: heights are those of oblique sections"
    return warning("scoliosis", text)


def _wander_mm(anatomy: Anatomy, discs: Sequence[Structure]) -> float:
    """Return by how much the middle of discs wanders sideways.

    Among the slices and in the patient, whichever is less: a straight spine wanders
    among slices that lean, and in a patient who lies askew.
    """
    frame = anatomy.tissues.grid.frame
    places = [
        np.array(
            [
                middle * anatomy.slice_mm,
                *anatomy.levels.planes[disc.number].centre_mm[1:],
            ]
        )
        for disc in discs
        if (middle := anatomy.middle_slice(disc)) is not None
    ]
    if not places:
        return 0.0
    among = np.array(places)
    sideways = among @ frame.directions[0]
    return float(min(np.ptp(among[:, 0]), np.ptp(sideways)))


def _off_the_middle(anatomy: Anatomy, rows: SpineMeasurements) -> Doubt | None:
    """Name the discs that may be measured at a side.

    The middle of the canal tells that of a disc. None is known where it lies beside the
    slices, or where no canal is seen; but where L5/S1 alone has none, it has ended.
    """
    away = [row for row in rows.discs if _is_beside(anatomy, row)]
    unseen = [row for row in rows.discs if not anatomy.shows_canal(row.disc)]
    if [row.level for row in unseen] != [level_of(DISCS[0])]:
        away += [row for row in unseen if row not in away]
    named = [
        row.level
        for row in rows.discs
        if row in away and row.number("disc_height_mm") is not None
    ]
    if not named:
        return None
    text = (
        f"{', '.join(named)}: the canal leaves the slices at a side or is not seen, so "
        "that the middle may lie beside them, as in a scoliosis; heights at a side are "
        f"{OFF_MIDDLE_LOWER_MM} mm too low on average, and one in twenty is more than "
        f"{OFF_MIDDLE_MOST_MM} mm off"
    )
    return warning("off_the_middle", text)


def _is_beside(anatomy: Anatomy, row: MeasuredDisc) -> bool:
    found = row.values["canal_ap_diameter_mm"]
    if not isinstance(found, Missing) or found.code != BESIDE_SLICES:
        return False
    # One that leaves at both sides is wider than the slices, and round their middle.
    shown = anatomy.canal_beside(row.disc)
    return not (shown[0] and shown[-1])


def _motion(anatomy: Anatomy) -> Doubt | None:
    jolt = jolt_mm(anatomy)
    if jolt <= MAX_JOLT_MM:
        return None
    shown = apart(jolt, MAX_JOLT_MM, 1)
    text = (
        f"Structures jump by {shown} mm between neighbour slices, limit "
        f"{MAX_JOLT_MM} mm: the patient has moved"
    )
    return warning("motion", text)


def jolt_mm(anatomy: Anatomy) -> float:
    """Return how far structures lie from between their neighbour slices, median."""
    levels = anatomy.levels
    jolts: list[float] = []
    for structure in (*VERTEBRAE[1 : _LEVELS + 1], *DISCS[:_LEVELS]):
        window = levels.windows.get(structure.number)
        if window is not None:
            jolts += _jolts(levels.names[window] == structure.number)
    return float(np.median(jolts)) * anatomy.pixel_mm if jolts else 0.0


def _unsharp(rows: SpineMeasurements) -> Doubt | None:
    blur = blur_mm(rows)
    if blur <= MAX_BLUR_MM:
        return None
    shown = apart(blur, MAX_BLUR_MM, 2)
    text = (
        f"Disc heights depend by {shown} mm on where unsharp edges are drawn "
        f"(limit {MAX_BLUR_MM}): motion within the slices, or strong noise"
    )
    return warning("motion", text)


def blur_mm(rows: SpineMeasurements) -> float:
    """Return by how much disc heights depend on the outline's level, median."""
    delivered = [row for row in rows.discs if row.number("disc_height_mm") is not None]
    blurs = [row.site.slab.blur_mm for row in delivered]
    known = [blur for blur in blurs if blur is not None]
    return float(np.median(known)) if known else 0.0


def _jolts(mask: NDArray[np.bool_]) -> list[float]:
    """Return how far each section lies from between its neighbours (pixels)."""
    sizes = mask.sum(axis=(1, 2))
    middles = {
        int(index): np.argwhere(mask[index]).mean(axis=0)
        for index in np.flatnonzero(sizes > _MOST_OF * sizes.max())
    }
    return [
        float(np.linalg.norm(here - (middles[index - 1] + middles[index + 1]) / 2))
        for index, here in middles.items()
        if index - 1 in middles and index + 1 in middles
    ]

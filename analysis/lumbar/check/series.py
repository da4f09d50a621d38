"""Is this series fit to be measured? Else why not, with the number and the limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.contract.plugin import Fit, Plane, SeriesSummary, Weighting
from analysis.contract.volume import Volume
from analysis.lumbar.doubt import Doubt, Refused, apart, warning

MIN_SLICES = 3
"""One slice does not tell whether it is mid-sagittal; it takes a neighbour on each
side."""
FEW_SLICES = 7
"""Below this a warning: rescans of 21 men needed 7 slices or more to meet the error of
all slices (Belavy 2012)."""
MAX_TILT_DEG = 30.0
"""Slices that lean further from the sagittal plane leave the canal within two levels:
tan 30 deg x 35 mm is 20 mm, the width of the canal."""
OBLIQUE_DEG = 15.0
"""From here on lengths in slices that lean are up to 3.5 % greater (1 / cos) than in
sagittal ones: nearly as much as two examinations of one person differ by (4.05 %)."""
MAX_PIXEL_MM = 1.6
"""A collapsed disc is 1.6 mm high or more; a coarser pixel cannot hold it."""
MAX_SLICE_SPACING_MM = 10.0
"""Wider gaps leave no slice within 5 mm of the middle of the canal."""
MIN_HEIGHT_MM = 110.0
"""From S1 up to L2/L3, three discs, in a small adult."""
MIN_DEPTH_MM = 60.0
"""A vertebral body, the canal and some margin on both sides."""
MAX_FIELD_MM = 1100.0
"""More than a whole spine; a larger statement of size is an error of the header."""
MIN_GREY_LEVELS = 16
"""A slice with fewer distinct values is blank or a mask."""
_EVERY = 4
"""Rows and columns that are looked at for it."""

_PLANE_CODES = {
    Plane.AXIAL: "not_sagittal",
    Plane.CORONAL: "not_sagittal",
    Plane.OBLIQUE: "not_sagittal",
    Plane.MIXED: "mixed_orientations",
    Plane.UNKNOWN: "plane_unknown",
}
_PREFERENCES = {
    Weighting.T2: 2.0,
    Weighting.T2_FAT_SUPPRESSED: 1.0,
    Weighting.UNKNOWN: 0.0,
    Weighting.STIR: -1.0,
    Weighting.T1: -2.0,
}
"""The weightings that are taken. Where it is unknown the picture has to tell, in
`check.weighting`; a series that states it goes before. STIR and T1 bear geometry alone,
and only where a study has nothing better."""


def choose(summary: SeriesSummary) -> Fit:
    """Say from the attributes alone whether a series is sagittal T2 of usable size.

    One that is T1 or STIR is taken with a preference below 0, as `not_t2`.
    """
    refusal = _refusal(summary)
    if refusal is not None:
        return Fit(accepted=False, code=refusal[0], text=refusal[1])
    kind = _PREFERENCES[summary.weighting]
    # Among equals the series with more slices tells more; never above the kind.
    preference = kind + min(summary.slice_count, 500) / 1000
    if preference >= 0:
        return Fit(accepted=True, preference=preference)
    code, text = _not_t2(summary.weighting)
    return Fit(accepted=True, code=code, text=text, preference=preference)


def _not_t2(weighting: Weighting) -> tuple[str, str]:
    return "not_t2", f"The weighting is {weighting.value}, needed is T2"


def _refusal(summary: SeriesSummary) -> tuple[str, str] | None:
    """Return the first reason that speaks against a series."""
    modality, plane = summary.modality or "not stated", summary.plane
    weighting = summary.weighting
    reasons = (
        (modality != "MR", "not_mr", f"Modality is {modality}, needed is MR"),
        (summary.localiser, "localiser", "The series is a localiser"),
        (summary.derived, "derived", "The series is derived from another"),
        (
            plane is not Plane.SAGITTAL,
            _PLANE_CODES.get(plane, ""),
            f"The plane is {plane.value}, needed is sagittal",
        ),
        (weighting not in _PREFERENCES, *_not_t2(weighting)),
        (
            summary.slice_count < MIN_SLICES,
            "too_few_slices",
            _few(summary.slice_count),
        ),
    )
    return next(((code, text) for broken, code, text in reasons if broken), None)


def _few(count: int) -> str:
    noun = "slice" if count == 1 else "slices"
    return f"{count} {noun}, at least {MIN_SLICES} are needed to find the middle"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SagittalVolume:
    """A volume that `examine` has passed; the only thing that is segmented.

    Parameters
    ----------
    volume
        Sagittal within limits, fine and large enough.
    blank
        Its slices that show nothing.
    doubts
        What a reader must know of it.
    """

    volume: Volume
    blank: frozenset[int] = frozenset()
    doubts: tuple[Doubt, ...] = ()


def examine(volume: Volume) -> SagittalVolume:
    """Check the geometry and the grey values of a volume against named limits.

    Raises
    ------
    Refused
        With the first limit that is broken.
    """
    for check in (_check_plane, _check_slices, _check_spacing, _check_field):
        check(volume)
    blank = _blank_slices(volume)
    doubts = list(_check_signal(volume, blank))
    count = volume.voxels.shape[0]
    if count < FEW_SLICES:
        text = f"{count} slices: the middle of the spine is known less well than from"
        doubts.append(warning("few_slices", f"{text} {FEW_SLICES} or more"))
    doubts += _oblique(volume)
    return SagittalVolume(volume=volume, blank=blank, doubts=tuple(doubts))


def _check_plane(volume: Volume) -> None:
    lean = _lean_deg(volume)
    if lean > MAX_TILT_DEG:
        text = f"Slices lean {apart(lean, MAX_TILT_DEG, 0)} deg, limit"
        raise Refused(
            code="not_sagittal", text=f"{text} {MAX_TILT_DEG:.0f} deg off sagittal"
        )


def _lean_deg(volume: Volume) -> float:
    """Return the angle between the slices and the sagittal plane."""
    share = min(abs(float(volume.frame.directions[0, 0])), 1.0)
    return float(np.degrees(np.arccos(share)))


def _oblique(volume: Volume) -> tuple[Doubt, ...]:
    lean = _lean_deg(volume)
    if lean <= OBLIQUE_DEG:
        return ()
    more = 1 / np.cos(np.radians(lean)) - 1
    shown = apart(lean, OBLIQUE_DEG, 0)
    text = (
        f"Slices lean {shown} deg off sagittal, more than {OBLIQUE_DEG:.0f}: unless "
        f"the spine leans with them, lengths are up to {more:.0%} too great"
    )
    return (warning("oblique_slices", text),)


def _check_slices(volume: Volume) -> None:
    count = volume.voxels.shape[0]
    if count < MIN_SLICES:
        raise Refused(code="too_few_slices", text=_few(count))


def _check_spacing(volume: Volume) -> None:
    between, *in_plane = volume.frame.spacing_mm.tolist()
    if max(in_plane) > MAX_PIXEL_MM:
        shown = apart(max(in_plane), MAX_PIXEL_MM, 2)
        text = f"Pixels of {shown} mm, limit {MAX_PIXEL_MM} mm"
        raise Refused(code="too_coarse", text=text)
    if between > MAX_SLICE_SPACING_MM:
        shown = apart(between, MAX_SLICE_SPACING_MM, 1)
        text = f"Slices {shown} mm apart, limit {MAX_SLICE_SPACING_MM:.0f} mm"
        raise Refused(code="too_coarse", text=text)


def _check_field(volume: Volume) -> None:
    extent = volume.frame.spacing_mm[1:] * volume.voxels.shape[1:]
    feet_ward = np.abs(volume.frame.directions[2, 1:])
    height = float(extent[int(feet_ward.argmax())])
    depth = float(extent[int(feet_ward.argmin())])
    if height < MIN_HEIGHT_MM or depth < MIN_DEPTH_MM:
        text = (
            f"Field of view {apart(height, MIN_HEIGHT_MM, 0)} mm high and "
            f"{apart(depth, MIN_DEPTH_MM, 0)} mm deep, at least "
            f"{MIN_HEIGHT_MM:.0f} mm and {MIN_DEPTH_MM:.0f} mm are needed"
        )
        raise Refused(code="field_of_view_too_small", text=text)
    if max(height, depth) > MAX_FIELD_MM:
        shown = apart(max(height, depth), MAX_FIELD_MM, 0)
        text = f"Field of view {shown} mm, limit {MAX_FIELD_MM:.0f} mm"
        raise Refused(code="field_of_view_too_large", text=text)


def _blank_slices(volume: Volume) -> frozenset[int]:
    levels = [np.unique(one[::_EVERY, ::_EVERY]).size for one in volume.voxels]
    few = (index for index, count in enumerate(levels) if count < MIN_GREY_LEVELS)
    return frozenset(few)


def _check_signal(volume: Volume, blank: frozenset[int]) -> tuple[Doubt, ...]:
    """Tell of blank slices; refuse a series that leaves too few others."""
    if not blank:
        return ()
    count = volume.voxels.shape[0]
    text = f"{len(blank)} of {count} slices have fewer than {MIN_GREY_LEVELS}"
    text = f"{text} grey levels"
    if count - len(blank) < MIN_SLICES:
        raise Refused(code="blank", text=text)
    return (warning("blank_slices", f"{text} and show nothing"),)

"""The parameters as the reference defines them, so that its norms can be used.

Nothing here is a clinical measure: heights are pixels of a picture that fills 512 x
512, and corners lie inside the bodies. The choices that its text leaves open are
listed in docs/measurements.md.

References
----------
Zheng HD et al. Nat Commun 2022;13:841, and its public code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, Structure
from analysis.lumbar.measure.discs_and_bodies import cut_off
from analysis.lumbar.measure.zheng2022.corners import Corners, find_corners
from analysis.lumbar.number_or_reason import Missing, Value

SIDE_PX = 512
"""Side of the square picture that the reference takes."""
_SHARE = 0.8
"""Of the width between the corners' midpoints, whose area makes the height."""
_WHOLE_SHARE = 0.95
"""A disc whose largest piece has this much of it is that piece; else all pieces."""
RIM_MM = 1.5
"""End plate and outer annulus, which the reference outlines with the disc and drawn
masks of ours do not: they leave 1.5 mm on either side up to the bodies (25 patients of
train). With it the medians of DH, DHI and HDR of their discs of grade I to III are 0.88
to 0.99 of those of the norms at every level; without it 0.68 to 0.81."""
_WALK_PX = 0.25
_APART_PX = 21
"""Narrower between its corners it is no disc."""
_MEASURED = 5
_MARGIN_PX = 12
"""Beside a mask: more than the corner detector's window."""
_GRADE_CUTS = (106.5, 84.3, 59.1, 33.2)
"""Lower ends of grades I to IV on the scale of delta-SI. They follow from the
reference's rule: nearest mean of a grade, in its standard deviations."""
_S1 = VERTEBRAE[0]


class ZhengGeometry(NamedTuple):
    """Geometry of one disc by the reference's definitions.

    Parameters
    ----------
    dh_px512
        Disc height in pixels of the whole picture scaled to 512; about 0.8 of the mean
        height. Not a length: it depends on the field of view.
    dhi
        That over the mean height of the adjacent bodies (L5/S1: of L5).
    hdr
        That over the length of the disc.
    """

    dh_px512: Value
    dhi: Value
    hdr: Value


def grade_of(delta_si: Value) -> Value:
    """Return the reference's grade, 1 to 5, of a delta-SI."""
    if isinstance(delta_si, Missing):
        return delta_si
    return float(1 + sum(delta_si < cut for cut in _GRADE_CUTS))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Body:
    corners: Corners
    height_px: float


def zheng_geometry(anatomy: Anatomy) -> dict[int, ZhengGeometry]:
    """Return DH, DHI and HDR of each disc, by its number.

    Every disc is measured in the slice nearest to its middle, on masks of the picture
    scaled so that its longer side has 512 pixels.
    """
    known: dict[tuple[int, int], _Body | Missing] = {}

    def body_of(vertebra: Structure, index: int) -> _Body | Missing:
        key = (vertebra.number, index)
        if key not in known:
            known[key] = _body(anatomy, vertebra, index)
        return known[key]

    found: dict[int, ZhengGeometry] = {}
    for disc in DISCS[_MEASURED:]:
        text = f"Zheng 2022 does not define it for {disc.label}"
        missing = _unfit("not_defined", text)
        found[disc.number] = ZhengGeometry(missing, missing, missing)
    for position, disc in enumerate(DISCS[:_MEASURED]):
        slices = anatomy.middle_slices(disc)
        if not slices:
            missing = _unfit("not_found", f"{disc.label} was not found")
            found[disc.number] = ZhengGeometry(missing, missing, missing)
            continue
        above = body_of(VERTEBRAE[position + 1], slices[0])
        below = body_of(VERTEBRAE[position], slices[0])
        found[disc.number] = _between(anatomy, disc, slices[0], (above, below))
    return found


def _between(
    anatomy: Anatomy,
    disc: Structure,
    index: int,
    bodies: tuple[_Body | Missing, _Body | Missing],
) -> ZhengGeometry:
    above, below = bodies
    if isinstance(above, Missing):
        return ZhengGeometry(above, above, above)
    if isinstance(below, Missing):
        return ZhengGeometry(below, below, below)
    found = _mask(anatomy, disc, index)
    mask = None if found is None else _whole_disc(found[0])
    if found is None or mask is None:
        missing = _unfit("not_found", f"{disc.label} is not in the middle slice")
        return ZhengGeometry(missing, missing, missing)
    mask = _grown(anatomy, disc, index, mask)
    upper, lower = above.corners, below.corners
    front = (upper.lower_front + lower.upper_front) / 2
    rear = (upper.lower_rear + lower.upper_rear) / 2
    width = float(np.linalg.norm(rear - front))
    ahead = (rear - front) / max(width, 1.0)
    rows, columns = np.nonzero(mask)
    points = np.stack([columns, rows], axis=1) + found[1]
    away = (points - (front + rear) / 2) @ ahead
    height = float((np.abs(away) <= _SHARE / 2 * width).sum()) / max(width, 1.0)
    length = width + sum(
        _walk(mask, start - found[1], step)
        for start, step in ((front, -ahead), (rear, ahead))
    )
    if height <= 0 or width < _APART_PX:
        missing = _unfit("corners", f"the corners beside {disc.label} are misplaced")
        return ZhengGeometry(missing, missing, missing)
    sacral = disc is DISCS[0]
    mean = above.height_px if sacral else (above.height_px + below.height_px) / 2
    return ZhengGeometry(height, height / mean, height / length)


def _walk(
    mask: NDArray[np.bool_], start: NDArray[np.float64], step: NDArray[np.float64]
) -> float:
    """Return how far (px) the mask reaches from a point (x, y) along a direction."""
    reach = np.arange(0.0, SIDE_PX, _WALK_PX)
    columns, rows = np.rint(start[:, None] + step[:, None] * reach).astype(int)
    high, wide = mask.shape
    inside = (rows >= 0) & (rows < high) & (columns >= 0) & (columns < wide)
    inside[inside] = mask[rows[inside], columns[inside]]
    return float(reach[int(inside.argmin())])


def _body(anatomy: Anatomy, vertebra: Structure, index: int) -> _Body | Missing:
    from scipy import ndimage

    if vertebra is _S1:
        is_cut = anatomy.cut_off_above(vertebra)
    else:
        is_cut = anatomy.cut_off(vertebra)
    if is_cut:
        return cut_off(vertebra.label)
    found = _mask(anatomy, vertebra, index)
    if found is None:
        return _unfit("not_found", f"{vertebra.label} is not in the middle slice")
    opened = ndimage.binary_opening(found[0], np.ones((3, 3), np.bool_))
    mask = _largest(opened)
    if mask is None:
        return _unfit("not_found", f"{vertebra.label} is not in the middle slice")
    corners = find_corners(mask, sacrum=vertebra is _S1)
    if corners is None:
        text = f"fewer than four corners of {vertebra.label} were found"
        return _unfit("corners", text)
    moved = corners.moved(found[1])
    return _Body(corners=moved, height_px=float(mask.sum()) / moved.width_px)


def _mask(
    anatomy: Anatomy,
    structure: Structure,
    index: int,
    beside: Structure | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]] | None:
    """Return a structure on the scaled picture, and (x, y) of its first pixel.

    With `beside` the part of the picture is that which holds the other structure.
    """
    field = anatomy.field(structure, index)
    window = field if beside is None else anatomy.field(beside, index)
    if field is None or window is None:
        return None
    pixel_mm = picture_pixel_mm(anatomy)
    scale = window.pixel_mm / pixel_mm
    first = np.floor(window.corner_px * scale) - _MARGIN_PX
    rows, columns = np.ceil(np.array(window.values.shape) * scale) + 2 * _MARGIN_PX
    places = (range(int(rows)), range(int(columns)))
    lead = field.sample(first * pixel_mm, np.eye(2) * pixel_mm, places)
    return lead > 0, np.array([first[1], first[0]])


def _grown(
    anatomy: Anatomy, disc: Structure, index: int, mask: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Let a disc reach its bodies, as the discs of the reference do."""
    from scipy import ndimage

    away_px = ndimage.distance_transform_edt(~mask)
    grown = np.asarray(away_px * picture_pixel_mm(anatomy) <= RIM_MM)
    position = DISCS.index(disc)
    for body in (VERTEBRAE[position], VERTEBRAE[position + 1]):
        found = _mask(anatomy, body, index, disc)
        if found is not None:
            grown &= ~found[0]
    return grown


def picture_pixel_mm(anatomy: Anatomy) -> float:
    """Return the side of a pixel when the series fills a picture of 512 pixels."""
    grid = anatomy.tissues.grid
    sides = grid.source_frame.spacing_mm[1:] * grid.source_shape[1:]
    return float(sides.max()) / SIDE_PX


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the largest piece without its holes; None where there is none."""
    from scipy import ndimage

    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    if count == 0:
        return None
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(pieces == sizes.argmax()))


def _whole_disc(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    from scipy import ndimage

    largest = _largest(mask)
    if largest is None or largest.sum() >= _WHOLE_SHARE * mask.sum():
        return largest
    return np.asarray(ndimage.binary_opening(mask, np.ones((3, 3), np.bool_)))


def _unfit(code: str, text: str) -> Missing:
    return Missing(absence=Absence.GEOMETRY_UNFIT, code=code, text=text)

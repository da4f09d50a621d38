"""A picture that fades to the feet: what looks like S1 may be what is left of L5.

Where the field of a coil ends within L5, the network may call S1 what still gives
signal, with a front that bends as the sacrum's does. Below S1 there is bone, fat and
bowel, which give signal; below the rest of a faded body there is none, and it is itself
darker than the bodies above.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.one_of import is_one_of
from analysis.imaging.sagittal_grid import sample_picture
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE
from analysis.lumbar.fitted_limits import SIGNAL_BELOW
from analysis.lumbar.name.l5_s1_disc import CountDoubt, with_doubt

MIN_SHARE = SIGNAL_BELOW.limit
"""Of the signal of the bodies that is left below S1."""
_MAX_S1_SHARE = 0.85
"""S1 that has more of that signal does not lie where a picture fades: the most that a
part of L5 had was 0.32, of 19 pictures of train."""
_REACH_MM, _HALF_WIDTH_MM = 20.0, 12.0
"""Below S1, in the direction across L5/S1, and to the front and the back: less than
another body."""
_END = 97.0
"""Percentile of S1 in that direction that is its end: a loose pixel is none."""
_MIN_MM2 = 40.0
"""Less of it in the picture tells nothing."""
_BRIGHT = 75.0
"""Percentile of what lies there: bowel and bone are dark in part."""
_SLICES = 3
_S1, _BODIES = VERTEBRAE[0], VERTEBRAE[1:4]
_UP = 1


def with_fade(anatomy: Anatomy, volume: Volume) -> Anatomy:
    """Add the doubt about an S1 below which nothing gives signal; else nothing."""
    found = signal_at_s1(anatomy, volume)
    if found is None or found[1] >= MIN_SHARE or found[0] > _MAX_S1_SHARE:
        return anatomy
    text = (
        f"The picture fades: what looks like S1 has {found[0]:.2f} of the signal of "
        f"the bodies above, and what lies below it {found[1]:.2f}, so that it may be a "
        "part of L5"
    )
    doubt = CountDoubt(text=text, factor=0.5, shifts=(_UP,))
    return replace(anatomy, levels=with_doubt(anatomy.levels, doubt))


def signal_at_s1(anatomy: Anatomy, volume: Volume) -> tuple[float, float] | None:
    """Return the signal of S1, and of what lies below it, over that of L3 to L5.

    None where too little of either is in the picture.
    """
    plane = anatomy.levels.planes.get(DISCS[0].number)
    if plane is None:
        return None
    shares = [
        _in_slice(anatomy, volume, index, plane.down)
        for index in anatomy.middle_slices(DISCS[0])[:_SLICES]
    ]
    known = [share for share in shares if share is not None]
    if not known:
        return None
    s1, below = np.median(known, axis=0).tolist()
    return s1, below


def _in_slice(
    anatomy: Anatomy, volume: Volume, index: int, down: NDArray[np.float64]
) -> tuple[float, float] | None:
    grid, names = anatomy.tissues.grid, anatomy.levels.names[index]
    sacrum = np.argwhere(names == _S1.number) * anatomy.pixel_mm
    bodies = is_one_of(names, [body.number for body in _BODIES])
    if not len(sacrum) or not bodies.any():
        return None
    back = np.array([-down[1], down[0]])
    middle, end = sacrum.mean(axis=0), np.percentile(sacrum @ down, _END)
    first_row = round(float(sacrum[:, 0].min()) / anatomy.pixel_mm)
    places = np.argwhere(names[first_row:] == 0)
    places[:, 0] += first_row
    offset = places * anatomy.pixel_mm
    below_mm = offset @ down - end
    near = (below_mm > 0) & (below_mm <= _REACH_MM)
    near &= np.abs((offset - middle) @ back) < _HALF_WIDTH_MM
    places = places[near]
    source = grid.to_source_indices(places.astype(np.float64))
    last = np.array(grid.source_shape[1:]) - 1
    places = places[((source >= 0) & (source <= last)).all(axis=1)]
    if len(places) * anatomy.pixel_mm**2 < _MIN_MM2:
        return None
    picture = sample_picture(grid, volume.voxels, index)
    usual = float(np.median(picture[bodies]))
    if usual <= 0:
        return None
    s1 = float(np.median(picture[names == _S1.number]))
    below = float(np.percentile(picture[tuple(places.T)], _BRIGHT))
    return s1 / usual, below / usual

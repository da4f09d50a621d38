"""A picture put together from parts that do not fit: a body may be missing or double.

Composed pictures of a whole spine are made of stations. Where one was placed wrongly,
a row has nothing in common with the next, over the whole width, and the levels above
cannot be known from what lies below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.one_of import is_one_of
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, MEASURED_LEVELS, level_of
from analysis.lumbar.fitted_limits import SEAM_RATIO
from analysis.lumbar.name.l5_s1_disc import CountDoubt, with_doubt

_MIN_RATIO = SEAM_RATIO.limit
"""Change from one row to the next, against that of the rows around."""
_MIN_CHANGE = 0.05
"""Of the sum of both rows: nine series of `fcs_vb2` whose rows hardly differ have less,
and there a seam is not seen."""
_MIN_JUMP = 2.1
"""Over the change from either row to the next one beyond: at a seam the rows of each
part go on among themselves. Of 207 series and single slices of train seven have a row
above `_MIN_RATIO`, five of them with 1.95 and less; 391 seams made there, and 755 when
the rows are sampled anew 1.5 or 2 times as densely, have 2.2 and more."""
_LEAST_CHANGE = 0.01
_ONE_WAY = 0.8
"""Of the pixels change the same way: the edge of a stripe, no seam."""
_BRIGHT_SHARE = 0.5
"""Of the median signal of discs and bodies: brighter than noise."""
_AROUND = 21
_SLICES = 3
"""Together: of 50 series of train, 3 have a row in one slice that looks like a seam."""
_DOWN, _UP = -1, 1


def with_seam(anatomy: Anatomy, volume: Volume, labels: NDArray[np.uint8]) -> Anatomy:
    """Add the doubt about the levels above a seam; nothing where there is none.

    Parameters
    ----------
    anatomy
        On the sagittal grid.
    volume, labels
        The series, and its named structures on its own grid.
    """
    seam = _seam(anatomy, volume, labels)
    numbers = set[int]() if seam is None or seam.ratio <= _MIN_RATIO else seam.above
    above = [place for place, disc in enumerate(DISCS) if disc.number in numbers]
    if not above or min(above) >= len(MEASURED_LEVELS):
        return anatomy
    text = (
        "The rows of the picture do not go on across its whole width below "
        f"{level_of(DISCS[min(above)])}: it is put together from parts, and some of "
        "the spine may be missing or shown twice"
    )
    doubt = CountDoubt(text=text, factor=0.6, shifts=(_DOWN, _UP), first=min(above))
    return Anatomy(tissues=anatomy.tissues, levels=with_doubt(anatomy.levels, doubt))


def seam_ratio(
    anatomy: Anatomy, volume: Volume, labels: NDArray[np.uint8]
) -> float | None:
    """Return the largest change from row to row over that of the rows around.

    None where fewer slices or discs are in view than it is asked of.
    """
    seam = _seam(anatomy, volume, labels)
    return None if seam is None else seam.ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seam:
    """The row that has the least in common with the next.

    Parameters
    ----------
    ratio
        The change there over that of the rows around.
    above
        Numbers of the discs above it.
    """

    ratio: float
    above: set[int]


def _seam(anatomy: Anatomy, volume: Volume, labels: NDArray[np.uint8]) -> _Seam | None:
    grid = anatomy.tissues.grid
    near = anatomy.middle_slices(DISCS[2])[:_SLICES]
    if len(near) < _SLICES:
        return None
    sources = [grid.source_slice(index) for index in near]
    numbers, pictures = labels[sources], volume.voxels[sources]
    feet_ward = volume.frame.directions[2, 1:]
    if abs(feet_ward[1]) > abs(feet_ward[0]):
        numbers, pictures = numbers.swapaxes(1, 2), pictures.swapaxes(1, 2)
    discs = [disc.number for disc in DISCS[: len(MEASURED_LEVELS)]]
    rows = np.flatnonzero(is_one_of(numbers, discs).any(axis=(0, 2)))
    if rows.size == 0:
        return None
    most = _most_changed(pictures, (int(rows[0]), int(rows[-1])), pictures[numbers > 0])
    if most is None:
        return None
    seam, ratio = most
    to_the_feet = -float(feet_ward[np.abs(feet_ward).argmax()])
    places = _middle_rows(numbers, discs)
    above = {n for n, place in places.items() if (place - seam) * to_the_feet < 0}
    return _Seam(ratio=ratio, above=above)


def _middle_rows(labels: NDArray[np.uint8], wanted: list[int]) -> dict[int, float]:
    """Return the mean row of each number that occurs in a map (K, R, C)."""
    sizes = {number: (labels == number).sum(axis=(0, 2)) for number in wanted}
    return {
        number: float(size @ np.arange(len(size)) / size.sum())
        for number, size in sizes.items()
        if size.any()
    }


def _most_changed(
    pictures: NDArray[np.float32], between: tuple[int, int], spine: NDArray[np.float32]
) -> tuple[float, float] | None:
    """Return the place between rows of the largest change, and that over the usual."""
    from scipy import ndimage

    bright = _BRIGHT_SHARE * float(np.median(spine))
    first = max(0, between[0] - _AROUND)
    part = pictures[:, first : between[1] + _AROUND]
    rows = part.swapaxes(0, 1).reshape(part.shape[1], -1)
    changes = _changes(rows, bright)
    usual = np.maximum(
        ndimage.median_filter(changes, _AROUND), _MIN_CHANGE / _MIN_RATIO
    )
    inside = slice(between[0] - first, between[1] - first)
    if not changes[inside].size:
        return None
    ratios = changes / usual
    for row in np.flatnonzero(ratios > _MIN_RATIO):
        if _jump(rows, int(row), bright) < _MIN_JUMP:
            ratios[row] = 0.0
    most = inside.start + int(ratios[inside].argmax())
    return first + most + 0.5, float(ratios[most])


def _jump(rows: NDArray[np.float32], row: int, bright: float) -> float:
    """Return the change after a row over those beside it.

    Of neighbours, and of every second row, in case the picture was sampled anew.
    """
    jumps = []
    for step, start in ((1, row), (2, row - 1), (2, row)):
        places = start + step * np.arange(-1, 3)
        if places[0] >= 0 and places[-1] < len(rows):
            above, here, below = _changes(rows[places], bright).tolist()
            jumps.append(here / max(above, below, _LEAST_CHANGE))
    return max(jumps, default=np.inf)


def _changes(rows: NDArray[np.float32], bright: float) -> NDArray[np.float64]:
    """Return the median change from each row (R, N) to the next, of what is bright.

    0 where nothing is, and at the edge of a stripe.
    """
    before, after = rows[:-1], rows[1:]
    seen = np.maximum(before, after) > max(bright, 0.0)
    count = seen.sum(axis=1)
    rising = ((after > before) & seen).sum(axis=1) / np.maximum(count, 1)
    stripe = np.maximum(rising, 1 - rising) > _ONE_WAY
    both = np.where(seen, np.abs(after) + np.abs(before), 1.0)
    change = np.where(seen, np.abs(after - before) / both, np.inf)
    change.sort(axis=1)
    # The median of the seen ones, which come first.
    every = np.arange(len(change))
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    middle = (change[every, low] + change[every, np.minimum(high, len(rows.T) - 1)]) / 2
    return np.where((count == 0) | stripe, 0.0, middle)

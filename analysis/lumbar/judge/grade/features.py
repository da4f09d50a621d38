"""What the grade of a disc is read from: brightness, structure and shape.

Signal is taken against the marrow of the two bodies beside the disc, not against CSF:
CSF is the first to be clipped, and it is far from the disc within the coil's field.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from analysis.contract.measurement import Absence
from analysis.contract.volume import Volume
from analysis.imaging.dilation import shrunk
from analysis.imaging.one_of import is_one_of
from analysis.imaging.sagittal_grid import sample_picture
from analysis.imaging.window import window_of
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, Structure
from analysis.lumbar.number_or_reason import Missing

_MARROW_EDGE_PX = 2
"""Taken off a body's edge, where cortical bone mixes in."""
_MIN_MARROW_PX = 40
_MIN_DISC_PX = 12
"""A collapsed disc, 1.6 mm high, over 5 mm."""
_END_PERCENTILES = (2.0, 98.0)
"""Front and back of a disc in one slice, but for stray pixels."""
_NUCLEUS_ALONG, _NUCLEUS_ACROSS = 0.6, 0.7
"""Half sizes of the part that is nucleus in a healthy disc, as shares of the disc's
half length and half height."""
_RIM_ALONG = 0.8
"""Beyond it lies annulus, in front and behind."""
_CENTRE_ALONG, _CENTRE_ACROSS, _EDGE_ACROSS = 0.5, 0.35, 0.75
_MEASURED_ALONG = 0.8
"""Heights are taken over this share of the length, as elsewhere."""
_BIN = 0.01
_SMOOTH_BINS = 5.0
_HIGHEST = 4.0
"""Of the histogram: bins in units of marrow, their smoothing, and its end."""
_SECOND_PEAK_SHARE = 0.95
"""As in delta-SI (Zheng 2022)."""
_DARKEST = 0.03
"""Of marrow: below it is noise, and a logarithm would follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscFeatures:
    """One disc as the model sees it; medians over the slices near its middle.

    Parameters
    ----------
    disc_to_marrow, nucleus_to_marrow
        Natural logarithm of the median signal over that of the adjacent marrow.
    nucleus_less_rim
        Mean of the nucleus less median of the rim, in units of marrow.
    peak_distance
        Distance of the two histogram peaks as in delta-SI, in units of marrow.
    centre_less_edge
        Mean halfway between the end plates less mean beside them, in units of marrow.
    log_height
        Natural logarithm of the mean height (mm) of the central 80 %.
    log_height_to_length
        The same over the disc's length.
    wedging
        Difference of the heights of the front and the back third, over the mean.
    bulging_mm
        Height of the middle third less that of the others (mm).
    """

    disc_to_marrow: float
    nucleus_to_marrow: float
    nucleus_less_rim: float
    peak_distance: float
    centre_less_edge: float
    log_height: float
    log_height_to_length: float
    wedging: float
    bulging_mm: float

    def vector(self) -> NDArray[np.float64]:
        """Return the features in the order of `FEATURES`, shape (9,)."""
        return np.array(astuple(self), np.float64)


FEATURES = tuple(one.name for one in fields(DiscFeatures))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Section:
    """A disc in one slice: signal over marrow, and places in its own frame.

    Places run from -1 to 1, `along` from front to back, `across` from end plate to
    end plate.
    """

    signal: NDArray[np.float64]
    along: NDArray[np.float64]
    across: NDArray[np.float64]
    heights_mm: NDArray[np.float64]
    length_mm: float


def disc_features(
    anatomy: Anatomy,
    volume: Volume,
    discs: tuple[Structure, ...] = DISCS,
    *,
    threads: int = 1,
) -> dict[int, DiscFeatures | Missing]:
    """Read the features of discs, by the number of the disc.

    Parameters
    ----------
    anatomy
        On the sagittal grid.
    volume
        The series.
    discs
        Which ones.
    threads
        That share the slices.
    """
    wanted = {disc.number: anatomy.middle_slices(disc) for disc in discs}
    indices = sorted({index for slices in wanted.values() for index in slices})
    around = {body.number for disc in discs for body in _bodies(disc)} | set(wanted)
    view = _View.of(anatomy, volume, around, indices, threads)
    found: dict[int, DiscFeatures | Missing] = {}
    for disc in discs:
        sections = [_section(view, disc, index) for index in wanted[disc.number]]
        seen = [section for section in sections if section is not None]
        found[disc.number] = _features(seen) if seen else _unfit(disc)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _View:
    """The part of some slices that holds the discs and the bodies beside them.

    Parameters
    ----------
    names : ndarray, shape (K, R, C), uint8
        Named structures in the window, of all slices.
    pictures
        Grey values in the window, shape (R, C), by slice.
    """

    anatomy: Anatomy
    names: NDArray[np.uint8]
    pictures: Mapping[int, NDArray[np.float32]]
    _had: dict[tuple[int, int], float | None] = field(
        init=False, repr=False, default_factory=dict
    )

    @classmethod
    def of(
        cls,
        anatomy: Anatomy,
        volume: Volume,
        numbers: set[int],
        indices: list[int],
        threads: int,
    ) -> _View:
        grid, names = anatomy.tissues.grid, anatomy.levels.names
        shown = is_one_of(names[indices], numbers).any(axis=0)
        sides = window_of(np.asarray(shown))
        if sides is None:
            return cls(anatomy=anatomy, names=names, pictures={})
        window = (sides[0], sides[1])
        with ThreadPoolExecutor(threads) as pool:
            sampled = pool.map(
                lambda index: sample_picture(grid, volume.voxels, index, window),
                indices,
            )
            pictures = dict(zip(indices, sampled, strict=True))
        return cls(anatomy=anatomy, names=names[:, *window], pictures=pictures)

    def marrow(self, disc: Structure, index: int) -> float | None:
        """Return the mean signal of the bodies beside a disc; None if none is seen."""
        beside = [self._signal(body, index) for body in _bodies(disc)]
        known = [signal for signal in beside if signal is not None]
        return float(np.mean(known)) if known else None

    def _signal(self, vertebra: Structure, index: int) -> float | None:
        """Return the median inside a body in one slice, which both its discs ask."""
        key = (vertebra.number, index)
        if key not in self._had:
            self._had[key] = self._inside(vertebra, index)
        return self._had[key]

    def _inside(self, vertebra: Structure, index: int) -> float | None:
        mask = self.names[index] == vertebra.number
        box = window_of(mask)
        if box is None:
            return None
        inside = shrunk(mask[box], _MARROW_EDGE_PX)
        values = self.pictures[index][box][inside]
        if values.size <= _MIN_MARROW_PX:
            return None
        signal = float(np.median(values))
        return signal if signal > 0 else None


def _unfit(disc: Structure) -> Missing:
    text = f"Too little of the {disc.label} or of the bodies beside it is seen"
    return Missing(absence=Absence.STRUCTURE_MISSING, code="too_few_voxels", text=text)


def _bodies(disc: Structure) -> tuple[Structure, Structure]:
    place = DISCS.index(disc)
    return VERTEBRAE[place + 1], VERTEBRAE[place]


def _section(view: _View, disc: Structure, index: int) -> _Section | None:
    mask = view.names[index] == disc.number
    pixels, marrow = np.argwhere(mask), view.marrow(disc, index)
    if marrow is None or len(pixels) < _MIN_DISC_PX:
        return None
    pixel_mm = view.anatomy.pixel_mm
    down = view.anatomy.down(disc)
    back = np.array([-down[1], down[0]])
    offset_mm = (pixels - pixels.mean(axis=0)) * pixel_mm
    along_mm, across_mm = offset_mm @ back, offset_mm @ down
    front, rear = np.percentile(along_mm, _END_PERCENTILES)
    middle, half_mm = (front + rear) / 2, (rear - front + pixel_mm) / 2
    # Columns of one pixel's width across the disc.
    column = np.rint(along_mm / pixel_mm).astype(int)
    column -= column.min()
    count = int(column.max()) + 1
    top, bottom = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(top, column, across_mm - pixel_mm / 2)
    np.maximum.at(bottom, column, across_mm + pixel_mm / 2)
    high, low = top[column], bottom[column]
    heights = np.bincount(column, minlength=count) * pixel_mm
    places = np.bincount(column, along_mm, minlength=count).astype(np.float64)
    filled = heights > 0
    places[filled] *= pixel_mm / heights[filled]
    measured = filled & (np.abs(places - middle) < _MEASURED_ALONG * half_mm)
    return _Section(
        signal=view.pictures[index][mask] / marrow,
        along=(along_mm - middle) / half_mm,
        across=(2 * across_mm - high - low) / (low - high),
        heights_mm=heights[measured],
        length_mm=2 * float(half_mm),
    )


def _features(sections: list[_Section]) -> DiscFeatures:
    each = np.array([_signal(section) + _shape(section) for section in sections])
    disc, nucleus, rim_gap, edge_gap, height, length, wedging, bulging = np.median(
        each, axis=0
    ).tolist()
    pooled = np.concatenate([section.signal for section in sections])
    return DiscFeatures(
        disc_to_marrow=float(np.log(max(disc, _DARKEST))),
        nucleus_to_marrow=float(np.log(max(nucleus, _DARKEST))),
        nucleus_less_rim=rim_gap,
        peak_distance=_peak_distance(pooled),
        centre_less_edge=edge_gap,
        log_height=float(np.log(height)),
        log_height_to_length=float(np.log(height / length)),
        wedging=wedging,
        bulging_mm=bulging,
    )


def _signal(section: _Section) -> tuple[float, float, float, float]:
    """Return disc, nucleus, nucleus less rim, and centre less edge."""
    signal = section.signal
    along, across = np.abs(section.along), np.abs(section.across)
    nucleus = _part(signal, (along < _NUCLEUS_ALONG) & (across < _NUCLEUS_ACROSS))
    rim = _part(signal, along > _RIM_ALONG)
    middle = along < _CENTRE_ALONG
    centre = _part(signal, middle & (across < _CENTRE_ACROSS))
    edge = _part(signal, middle & (across > _EDGE_ACROSS))
    return (
        float(np.median(signal)),
        float(np.median(nucleus)),
        float(nucleus.mean() - np.median(rim)),
        float(centre.mean() - edge.mean()),
    )


def _part(
    signal: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the chosen pixels; all where a thin disc has none of them."""
    return signal[chosen] if chosen.any() else signal


def _shape(section: _Section) -> tuple[float, float, float, float]:
    """Return mean height, length (mm), wedging, and how far the middle bulges (mm)."""
    front, middle, back = (
        float(third.mean()) for third in np.array_split(section.heights_mm, 3)
    )
    mean = float(section.heights_mm.mean())
    wedging = abs(front - back) / mean
    return mean, section.length_mm, wedging, middle - (front + back) / 2


def _peak_distance(signal: NDArray[np.float64]) -> float:
    from scipy import ndimage

    edges = np.arange(-_BIN / 2, _HIGHEST + _BIN, _BIN)
    counts = np.histogram(np.clip(signal, 0, _HIGHEST), edges)[0]
    smooth = ndimage.gaussian_filter1d(
        counts.astype(np.float64), _SMOOTH_BINS, mode="constant"
    )
    bins = np.arange(len(smooth))
    first = int(smooth.argmax())
    second = int((np.abs(bins - _SECOND_PEAK_SHARE * first) * smooth).argmax())
    return abs(first - second) * _BIN

"""What machines do to a series: each alteration by its name, made from the sound one.

Axes of the voxels: slices, rows towards the feet, columns towards the back. Noise is of
fixed seeds, so that a run can be repeated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE
from tests.accuracy.faults import ghosted

Labels = NDArray[np.uint8]
Grey = NDArray[np.float32]
Alter = Callable[[Volume, Labels], Volume]
"""Of a series and the numbers of its structures, voxel by voxel."""

_FAT_OF_MARROW = 0.5
_TOP_PERCENT = 99.0
_BODIES = [one.number for one in VERTEBRAE]
_DISCS = [one.number for one in DISCS]


def with_voxels(volume: Volume, voxels: NDArray[np.floating]) -> Volume:
    """Return a series with other grey values."""
    return dataclasses.replace(
        volume, voxels=np.ascontiguousarray(voxels, dtype=np.float32)
    )


def with_spacing(volume: Volume, scale: tuple[float, float, float]) -> Volume:
    """Return a series whose header states other spacings."""
    frame = Frame(
        origin_mm=volume.frame.origin_mm,
        directions=volume.frame.directions,
        spacing_mm=volume.frame.spacing_mm * scale,
    )
    return dataclasses.replace(volume, frame=frame)


def top(volume: Volume) -> float:
    """Return the signal that one voxel in a hundred exceeds."""
    return float(np.percentile(volume.voxels, _TOP_PERCENT))


def noisy(share: float) -> Alter:
    """Add noise to both parts of the complex picture (Rician), as a share of `top`."""

    def alter(volume: Volume, _: Labels) -> Volume:
        noise = np.random.default_rng(0).normal(
            0.0, share * top(volume), (2, *volume.voxels.shape)
        )
        return with_voxels(volume, np.hypot(volume.voxels + noise[0], noise[1]))

    return alter


def overlaid(share: float, away: float, axis: int) -> Alter:
    """Lay a ghost of the picture over it, moved by a part of the field of view."""

    def alter(volume: Volume, _: Labels) -> Volume:
        steps = round(away * volume.voxels.shape[axis])
        ghost = np.roll(volume.voxels, steps, axis=axis)
        return with_voxels(volume, np.abs(volume.voxels + 1j * share * ghost))

    return alter


def wrapped(part: slice, axis: int, onto: float) -> Alter:
    """Fold a part of the field of view, in percent, onto another place of it."""

    def alter(volume: Volume, _: Labels) -> Volume:
        size = volume.voxels.shape[axis]
        first, last = (round(size * at / 100) for at in (part.start, part.stop))
        folded = np.zeros_like(volume.voxels)
        source = np.take(volume.voxels, range(first, last), axis=axis)
        start = min(round(onto * size), size - (last - first))
        there = [slice(None)] * 3
        there[axis] = slice(start, start + last - first)
        folded[tuple(there)] = source
        return with_voxels(volume, volume.voxels + folded)

    return alter


def truncated(share: float, axes: tuple[int, ...]) -> Alter:
    """Keep the middle of k-space alone: edges ring, and the picture is blurred."""

    def alter(volume: Volume, _: Labels) -> Volume:
        lines = np.fft.fftn(volume.voxels, axes=axes)
        for axis in axes:
            away = np.abs(np.fft.fftfreq(volume.voxels.shape[axis]))
            shape = [1, 1, 1]
            shape[axis] = -1
            lines = lines * (away <= share / 2).reshape(shape)
        return with_voxels(volume, np.abs(np.fft.ifftn(lines, axes=axes)))

    return alter


def zero_filled(times: int) -> Alter:
    """Interpolate within the slices by zeros around k-space."""

    def alter(volume: Volume, _: Labels) -> Volume:
        _, rows, columns = volume.voxels.shape
        lines = np.fft.fftshift(np.fft.fft2(volume.voxels), axes=(1, 2))
        more = [(n * (times - 1) // 2,) * 2 for n in (rows, columns)]
        lines = np.fft.ifftshift(np.pad(lines, [(0, 0), *more]), axes=(1, 2))
        fine = np.abs(np.fft.ifft2(lines)) * (lines[0].size / (rows * columns))
        spread = [n / m for n, m in zip((rows, columns), fine.shape[1:], strict=True)]
        return with_spacing(with_voxels(volume, fine), (1.0, spread[0], spread[1]))

    return alter


def chemically_shifted(length_mm: float, axis: int) -> Alter:
    """Move fat along the read direction: half of marrow, all outside of the spine."""

    def alter(volume: Volume, labels: Labels) -> Volume:
        fat = np.full(labels.shape, 0.8, np.float32)
        fat[np.isin(labels, _BODIES)] = _FAT_OF_MARROW
        fat[np.isin(labels, [CANAL.number, *_DISCS])] = 0.0
        away = [0.0, 0.0, 0.0]
        away[axis] = length_mm / float(volume.frame.spacing_mm[axis])
        there = ndimage.shift(volume.voxels * fat, away, order=1, mode="nearest")
        return with_voxels(volume, volume.voxels * (1 - fat) + there)

    return alter


def shaded(scale_mm: float, axis: int, from_end: bool) -> Alter:
    """Let the coil's sensitivity fall by 1/e over a length, from one end on."""

    def alter(volume: Volume, _: Labels) -> Volume:
        size = volume.voxels.shape[axis]
        away = np.arange(size) * float(volume.frame.spacing_mm[axis])
        gain = np.exp(-(away[::-1] if from_end else away) / scale_mm)
        shape = [1, 1, 1]
        shape[axis] = -1
        return with_voxels(volume, volume.voxels * gain.reshape(shape))

    return alter


def fluid_times(factor: float) -> Alter:
    """Weaken all fluid of the canal, as flow does or proton density weighting."""

    def alter(volume: Volume, labels: Labels) -> Volume:
        voxels = volume.voxels.copy()
        voxels[labels == CANAL.number] *= factor
        return with_voxels(volume, voxels)

    return alter


def flow_voids(volume: Volume, labels: Labels) -> Volume:
    """Take the signal from blobs of 6 to 10 mm in two fifths of the inner canal.

    At the wall, 2 mm of it, fluid hardly flows.
    """
    sd_px = 4.0 / volume.frame.spacing_mm
    rough = np.random.default_rng(0).normal(size=volume.voxels.shape)
    soft = ndimage.gaussian_filter(rough, sd_px)
    wall_px = np.rint(2.0 / volume.frame.spacing_mm[1:]).astype(int)
    inner = np.ones((1, *(2 * wall_px + 1)), np.bool_)
    canal = ndimage.binary_erosion(labels == CANAL.number, inner)
    if not canal.any():
        return volume
    void = canal & (soft < np.percentile(soft[canal], 40))
    weak = ndimage.gaussian_filter(void.astype(np.float32), (0, 1, 1))
    return with_voxels(volume, volume.voxels * (1 - 0.85 * weak * canal))


def fat_saturated(volume: Volume, labels: Labels) -> Volume:
    """Suppress fat in the upper half of the picture alone."""
    fat = np.full(labels.shape, 0.9, np.float32)
    fat[np.isin(labels, _BODIES)] = _FAT_OF_MARROW
    fat[np.isin(labels, [CANAL.number, *_DISCS])] = 0.0
    rows = np.arange(labels.shape[1])
    works = 1 / (1 + np.exp((rows - rows.size / 2) / (0.04 * rows.size)))
    return with_voxels(volume, volume.voxels * (1 - fat * works[:, None]))


def smoothed(length_mm: float) -> Alter:
    """Smooth by a median over a length, as a reconstruction that removes all grain."""

    def alter(volume: Volume, _: Labels) -> Volume:
        rows, columns = (
            max(3, 2 * round(length_mm / float(one) / 2) + 1)
            for one in volume.frame.spacing_mm[1:]
        )
        return with_voxels(
            volume, ndimage.median_filter(volume.voxels, (1, rows, columns))
        )

    return alter


def blurred(length_mm: float) -> Alter:
    """Blur within the slices by a Gaussian of a standard deviation."""

    def alter(volume: Volume, _: Labels) -> Volume:
        rows, columns = length_mm / volume.frame.spacing_mm[1:]
        return with_voxels(
            volume, ndimage.gaussian_filter(volume.voxels, (0, rows, columns))
        )

    return alter


def of_levels(count: int) -> Alter:
    """Store no more than some grey levels."""

    def alter(volume: Volume, _: Labels) -> Volume:
        step = float(volume.voxels.max()) / (count - 1)
        return with_voxels(volume, np.rint(volume.voxels / step))

    return alter


def clipped(percent: float) -> Alter:
    """Clip at the signal that the rest of the voxels exceeds, as a window does."""

    def alter(volume: Volume, _: Labels) -> Volume:
        most = np.percentile(volume.voxels, percent)
        return with_voxels(volume, np.minimum(volume.voxels, most))

    return alter


def clipped_at_fluid(percent: float) -> Alter:
    """Clip at a percentile of the signal of the canal."""

    def alter(volume: Volume, labels: Labels) -> Volume:
        canal = volume.voxels[labels == CANAL.number]
        return with_voxels(
            volume, np.minimum(volume.voxels, np.percentile(canal, percent))
        )

    return alter


def added(share: float) -> Alter:
    """Add a part of `top` to all values: an intercept that was lost or made up."""

    def alter(volume: Volume, _: Labels) -> Volume:
        return with_voxels(volume, volume.voxels + share * top(volume))

    return alter


def of_gamma(power: float) -> Alter:
    """Bend the grey scale, as a table of values (Modality LUT) does."""

    def alter(volume: Volume, _: Labels) -> Volume:
        most = float(volume.voxels.max())
        return with_voxels(volume, most * (volume.voxels / most) ** power)

    return alter


def inverted(volume: Volume, _: Labels) -> Volume:
    """Show the negative."""
    return with_voxels(volume, volume.voxels.max() - volume.voxels)


def gained(gains: Callable[[int], NDArray[np.float64]]) -> Alter:
    """Multiply each slice by its own factor."""

    def alter(volume: Volume, _: Labels) -> Volume:
        of_slices = gains(len(volume.voxels))
        return with_voxels(volume, volume.voxels * of_slices[:, None, None])

    return alter


def _middle_gained(factor: float) -> Callable[[int], NDArray[np.float64]]:
    def gains(count: int) -> NDArray[np.float64]:
        one = np.ones(count)
        one[count // 2] = factor
        return one

    return gains


def _each_gained(count: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).uniform(0.5, 2.0, count)


def middle_slice(change: Callable[[Grey, Grey], Grey]) -> Alter:
    """Replace the middle slice by what is made of it and of its neighbour."""

    def alter(volume: Volume, _: Labels) -> Volume:
        voxels, middle = volume.voxels.copy(), len(volume.voxels) // 2
        voxels[middle] = change(voxels[middle], voxels[middle + 1])
        return with_voxels(volume, voxels)

    return alter


def without_middle(volume: Volume, _: Labels) -> Volume:
    """Leave out the middle slice, and close the gap."""
    return with_voxels(volume, np.delete(volume.voxels, len(volume.voxels) // 2, 0))


def whole(change: Callable[[Grey], Grey]) -> Alter:
    """Turn every slice in the same way, and not its header."""
    return lambda volume, _: with_voxels(volume, change(volume.voxels))


def with_implant(volume: Volume, labels: Labels) -> Volume:
    """Make a void of 25 mm with a bright rim in L4, and pull its surroundings in."""
    mine = labels == VERTEBRAE[2].number
    if not mine.any():
        return volume
    _, row, column = np.argwhere(mine).mean(axis=0)
    _, row_mm, column_mm = volume.frame.spacing_mm
    rows, columns = np.indices(labels.shape[1:])
    away = np.hypot((rows - row) * row_mm, (columns - column) * column_mm)
    voxels = volume.voxels.copy()
    voxels[:, (away >= 12.5) & (away < 15)] = voxels.max()
    voxels[:, away < 12.5] = 0
    return with_voxels(volume, voxels)


def rescaled(scale: tuple[float, float, float]) -> Alter:
    """State other spacings."""
    return lambda volume, _: with_spacing(volume, scale)


FAULTS: dict[str, Alter] = {
    "noise 2 %": noisy(0.02),
    "noise 4 %": noisy(0.04),
    "noise 8 %": noisy(0.08),
    "noise 16 %": noisy(0.16),
    "motion, 4 mm, 40 % of lines": lambda volume, _: ghosted(volume),
    "ghost 15 %, head-feet": overlaid(0.15, 0.25, 1),
    "ghost 30 %, head-feet": overlaid(0.30, 0.25, 1),
    "ghost 30 %, front-back": overlaid(0.30, 0.2, 2),
    "belly wrapped over the spine": wrapped(slice(0, 25), 2, 0.45),
    "back wrapped over the spine": wrapped(slice(75, 100), 2, 0.4),
    "chest wrapped over the sacrum": wrapped(slice(0, 20), 1, 0.7),
    "half of k-space lines, rows": truncated(0.5, (1,)),
    "half of k-space, both": truncated(0.5, (1, 2)),
    "a third of k-space, both": truncated(0.33, (1, 2)),
    "zero filled x2": zero_filled(2),
    "chemical shift 1 mm, head-feet": chemically_shifted(1.0, 1),
    "chemical shift 2 mm, head-feet": chemically_shifted(2.0, 1),
    "chemical shift 2 mm, front-back": chemically_shifted(2.0, 2),
    "coil, 1/e in 80 mm to the front": shaded(80.0, 2, from_end=True),
    "coil, 1/e in 40 mm to the front": shaded(40.0, 2, from_end=True),
    "coil, 1/e in 100 mm to the feet": shaded(100.0, 1, from_end=False),
    "flow voids in the canal": flow_voids,
    "fluid x 0.7": fluid_times(0.7),
    "fluid x 0.5": fluid_times(0.5),
    "fat saturated in the upper half": fat_saturated,
    "median over 2 mm": smoothed(2.0),
    "median over 4 mm": smoothed(4.0),
    "blur 0.5 mm": blurred(0.5),
    "blur 1 mm": blurred(1.0),
    "64 grey levels": of_levels(64),
    "32 grey levels": of_levels(32),
    "16 grey levels": of_levels(16),
    "clipped at 98 %": clipped(98),
    "clipped at 90 %": clipped(90),
    "clipped at 97 % of fluid": clipped_at_fluid(97),
    "clipped at 93 % of fluid": clipped_at_fluid(93),
    "clipped at 50 % of fluid": clipped_at_fluid(50),
    "10 % added": added(0.1),
    "20 % added": added(0.2),
    "50 % added": added(0.5),
    "grey scale to the power of 0.5": of_gamma(0.5),
    "grey scale to the power of 2": of_gamma(2.0),
    "negative": inverted,
    "middle slice x 0.5": gained(_middle_gained(0.5)),
    "middle slice x 2": gained(_middle_gained(2.0)),
    "each slice x 0.5 to 2": gained(_each_gained),
    "middle slice twice": middle_slice(lambda _, other: other),
    "middle slice upside down": middle_slice(lambda own, _: own[::-1]),
    "middle slice front to back": middle_slice(lambda own, _: own[:, ::-1]),
    "middle slice missing": without_middle,
    "all upside down": whole(lambda voxels: voxels[:, ::-1]),
    "all front to back": whole(lambda voxels: voxels[:, :, ::-1]),
    "pixels stated twice as large": rescaled((1, 2, 2)),
    "pixels stated half as large": rescaled((1, 0.5, 0.5)),
    "pixels stated 1.25 as large": rescaled((1, 1.25, 1.25)),
    "rows stated 1.25 as high": rescaled((1, 1.25, 1)),
    "rows stated 1.6 as high": rescaled((1, 1.6, 1)),
    "slices stated 2 as far apart": rescaled((2, 1, 1)),
    "slices stated half as far apart": rescaled((0.5, 1, 1)),
    "implant of 25 mm in L4": with_implant,
}
OF_SIGNAL = (
    "noise 4 %",
    "noise 8 %",
    "back wrapped over the spine",
    "coil, 1/e in 40 mm to the front",
    "coil, 1/e in 100 mm to the feet",
    "10 % added",
    "middle slice x 0.5",
    "middle slice x 2",
)
"""Those for which the signs of `judge.uneven_signal` were made."""

"""The bundled patient on other grids: the same places in the patient, other indices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from scipy import ndimage

from analysis.contract.geometry import Frame
from tests.support.mr_series import build_enhanced
from tests.support.variants import Change, Series, fresh

Picture = NDArray[np.generic]
Vector = NDArray[np.float64]


def put(instance: Dataset, picture: Picture) -> None:
    """Give an instance other pixels, in the type that they have."""
    instance.Rows, instance.Columns = picture.shape
    bits = 8 * picture.dtype.itemsize
    instance.BitsAllocated, instance.BitsStored = bits, min(bits, 12)
    instance.HighBit = instance.BitsStored - 1
    instance.PixelRepresentation = int(picture.dtype.kind == "i")
    instance.PixelData = np.ascontiguousarray(picture).tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Where the pixels of one instance lie: its corner, and one step along each axis.

    Parameters
    ----------
    across, down : ndarray, shape (3,)
        From one column, one row to the next, mm.
    """

    corner: Vector
    across: Vector
    down: Vector


def plane_of(instance: Dataset) -> Plane:
    """Read the plane of an instance."""
    cosines = np.array(instance.ImageOrientationPatient, np.float64)
    rows_mm, columns_mm = (float(part) for part in instance.PixelSpacing)
    return Plane(
        corner=np.array(instance.ImagePositionPatient, np.float64),
        across=cosines[:3] * columns_mm,
        down=cosines[3:] * rows_mm,
    )


def lay(instance: Dataset, plane: Plane) -> None:
    """Write a plane into an instance."""
    lengths = [float(np.linalg.norm(axis)) for axis in (plane.down, plane.across)]
    cosines = np.concatenate([plane.across / lengths[1], plane.down / lengths[0]])
    instance.ImageOrientationPatient = cosines.round(8).tolist()
    instance.ImagePositionPatient = plane.corner.round(6).tolist()
    instance.PixelSpacing = [round(length, 8) for length in lengths]


def blocks(series: Series, *, rows: int, columns: int) -> Series:
    """Return the series with the mean of each block of pixels as one pixel."""

    def change(instance: Dataset) -> None:
        picture, plane = instance.pixel_array, plane_of(instance)
        high, wide = picture.shape[0] // rows, picture.shape[1] // columns
        parts = picture[: high * rows, : wide * columns].astype(np.float64)
        mean = parts.reshape(high, rows, wide, columns).mean(axis=(1, 3))
        put(instance, np.rint(mean).astype(np.uint16))
        middle = plane.across * (columns - 1) / 2 + plane.down * (rows - 1) / 2
        across, down = plane.across * columns, plane.down * rows
        lay(instance, Plane(corner=plane.corner + middle, across=across, down=down))

    return fresh(series, change)


def right_to_left_and_back_to_front(series: Series) -> Series:
    """Return the series with columns to the front and its instances counted back."""

    def change(instance: Dataset) -> None:
        picture, plane = instance.pixel_array, plane_of(instance)
        last = picture.shape[1] - 1
        put(instance, np.take(picture, np.arange(last, -1, -1), axis=1))
        corner = plane.corner + last * plane.across
        lay(instance, Plane(corner=corner, across=-plane.across, down=plane.down))
        instance.InstanceNumber = 1 + len(series) - int(instance.InstanceNumber)

    return fresh(series, change)


def on_its_side(series: Series) -> Series:
    """Return the series with rows to the back and columns to the feet."""

    def change(instance: Dataset) -> None:
        plane = plane_of(instance)
        put(instance, instance.pixel_array.T)
        lay(instance, Plane(corner=plane.corner, across=plane.down, down=plane.across))

    return fresh(series, change)


def moved(turn: Vector) -> Change:
    """Return a change that turns patient and slices as one: an oblique series."""

    def change(instance: Dataset) -> None:
        plane = plane_of(instance)
        lay(
            instance,
            Plane(
                corner=turn @ plane.corner,
                across=turn @ plane.across,
                down=turn @ plane.down,
            ),
        )

    return change


def sampled_askew(series: Series, *, angle_deg: float) -> Series:
    """Return the patient where he is, sampled on rows that are turned in the plane."""
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    turn = np.array([[cos, -sin], [sin, cos]])  # of (row, column)

    def change(instance: Dataset) -> None:
        picture, plane = instance.pixel_array, plane_of(instance)
        middle = (np.array(picture.shape) - 1) / 2
        offset = middle - turn @ middle
        turned = ndimage.affine_transform(
            picture.astype(np.float64), turn, offset=offset, order=1
        )
        put(instance, np.rint(turned).astype(np.uint16))
        steps = np.stack([plane.down, plane.across], axis=1)
        down, across = (steps @ turn).T
        corner = plane.corner + steps @ offset
        lay(instance, Plane(corner=corner, across=across, down=down))

    return fresh(series, change)


def as_enhanced(series: Series) -> Series:
    """Return the series as one Enhanced MR instance, its frames out of order."""
    planes = [plane_of(instance) for instance in series]
    across, down = planes[0].across, planes[0].down
    spacing_mm = [float(np.linalg.norm(axis)) for axis in (down, across)]
    row_axis, column_axis = down / spacing_mm[0], across / spacing_mm[1]
    normal = np.cross(column_axis, row_axis)
    order = sorted(range(len(series)), key=lambda k: float(planes[k].corner @ normal))
    first, last = (planes[order[k]].corner for k in (0, -1))
    between_mm = float((last - first) @ normal) / (len(series) - 1)
    frame = Frame(
        origin_mm=first,
        directions=np.stack([normal, row_axis, column_axis], axis=1),
        spacing_mm=np.array([between_mm, *spacing_mm]),
    )
    voxels = np.stack([series[k].pixel_array for k in order]).astype(np.float32)
    shuffled = [*range(1, len(series), 2), *range(0, len(series), 2)]
    return [build_enhanced(voxels, frame, frame_order=shuffled)]

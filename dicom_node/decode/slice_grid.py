"""Slices in the patient → one uniform grid, or the numbers that forbid it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from dicom_node.errors import GeometryError

_PERPENDICULAR_TOLERANCE = 2e-3
"""Cosine between row and column direction; rounding to three decimals reaches it."""
_LENGTH_TOLERANCE = 1e-2
"""Of a direction's length from 1, for the same reason."""
_SAME_ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of a direction cosine within one stack (0.06 degrees)."""
_SAME_SPACING_TOLERANCE = 1e-3
"""Relative difference of pixel spacing within one stack."""
_SAME_POSITION_MM = 0.01
_UNEVEN_TOLERANCE = 0.05
"""Largest deviation of a gap from the usual one, as a part of it: a missing slice makes
1.0, positions rounded to 0.1 mm at 2 mm spacing make 0.05."""
_WOVEN = 1.5
"""Stated distance of two slices, as a part of the measured one, from which on the
slices cannot be of one stack: between those of one lie those of another."""
_SHEAR_TOLERANCE_PIXELS = 0.5
"""Largest offset in the plane of a slice from where the grid puts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One picture: which instance and frame holds it, and where it lies.

    Parameters
    ----------
    instance
        Index into the instances of the series.
    frame
        Index of the frame within its instance.
    position_mm, orientation, pixel_spacing_mm
        (0020,0032), (0020,0037), (0028,0030); None where missing.
    shape
        Rows, columns.
    thickness_mm
        Stated distance to the next slice, else thickness; used for a lone slice only.
    stated_spacing_mm
        Distance to the next slice as stated, or at least the thickness of a slice that
        was excited alone; None where nothing tells.
    """

    instance: int
    frame: int
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing_mm: tuple[float, float] | None
    shape: tuple[int, int]
    thickness_mm: float | None = None
    stated_spacing_mm: float | None = None


def arrange(slices: Sequence[Slice]) -> tuple[tuple[int, ...], Frame]:
    """Sort slices along their normal and describe the grid that they form.

    The normal is column direction x row direction, so the frame is right-handed
    whatever the order of acquisition.

    Returns
    -------
    order
        Indices into `slices`, K of the volume.
    frame
        The grid.

    Raises
    ------
    GeometryError
        `missing_position`, `missing_orientation`, `missing_spacing`, `mixed_matrix`,
        `mixed_orientation`, `mixed_spacing`, `bad_orientation`, `bad_spacing`,
        `doubled_position`, `several_volumes`, `uneven_spacing`, `sheared_stack`.

    References
    ----------
    PS3.3 C.7.6.2.1.1, image position and orientation.
    """
    _check_present(slices)
    _check_alike(slices)
    column_axis, row_axis, normal = _axes(slices[0].orientation or ())
    spacing = _pixel_spacing(slices[0].pixel_spacing_mm or (0, 0))
    positions = np.array([each.position_mm for each in slices], dtype=np.float64)
    depths = positions @ normal
    order = np.argsort(depths, kind="stable")
    between = _slice_spacing(slices, depths[order])
    frame = Frame(
        origin_mm=positions[order[0]],
        directions=np.stack([normal, row_axis, column_axis], axis=1),
        spacing_mm=np.array([between, *spacing]),
    )
    _check_stacked(frame, positions[order])
    return tuple(int(index) for index in order), frame


def _check_present(slices: Sequence[Slice]) -> None:
    for reason, name, absent in (
        (
            "missing_orientation",
            "Image Orientation (Patient)",
            sum(each.orientation is None for each in slices),
        ),
        (
            "missing_position",
            "Image Position (Patient)",
            sum(each.position_mm is None for each in slices),
        ),
        (
            "missing_spacing",
            "Pixel Spacing",
            sum(each.pixel_spacing_mm is None for each in slices),
        ),
    ):
        if absent:
            text = f"{absent} of {len(slices)} slices have no {name}"
            raise GeometryError(reason, text)


def _check_alike(slices: Sequence[Slice]) -> None:
    shapes = sorted({each.shape for each in slices})
    if len(shapes) > 1:
        sizes = ", ".join(f"{rows} x {columns}" for rows, columns in shapes[:4])
        raise GeometryError(
            reason="mixed_matrix", text=f"slices of different size: {sizes}"
        )
    cosines = np.array([each.orientation for each in slices])
    differing = np.abs(cosines - cosines[0]).max(axis=1) > _SAME_ORIENTATION_TOLERANCE
    if differing.any():
        text = (
            f"{int(differing.sum())} of {len(slices)} slices are oriented otherwise "
            "than the first"
        )
        raise GeometryError(reason="mixed_orientation", text=text)
    spacings = np.array([each.pixel_spacing_mm for each in slices])
    if not np.allclose(spacings, spacings[0], rtol=_SAME_SPACING_TOLERANCE, atol=0):
        low, high = spacings.min(), spacings.max()
        text = f"pixel spacing differs between slices: {low:.4f} to {high:.4f} mm"
        raise GeometryError(reason="mixed_spacing", text=text)


def _axes(
    cosines: tuple[float, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return unit vectors along which column, row and slice index grow."""
    column_axis, row_axis = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.linalg.norm([column_axis, row_axis], axis=1)
    if (np.abs(lengths - 1) > _LENGTH_TOLERANCE).any():
        text = (
            "direction cosines have lengths "
            f"{lengths[0]:.3f} and {lengths[1]:.3f}, expected 1"
        )
        raise GeometryError(reason="bad_orientation", text=text)
    column_axis, row_axis = column_axis / lengths[0], row_axis / lengths[1]
    cosine = float(column_axis @ row_axis)
    if abs(cosine) > _PERPENDICULAR_TOLERANCE:
        angle_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        text = f"rows and columns meet at {angle_deg:.2f} degrees, expected 90"
        raise GeometryError(reason="bad_orientation", text=text)
    normal = np.cross(column_axis, row_axis)
    normal /= np.linalg.norm(normal)
    return column_axis, np.cross(normal, column_axis), normal


def _pixel_spacing(spacing_mm: tuple[float, float]) -> tuple[float, float]:
    if min(spacing_mm) <= 0:
        text = f"pixel spacing {spacing_mm[0]:.4f} x {spacing_mm[1]:.4f} mm"
        raise GeometryError(reason="bad_spacing", text=f"{text}, expected more than 0")
    return spacing_mm


def _slice_spacing(slices: Sequence[Slice], depths_mm: NDArray[np.float64]) -> float:
    if len(slices) == 1:
        between = slices[0].thickness_mm
        if between is None or between <= 0:
            text = "a lone slice has neither slice thickness nor spacing"
            raise GeometryError(reason="missing_spacing", text=text)
        return between
    gaps = np.diff(depths_mm)
    doubled = int((gaps < _SAME_POSITION_MM).sum())
    if doubled:
        _refuse_doubled(len(slices), positions=len(slices) - doubled)
    usual = float(np.median(gaps))
    worst = int(np.argmax(np.abs(gaps - usual)))
    if abs(gaps[worst] - usual) > _UNEVEN_TOLERANCE * usual:
        text = (
            f"slices {worst + 1} and {worst + 2} of {len(slices)} are "
            f"{gaps[worst]:.2f} mm apart, the others {usual:.2f} mm "
            f"(tolerance {_UNEVEN_TOLERANCE:.0%})"
        )
        raise GeometryError(reason="uneven_spacing", text=text)
    extent_mm = float(depths_mm[-1] - depths_mm[0])
    _refuse_woven(slices, usual, extent_mm)
    return extent_mm / (len(slices) - 1)


def _refuse_woven(slices: Sequence[Slice], spacing_mm: float, extent_mm: float) -> None:
    """Refuse several stacks of which the slices of one lie between those of another.

    A distance in which the whole stack has room tells nothing of its slices.
    """
    stated_mm = min((each.stated_spacing_mm or 0.0 for each in slices), default=0.0)
    if not _WOVEN * spacing_mm <= stated_mm <= extent_mm:
        return
    text = (
        f"slices lie {spacing_mm:.2f} mm apart where {stated_mm:.2f} mm are stated, as "
        "if several series were woven into one"
    )
    raise GeometryError(reason="several_volumes", text=text)


def _refuse_doubled(count: int, *, positions: int) -> None:
    if count % positions == 0:
        text = (
            f"{count // positions} pictures at each of {positions} positions, such as "
            "several echoes or repetitions"
        )
        raise GeometryError(reason="several_volumes", text=text)
    text = f"{count} pictures at {positions} positions: some positions occur twice"
    raise GeometryError(reason="doubled_position", text=text)


def _check_stacked(frame: Frame, positions_mm: NDArray[np.float64]) -> None:
    count = len(positions_mm)
    indices = np.zeros((count, 3))
    indices[:, 0] = np.arange(count)
    offsets = frame.to_index(positions_mm) - indices
    in_plane = np.abs(offsets[:, 1:])
    if in_plane.max(initial=0.0) <= _SHEAR_TOLERANCE_PIXELS:
        return
    run = positions_mm[-1] - positions_mm[0]
    along = abs(float(run @ frame.directions[:, 0]))
    angle_deg = np.degrees(np.arccos(np.clip(along / np.linalg.norm(run), -1, 1)))
    text = (
        f"slices are stacked {angle_deg:.2f} degrees off their normal; one lies "
        f"{in_plane.max():.1f} pixels from a straight stack "
        f"(limit {_SHEAR_TOLERANCE_PIXELS} pixels)"
    )
    raise GeometryError(reason="sheared_stack", text=text)

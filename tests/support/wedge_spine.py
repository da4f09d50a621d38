"""A spine of straight edges, whose every height and length is known in closed form.

It is drawn in the patient's mm (LPS): vertebrae and discs are quadrangles in the
median plane, extruded to both sides, stacked from S1 upwards with a lordosis.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.imaging.sagittal_grid import SagittalGrid, sagittal_grid
from analysis.lumbar.anatomy.structures import Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, PIXEL_MM, TissueMap

Vector = NDArray[np.float64]

BODY_HEIGHT_MM = 27.0
BODY_DEPTH_MM = 34.0
GAP_MM = 0.8
"""End plate and cortex: neither body nor disc."""
GREY = {
    Tissue.BACKGROUND: 12.0,
    Tissue.BODY: 90.0,
    Tissue.S1: 90.0,
    Tissue.DISC: 60.0,
    Tissue.CANAL: 200.0,
    Tissue.POSTERIOR: 40.0,
}
_BODY_SIDE_MM, _CANAL_SIDE_MM = 22.0, 9.0
_CANAL_BEHIND_MM = (20.0, 34.0)
_S1_HEIGHT_MM, _S1_DEPTH_MM = 24.0, 32.0
_BONE = (Tissue.BODY, Tissue.S1)
_HOLLOW_SHARES = (0.12, 0.65, 0.88)
"""Of the depth of an end plate: where a hollow begins, is deepest and ends."""
_FIFTHS = (np.arange(5) + 0.5) / 5 - 0.5
_SUBPIXELS_AT = np.array([(row, column) for row in _FIFTHS for column in _FIFTHS])
"""Row and column from the centre of a pixel."""
_NOISE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WedgeDisc:
    """A disc: height in its middle, length, and how much it opens to the front."""

    height_mm: float
    length_mm: float = 36.0
    wedge_deg: float = 0.0


DISCS = (
    WedgeDisc(height_mm=9.0, length_mm=33.0, wedge_deg=12.0),
    WedgeDisc(height_mm=11.0, length_mm=36.0, wedge_deg=9.0),
    WedgeDisc(height_mm=10.0, length_mm=37.0, wedge_deg=6.0),
    WedgeDisc(height_mm=8.5, length_mm=35.0, wedge_deg=3.0),
    WedgeDisc(height_mm=7.0, length_mm=34.0),
    WedgeDisc(height_mm=6.0, length_mm=33.0),
)
"""From L5/S1 upwards to T12/L1."""

Polygon = tuple[Tissue, Vector, float]
"""Tissue, corners (y, z) in mm, half width to the sides (mm)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WedgeSpine:
    """The stack, in its own frame and turned as a whole in the patient.

    Parameters
    ----------
    discs
        From L5/S1 upwards.
    sacral_slope_deg
        Tilt of the upper end plate of S1.
    turn : ndarray, shape (3, 3)
        Rotation of the whole spine in the patient.
    promontory_deg
        By how much the front of S1 leans back against its upper end plate; its rear
        leans by half of that.
    s1_as
        What S1 is called: a network may take it for a body.
    low_body, low_body_mm
        A compressed body, counted upwards with L5 as 0, and its height.
    hollow_mm
        How deep disc reaches into every end plate; deepest behind the middle.
    slipped, slip_mm
        A body, counted upwards with L5 as 0, that lies so far before the one below;
        those above go with it.
    """

    discs: tuple[WedgeDisc, ...] = DISCS
    sacral_slope_deg: float = 35.0
    promontory_deg: float = 40.0
    turn: Vector = field(default_factory=lambda: np.eye(3))
    s1_as: Tissue = Tissue.S1
    low_body: int | None = None
    low_body_mm: float = BODY_HEIGHT_MM
    hollow_mm: float = 0.0
    slipped: int | None = None
    slip_mm: float = 0.0

    def polygons(self) -> list[Polygon]:
        """Return all quadrangles, S1 first."""
        angle = np.deg2rad(self.sacral_slope_deg)
        up = np.array([-np.sin(angle), np.cos(angle)])
        spot = np.array([0.0, -95.0])
        base = spot - up * _S1_HEIGHT_MM
        sacrum = _box(base, up, _S1_HEIGHT_MM, _S1_DEPTH_MM)
        front, rear = (
            _back(up) * _S1_HEIGHT_MM * np.tan(np.deg2rad(self.promontory_deg * share))
            for share in (1.0, 0.5)
        )
        sacrum[:2] += [front, rear]
        shapes: list[Polygon] = [(self.s1_as, sacrum, _BODY_SIDE_MM)]
        behind = [_behind(base + rear, up)]
        for place, disc in enumerate(self.discs):
            high_mm = self.low_body_mm if place == self.low_body else BODY_HEIGHT_MM
            half = np.deg2rad(disc.wedge_deg) / 2
            up = _rotated(up, half)
            spot = spot + up * GAP_MM
            shapes.append((Tissue.DISC, _wedge(spot, up, disc), _BODY_SIDE_MM))
            behind.append(_behind(spot, up))
            spot = spot + up * (disc.height_mm + GAP_MM)
            up = _rotated(up, half)
            if place == self.slipped:
                spot = spot - _back(up) * self.slip_mm
            body = _box(spot, up, high_mm, BODY_DEPTH_MM)
            shapes.append((Tissue.BODY, body, _BODY_SIDE_MM))
            spot = spot + up * high_mm
        behind.append(_behind(spot, up))
        for low, high in pairwise(behind):
            quad = np.array([low[0], low[1], high[1], high[0]])
            shapes.append((Tissue.CANAL, quad, _CANAL_SIDE_MM))
        return shapes

    def hollows(self) -> list[Vector]:
        """Return the triangles (y, z) by which discs reach into end plates."""
        if not self.hollow_mm:
            return []
        boxes = [corners for kind, corners, _ in self.polygons() if kind in _BONE]
        plates = [(box[3], box[2], box[0]) for box in boxes]
        plates += [(box[0], box[1], box[3]) for box in boxes[1:]]
        triangles = []
        for front, rear, across in plates:
            inward = (across - front) / np.linalg.norm(across - front)
            first, deepest, last = (front + s * (rear - front) for s in _HOLLOW_SHARES)
            triangles.append(np.array([first, last, deepest + inward * self.hollow_mm]))
        return triangles

    def coverage(
        self, frame: Frame, shape: tuple[int, int, int], index: int
    ) -> NDArray[np.float64]:
        """Return the share of each tissue in the pixels of one slice (6, R, C)."""
        shares = np.zeros((len(Tissue), *shape[1:]))
        cut = _Slice(frame=frame, shape=shape, index=index, turn=self.turn)
        for kind, corners, side_mm in self.polygons():
            near, share = cut.share(corners, side_mm)
            shares[kind][near] += share
        for corners in self.hollows():
            near, share = cut.share(corners, _BODY_SIDE_MM)
            for kind in _BONE:
                shares[kind][near] *= 1 - share
            shares[Tissue.DISC][near] += share
        shares = np.minimum(shares, 1.0)
        shares[Tissue.BACKGROUND] = np.maximum(1 - shares[1:].sum(axis=0), 0)
        return shares

    def volume(self, frame: Frame, shape: tuple[int, int, int]) -> Volume:
        """Return a picture in which each tissue has a grey value of its own."""
        greys = np.array([GREY[kind] for kind in Tissue])
        slices = [
            np.tensordot(greys, self.coverage(frame, shape, index), axes=1)
            for index in range(shape[0])
        ]
        noise = np.random.default_rng(7).normal(0.0, _NOISE, shape)
        voxels = (np.stack(slices) + noise).astype(np.float32)
        return Volume(voxels=voxels, frame=frame, series_uid="1.2.3")

    def tissue_map(self, frame: Frame, shape: tuple[int, int, int]) -> TissueMap:
        """Return what a network without fault would answer for a series."""
        grid = sagittal_grid(frame, shape, PIXEL_MM)
        return map_of(grid, self._planes(grid))

    def _planes(self, grid: SagittalGrid) -> NDArray[np.uint8]:
        slices = [
            np.rint(self.coverage(grid.frame, grid.shape, index) * FULL)
            for index in range(grid.shape[0])
        ]
        return np.stack(slices).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Slice:
    """One slice of a series, seen from the frame of the spine."""

    frame: Frame
    shape: tuple[int, int, int]
    index: int
    turn: Vector

    def share(
        self, corners: Vector, side_mm: float
    ) -> tuple[tuple[slice, slice], Vector]:
        """Return a window around a convex polygon, and its share in each pixel there.

        The pixels on its edge are sampled at 25 points each.
        """
        steps = self.turn.T @ (self.frame.directions * self.frame.spacing_mm)
        first = self.turn.T @ self.frame.origin_mm + steps[:, 0] * self.index
        reach = float(self.frame.spacing_mm[1:].max())
        near = self._window(corners, reach, first[1:], steps[1:, 1:])
        row, column = (axis[..., None] for axis in np.ogrid[near])
        centres = first + row * steps[:, 1] + column * steps[:, 2]
        normals = _inward(corners)
        depths = centres[..., 1:] @ normals.T - (corners * normals).sum(axis=1)
        depth_mm = depths.min(axis=-1)
        share = (depth_mm > 0).astype(np.float64)
        edge = np.abs(depth_mm) < reach
        moves = _SUBPIXELS_AT @ steps[1:, 1:].T @ normals.T
        share[edge] = ((depths[edge][:, None] + moves).min(axis=-1) > 0).mean(axis=-1)
        share[np.abs(centres[..., 0]) > side_mm] = 0.0
        return near, share

    def _window(
        self, corners: Vector, reach: float, first: Vector, steps: Vector
    ) -> tuple[slice, slice]:
        low, high = corners.min(axis=0) - reach, corners.max(axis=0) + reach
        box = np.array([low, high, (low[0], high[1]), (high[0], low[1])])
        places = np.linalg.solve(steps, (box - first).T)
        start = np.clip(np.floor(places.min(axis=1)), 0, self.shape[1:]).astype(int)
        stop = np.clip(np.ceil(places.max(axis=1)) + 1, 0, self.shape[1:]).astype(int)
        return slice(start[0], stop[0]), slice(start[1], stop[1])


def map_of(grid: SagittalGrid, planes: NDArray[np.uint8]) -> TissueMap:
    """Return the tissue map of probabilities (K, 6, R, C) in 255ths."""
    tissue = planes.argmax(axis=1).astype(np.uint8)
    return TissueMap(grid=grid, probability=planes, tissue=tissue)


def _rotated(vector: Vector, angle: float) -> Vector:
    """Turn (y, z) so that what points up leans backwards."""
    cos, sin = np.cos(angle), np.sin(angle)
    y, z = vector
    return np.array([cos * y + sin * z, -sin * y + cos * z])


def _back(up: Vector) -> Vector:
    return np.array([up[1], -up[0]])


def _box(spot: Vector, up: Vector, height: float, depth: float) -> Vector:
    half = _back(up) * depth / 2
    top = spot + up * height
    return np.array([spot - half, spot + half, top + half, top - half])


def _wedge(spot: Vector, up: Vector, disc: WedgeDisc) -> Vector:
    middle = spot + up * disc.height_mm / 2
    half_length = disc.length_mm / 2
    open_mm = half_length * np.tan(np.deg2rad(disc.wedge_deg) / 2)
    back = _back(up)
    front_half = up * (disc.height_mm / 2 + open_mm)
    rear_half = up * (disc.height_mm / 2 - open_mm)
    front, rear = middle - back * half_length, middle + back * half_length
    return np.array(
        [front - front_half, rear - rear_half, rear + rear_half, front + front_half]
    )


def _behind(spot: Vector, up: Vector) -> tuple[Vector, Vector]:
    near, far = _CANAL_BEHIND_MM
    return spot + _back(up) * near, spot + _back(up) * far


def _inward(corners: Vector) -> Vector:
    """Return the normals (y, z) of the edges of a convex polygon, to the inside."""
    along = np.roll(corners, -1, axis=0) - corners
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    inside = ((corners.mean(axis=0) - corners) * across).sum(axis=1, keepdims=True) > 0
    return np.where(inside, across, -across)


HEAD, FEET = np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, -1.0])
FRONT, BACK = np.array([0.0, -1.0, 0.0]), np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """How a series lies in the patient; by default straight, 0.8 mm pixels."""

    rows_to: Vector = field(default_factory=lambda: FEET)
    columns_to: Vector = field(default_factory=lambda: BACK)
    turn: Vector = field(default_factory=lambda: np.eye(3))
    spacing_mm: tuple[float, float, float] = (4.0, 0.8, 0.8)
    size_mm: tuple[float, float, float] = (36.0, 290.0, 150.0)

    def frame(self) -> tuple[Frame, tuple[int, int, int]]:
        """Return the frame and the shape of a series centred on the phantom."""
        slices_to = np.cross(self.columns_to, self.rows_to)
        directions = self.turn @ np.stack([slices_to, self.rows_to, self.columns_to], 1)
        thick, high, deep = self.size_mm
        upright = np.array([abs(self.rows_to[2]), abs(self.columns_to[2])])
        extent = np.array([thick, *(upright * high + (1 - upright) * deep)])
        spacing = np.array(self.spacing_mm)
        shape = np.rint(extent / spacing).astype(int)
        origin = -directions @ (spacing * (shape - 1) / 2)
        frame = Frame(origin_mm=origin, directions=directions, spacing_mm=spacing)
        return frame, (int(shape[0]), int(shape[1]), int(shape[2]))


def rotation(axis: str, angle_deg: float) -> Vector:
    """Return the rotation matrix about a patient axis, `x`, `y` or `z`."""
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cos
    matrix[first, second], matrix[second, first] = -sin, sin
    return matrix

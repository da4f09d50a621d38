"""Frames of a SEG → labels on the grid of a series, pixel for pixel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from analysis.contract.geometry import Frame
from dicom_node.decode.headers import orientation_of, position_of, spacing_of
from dicom_node.errors import OutlinesRefusedError

_ON_GRID = 0.1
"""Of a voxel: what lies further from the source's voxels was resampled."""


@dataclass(slots=True, eq=False)
class Canvas:
    """Where the frames are drawn.

    Parameters
    ----------
    labels : ndarray, shape (K, R, C), uint8
        Changed by drawing.
    frame
        Of the series.
    names
        Of label 1, 2, and so on.
    shared
        How many voxels two segments claim, by both labels.
    """

    labels: NDArray[np.uint8]
    frame: Frame
    names: tuple[str, ...]
    shared: dict[tuple[int, int], int] = field(default_factory=dict)

    def draw(self, frame: Dataset, mask: NDArray[np.bool_], number: int | None) -> None:
        """Draw one segment's part of a frame.

        Raises
        ------
        OutlinesRefusedError
            `off_grid` if its pixels are not those of the series,
            `unreadable_segmentation` if its segment is not described.
        """
        if number is None:
            text = "a frame belongs to a segment that the SEG does not describe"
            raise OutlinesRefusedError(reason="unreadable_segmentation", text=text)
        index, rows, columns, is_turned = self._place(frame, mask.shape)
        if is_turned:
            mask = mask.T
        down, across = np.nonzero(mask)
        there = (index, rows[down], columns[across])
        before = self.labels[there]
        claimed = before[(before > 0) & (before != number)]
        for other in np.unique(claimed).tolist():
            both = (other, number)
            count = int((claimed == other).sum())
            self.shared[both] = self.shared.get(both, 0) + count
        self.labels[there] = number

    def check(self) -> None:
        """Refuse voxels of which nobody can say to which structure they belong.

        Raises
        ------
        OutlinesRefusedError
            `overlapping_segments`.
        """
        if not self.shared:
            return
        pairs = (
            f"{self.names[one - 1]} and {self.names[two - 1]} share {count} voxels"
            for (one, two), count in sorted(self.shared.items())
        )
        text = f"segments overlap: {'; '.join(pairs)}"
        raise OutlinesRefusedError(reason="overlapping_segments", text=text)

    def _place(
        self, frame: Dataset, shape: tuple[int, ...]
    ) -> tuple[int, NDArray[np.int64], NDArray[np.int64], bool]:
        """Return slice, rows and columns of the series under a frame's pixels.

        The last value says that the frame's rows are columns of the series.
        """
        corners = self._corners(frame, shape)
        places = np.rint(corners)
        away = float(np.abs(corners - places).max())
        down, across = places[1] - places[0], places[2] - places[0]
        is_turned = bool(down[1] == 0 and shape[0] > 1)
        if is_turned:
            down, across = across, down
        if away > _ON_GRID or down[[0, 2]].any() or across[[0, 1]].any():
            text = (
                f"a frame lies {away:.2f} voxels beside those of the series, limit "
                f"{_ON_GRID}, or across its slices: it was resampled"
            )
            raise OutlinesRefusedError(reason="off_grid", text=text)
        limits = np.array(self.labels.shape)
        if (places < 0).any() or (places >= limits).any():
            text = "a frame lies outside the series"
            raise OutlinesRefusedError(reason="off_grid", text=text)
        return (
            int(places[0, 0]),
            _steps(places[0, 1], down[1]),
            _steps(places[0, 2], across[2]),
            is_turned,
        )

    def _corners(self, frame: Dataset, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return indices of a frame's first pixel, and the ends of column and row."""
        position, spacing = position_of(frame), spacing_of(frame)
        cosines = orientation_of(frame)
        if position is None or spacing is None or cosines is None:
            text = "a frame tells no position, orientation or pixel spacing"
            raise OutlinesRefusedError(reason="off_grid", text=text)
        first = np.array(position)
        down = np.array(cosines[3:]) * spacing[0] * (shape[0] - 1)
        across = np.array(cosines[:3]) * spacing[1] * (shape[1] - 1)
        points = np.stack([first, first + down, first + across])
        indices = self.frame.to_index(points)
        steps = np.abs(indices[1:] - indices[0]).max(axis=1)
        wanted = np.array([shape[0] - 1, shape[1] - 1])
        if (np.abs(steps - wanted) > _ON_GRID).any():
            text = (
                f"pixels of {spacing[0]:.4f} x {spacing[1]:.4f} mm are not those of "
                "the series: it was resampled"
            )
            raise OutlinesRefusedError(reason="off_grid", text=text)
        return indices


def _steps(start: float, reach: float) -> NDArray[np.int64]:
    """Return the indices from a start to its end, both included, either way."""
    count = int(abs(reach)) + 1
    steps = np.arange(count, dtype=np.int64)
    return int(start) + (steps if reach >= 0 else -steps)

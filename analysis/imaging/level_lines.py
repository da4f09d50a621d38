"""Sub-pixel outlines: marching squares over a field of one slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Edges of the square whose upper left pixel is (r, c): 0 top, 1 right, 2 bottom,
# 3 left. For each case (bits: upper left 1, upper right 2, lower right 4, lower left
# 8) the pairs of edges that a line joins, always the same way round. Saddles (5,
# 10) are taken as two separate corners.
_SEGMENTS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((0, 3),),
    2: ((1, 0),),
    3: ((1, 3),),
    4: ((2, 1),),
    5: ((0, 3), (2, 1)),
    6: ((2, 0),),
    7: ((2, 3),),
    8: ((3, 2),),
    9: ((0, 2),),
    10: ((1, 0), (3, 2)),
    11: ((1, 2),),
    12: ((3, 1),),
    13: ((0, 1),),
    14: ((3, 0),),
}
_FLOOR = 1e-12

Edge = tuple[int, int, int]
"""Row, column and direction (0 along the row, 1 along the column) of a pixel pair."""


def outlines(field: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the closed lines on which a field is zero; longest first.

    Parameters
    ----------
    field : ndarray, shape (R, C)
        Positive inside. Outside the array counts as negative.

    Returns
    -------
    list of ndarray, shape (N, 2)
        (row, column), fractional; the first point is repeated at the end.

    References
    ----------
    Lorensen WE, Cline HE. Marching cubes. Computer Graphics 1987;21(4):163-169, in
    two dimensions.
    """
    padded = np.pad(field, 1, constant_values=min(-_FLOOR, -float(abs(field).max())))
    following = _links(padded)
    loops = []
    while following:
        start, edge = following.popitem()
        edges = [start]
        while edge != start:
            edges.append(edge)
            edge = following.pop(edge)
        edges.append(start)
        loops.append(_crossings(padded, edges) - 1.0)
    return sorted(loops, key=len, reverse=True)


def _links(field: NDArray[np.float64]) -> dict[Edge, Edge]:
    """Return for every crossed edge the one that follows it along the outline."""
    inside = field > 0
    case = (
        inside[:-1, :-1] * 1
        + inside[:-1, 1:] * 2
        + inside[1:, 1:] * 4
        + inside[1:, :-1] * 8
    )
    following: dict[Edge, Edge] = {}
    for row, column in np.argwhere((case > 0) & (case < 15)).tolist():  # noqa: PLR2004
        edges = (
            (row, column, 0),
            (row, column + 1, 1),
            (row + 1, column, 0),
            (row, column, 1),
        )
        for start, end in _SEGMENTS[int(case[row, column])]:
            following[edges[start]] = edges[end]
    return following


def _crossings(field: NDArray[np.float64], edges: list[Edge]) -> NDArray[np.float64]:
    """Return where the field is zero on each edge, shape (N, 2)."""
    rows, columns, along_column = np.array(edges).T
    along_row = 1 - along_column
    first = field[rows, columns]
    second = field[rows + along_column, columns + along_row]
    share = first / (first - second)
    return np.stack([rows + along_column * share, columns + along_row * share], axis=1)


def polygon_area(points: NDArray[np.float64]) -> float:
    """Return the area that a closed line encloses, in squared units of its points.

    References
    ----------
    The shoelace formula.
    """
    rows, columns = points[:, 0], points[:, 1]
    twice = rows[:-1] @ columns[1:] - rows[1:] @ columns[:-1]
    return abs(float(twice)) / 2

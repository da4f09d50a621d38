import numpy as np
import pytest

from analysis.imaging.level_lines import outlines, polygon_area

ROWS, COLUMNS = np.mgrid[0:40, 0:40].astype(np.float64)


def test_the_outline_of_a_disc_lies_on_its_circle() -> None:
    # The field is the distance to a circle of radius 11.3 around (19.4, 20.7).
    field = 11.3 - np.hypot(ROWS - 19.4, COLUMNS - 20.7)
    (line,) = outlines(field)
    radii = np.hypot(line[:, 0] - 19.4, line[:, 1] - 20.7)
    assert radii == pytest.approx(np.full(len(line), 11.3), abs=0.02)
    assert polygon_area(line) == pytest.approx(np.pi * 11.3**2, rel=0.005)


def test_an_outline_is_closed() -> None:
    (line,) = outlines(5.0 - np.hypot(ROWS - 20, COLUMNS - 20))
    assert line[0] == pytest.approx(line[-1])


def test_a_hole_has_an_outline_of_its_own() -> None:
    ring = 4.0 - np.abs(np.hypot(ROWS - 20, COLUMNS - 20) - 12.0)
    areas = sorted(polygon_area(line) for line in outlines(ring))
    assert areas == pytest.approx([np.pi * 8**2, np.pi * 16**2], rel=0.01)


def test_the_longest_outline_comes_first() -> None:
    small = 3.0 - np.hypot(ROWS - 6, COLUMNS - 6)
    large = 8.0 - np.hypot(ROWS - 26, COLUMNS - 26)
    first, second = outlines(np.maximum(small, large))
    assert polygon_area(first) > polygon_area(second)


def test_two_pixels_that_touch_at_a_corner_are_two_outlines() -> None:
    field = np.array([[1.0, -1.0], [-1.0, 1.0]])
    # Each is a square on its tip, half a pixel to every side: area 0.5.
    assert [polygon_area(line) for line in outlines(field)] == pytest.approx([0.5, 0.5])


def test_a_structure_at_the_edge_of_the_picture_is_closed_there() -> None:
    (line,) = outlines(np.ones((4, 6)))
    assert polygon_area(line) == pytest.approx(4 * 6, rel=0.05)


def test_a_picture_without_the_structure_has_no_outline() -> None:
    assert outlines(np.full((5, 5), -1.0)) == []

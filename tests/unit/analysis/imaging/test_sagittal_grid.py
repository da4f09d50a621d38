import numpy as np
import pytest

from analysis.contract.geometry import Frame
from analysis.imaging.sagittal_grid import sagittal_grid, sample_picture, turned_grid
from tests.support.wedge_spine import BACK, FEET, FRONT, HEAD, Layout, rotation

STRAIGHT = Layout(size_mm=(12.0, 40.0, 20.0))
LAYOUTS = {
    "straight": STRAIGHT,
    "feet up": Layout(rows_to=HEAD, size_mm=STRAIGHT.size_mm),
    "front at the right": Layout(columns_to=FRONT, size_mm=STRAIGHT.size_mm),
    "rows to the back": Layout(rows_to=BACK, columns_to=FEET, size_mm=STRAIGHT.size_mm),
    "oblong pixels": Layout(spacing_mm=(4.0, 0.5, 1.0), size_mm=STRAIGHT.size_mm),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_grid_does_not_depend_on_how_the_series_is_stored(layout: Layout) -> None:
    grid = sagittal_grid(*layout.frame(), 0.8)
    plain = sagittal_grid(*STRAIGHT.frame(), 0.8)
    assert grid.shape == plain.shape
    assert grid.frame.matrix == pytest.approx(plain.frame.matrix)


def test_rows_run_to_the_feet_and_columns_to_the_back() -> None:
    grid = sagittal_grid(*LAYOUTS["front at the right"].frame(), 0.8)
    start, down, back = grid.frame.to_mm([[0, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert down - start == pytest.approx([0.0, 0.0, -0.8])
    assert back - start == pytest.approx([0.0, 0.8, 0.0])


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_sampled_picture_shows_what_lies_there_in_the_patient(layout: Layout) -> None:
    # Grey value = 100 + 2 y + 3 z: linear, so sampling it is exact off the edges.
    frame, shape = layout.frame()
    places = frame.to_mm(np.moveaxis(np.indices(shape), 0, -1))
    voxels = (100 + places @ [0.0, 2.0, 3.0]).astype(np.float32)
    grid = sagittal_grid(frame, shape, 0.8)
    picture = sample_picture(grid, voxels, 1)
    there = grid.frame.to_mm(
        np.moveaxis(np.indices((1, *grid.shape[1:])), 0, -1)[0] + [1, 0, 0]
    )
    inner = (slice(4, -4), slice(4, -4))
    expected = (100 + there @ [0.0, 2.0, 3.0])[inner]
    assert picture[inner] == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(
    "window",
    [(slice(10, 31), slice(3, 17)), (slice(0, 5), slice(0, 25)), (slice(2, 3),) * 2],
)
def test_a_window_shows_what_the_whole_picture_shows_there(
    layout: Layout, window: tuple[slice, slice]
) -> None:
    frame, shape = layout.frame()
    voxels = np.random.default_rng(1).normal(100, 20, shape).astype(np.float32)
    grid = sagittal_grid(frame, shape, 0.8)
    whole = sample_picture(grid, voxels, 1)
    part = sample_picture(grid, voxels, 1, window)
    assert part == pytest.approx(whole[window], abs=1e-3)


def test_slices_keep_their_place_when_their_order_is_reversed() -> None:
    frame, shape = LAYOUTS["front at the right"].frame()
    grid = sagittal_grid(frame, shape, 0.8)
    for index in range(shape[0]):
        here = grid.frame.to_mm([index, 0, 0])[0]
        there = frame.to_mm([grid.source_slice(index), 0, 0])[0]
        assert here == pytest.approx(there)


def test_points_go_to_the_series_and_back() -> None:
    layout = Layout(turn=rotation("x", 20.0), spacing_mm=(4.0, 0.5, 1.0))
    grid = sagittal_grid(*layout.frame(), 0.8)
    points = np.array([[10.0, 20.0], [33.5, 4.25]])
    there = grid.to_source_indices(points)
    matrix, offset = grid.plane_map(to_source=False)
    assert there @ matrix.T + offset == pytest.approx(points)


def test_an_axial_series_has_no_sagittal_grid() -> None:
    axial = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    frame = Frame(
        origin_mm=np.zeros(3), directions=axial, spacing_mm=np.array([4.0, 1.0, 1.0])
    )
    with pytest.raises(ValueError, match="not sagittal"):
        sagittal_grid(frame, (3, 10, 10), 0.8)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_turned_grid_shows_what_lies_there_in_the_patient(layout: Layout) -> None:
    frame, shape = layout.frame()
    places = frame.to_mm(np.moveaxis(np.indices(shape), 0, -1))
    voxels = (100 + places @ [0.0, 2.0, 3.0]).astype(np.float32)
    whole = sagittal_grid(frame, shape, 0.8)
    middle_mm = np.array([20.0, 10.0])
    turned = turned_grid(whole, middle_mm, 0.4, range(1, 3), (9, 11), 0.5)
    assert turned.shape == (2, 9, 11)
    assert [turned.source_slice(i) for i in (0, 1)] == [
        whole.source_slice(i) for i in (1, 2)
    ]
    matrix, offset = turned.map_to(whole)
    assert matrix @ [4.0, 5.0] + offset == pytest.approx(middle_mm / 0.8)
    down = matrix @ [1.0, 0.0] * 0.8
    assert down == pytest.approx([0.5 * np.cos(0.4), 0.5 * np.sin(0.4)])
    there = turned.frame.to_mm(
        np.moveaxis(np.indices((1, *turned.shape[1:])), 0, -1)[0]
    )
    expected = 100 + there @ [0.0, 2.0, 3.0]
    assert sample_picture(turned, voxels, 0) == pytest.approx(expected, abs=1e-2)

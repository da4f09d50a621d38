import numpy as np
import pytest

from analysis.contract.geometry import Frame

# A sagittal series: slices to the right, rows to the feet, columns to the back.
SAGITTAL = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def frame(**changes: object) -> Frame:
    parts: dict[str, object] = {
        "origin_mm": [10.0, -20.0, 30.0],
        "directions": SAGITTAL,
        "spacing_mm": [4.0, 0.5, 0.25],
    }
    return Frame(**{**parts, **changes})  # type: ignore[arg-type]


def test_an_index_step_is_a_step_of_its_spacing_along_its_axis() -> None:
    # One slice: 4 mm to the right (-x). Two rows: 1 mm down. Four columns: 1 mm back.
    assert frame().to_mm([1, 2, 4]) == pytest.approx([6.0, -19.0, 29.0])


def test_millimetres_and_indices_are_inverse() -> None:
    indices = np.array([[0.0, 0.0, 0.0], [3.5, -2.0, 7.25]])
    assert frame().to_index(frame().to_mm(indices)) == pytest.approx(indices)


def test_the_affine_says_the_same_as_the_method() -> None:
    point = frame().matrix @ [1.0, 2.0, 4.0, 1.0]
    assert point[:3] == pytest.approx(frame().to_mm([1, 2, 4]))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"origin_mm": [0.0, 0.0]}, "shape"),
        ({"origin_mm": [0.0, np.nan, 0.0]}, "not finite"),
        ({"spacing_mm": [4.0, 0.0, 0.5]}, "not positive"),
        ({"directions": SAGITTAL * 1.1}, "not orthonormal"),
        ({"directions": SAGITTAL * [-1.0, 1.0, 1.0]}, "slice axis"),
    ],
)
def test_a_frame_that_is_none_is_refused(changes: dict[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        frame(**changes)


def test_a_frame_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        frame().origin_mm[0] = 1.0

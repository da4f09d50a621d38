"""Hard discs that are made of sound ones."""

import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: no extra `train`")
pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from analysis.training.disc_batches import DiscBatches  # noqa: E402
from analysis.training.disc_places import places_of  # noqa: E402
from analysis.training.hard_discs import darkened, leaning, thinned, void  # noqa: E402
from tests.support.one_disc import (  # noqa: E402
    HEIGHT_MM,
    LENGTH_MM,
    disc_settings,
    one_disc,
    still,
)

TURN_RAD = math.radians(25)
AXIS = torch.tensor([math.cos(TURN_RAD), math.sin(TURN_RAD)])
"""Normal of a disc that leans by it."""


def _read(across_mm: float, along_mm: float, share: float) -> tuple[float, float]:
    """Return where a point is read, across and along a disc 8 mm high."""
    along = torch.tensor([-math.sin(TURN_RAD), math.cos(TURN_RAD)])
    place = across_mm * AXIS + along_mm * along
    read = thinned(place[:, None, None], 4.0, TURN_RAD, share)[:, 0, 0]
    return float(read @ AXIS), float(read @ along)


@pytest.mark.parametrize(
    ("across_mm", "read_mm"),
    [
        (0.0, 0.0),
        (1.0, 2.0),  # within the disc, of which half is left
        (-2.0, -4.0),  # its lower edge
        (3.0, 5.0),  # beyond: moved by what the disc has lost
        (-10.0, -12.0),
    ],
)
def test_what_lies_beyond_a_thin_disc_moves_towards_it(
    across_mm: float, read_mm: float
) -> None:
    assert _read(across_mm, 7.0, 0.5) == pytest.approx((read_mm, 7.0), abs=1e-4)


def test_a_disc_that_keeps_its_height_stays_where_it_is() -> None:
    assert _read(3.3, -8.0, 1.0) == pytest.approx((3.3, -8.0), abs=1e-5)


def test_neighbours_move_apart_by_as_much_and_the_slice_stays() -> None:
    picture = torch.zeros(3, 9, 9)
    picture[:, 4, 4] = 1
    moved = leaning(picture, (2, -1))
    places = [tuple(torch.nonzero(one)[0].tolist()) for one in moved]
    assert places == [(2, 5), (4, 4), (6, 3)]


def test_a_dark_disc_is_dark_and_nothing_else() -> None:
    gain = darkened(torch.tensor([[0.0, 0.5, 1.0]]), 0.4)
    assert gain[0].tolist() == pytest.approx([1.0, 0.7, 0.4])


def test_a_void_is_dark_with_a_bright_border_and_spares_the_disc() -> None:
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        gain = void((64, 112), 0.5, 4.0, generator)
        assert gain.min() < 0.01
        assert 1.1 < gain.max() < 1.31
        assert gain[24:40].min() > 0.5, seed


def test_a_batch_of_thin_discs_has_them_lower_and_as_long() -> None:
    calm = still(disc_settings())
    options = replace(calm.augmentation, thin_probability=1.0, thin_least=0.5)
    thin = DiscBatches(replace(calm, augmentation=options), [[one_disc()]])
    heights, lengths = [], []
    for step in range(8):
        for one in thin.draw(step).allowed[:, 1]:
            if one.any():
                down, back = (axis.double() * 0.5 for axis in torch.nonzero(one).T)
                heights.append(4 * float(down.std()))
                lengths.append(4 * float(back.std()))
    assert min(heights) == pytest.approx(HEIGHT_MM * 0.55, abs=0.7)
    assert max(heights) < HEIGHT_MM + 0.7
    assert lengths == pytest.approx([LENGTH_MM] * len(lengths), abs=1.5)


def test_the_height_of_a_disc_is_known() -> None:
    (place,) = places_of(one_disc())
    assert 2 * place.half_height_mm == pytest.approx(HEIGHT_MM, abs=0.3)

"""The second look at each disc, with a network that reads the truth off the picture."""

import dataclasses
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.contract.errors import AnalysisFailed
from analysis.contract.volume import Volume
from analysis.inference.model_card import ModelCard
from analysis.lumbar.anatomy.structures import DISC_CLASSES, DISCS, Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, TissueMap
from analysis.lumbar.check.series import SagittalVolume
from analysis.lumbar.find.networks import (
    DISC_PIXEL_MM,
    Networks,
    load_networks,
    shipped_weights,
)
from analysis.lumbar.find.second_look import look_again
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.name.name_levels import name_levels
from tests.support.lumbar_stand_in import CARD, PhantomSegmenter
from tests.support.wedge_spine import (
    BACK,
    FEET,
    FRONT,
    HEAD,
    Layout,
    WedgeSpine,
    map_of,
    rotation,
)

SIZE = (12.0, 290.0, 150.0)
LAYOUTS = {
    "straight": Layout(size_mm=SIZE),
    "fine": Layout(size_mm=SIZE, spacing_mm=(4.0, 0.5, 0.5)),
    "feet up": Layout(size_mm=SIZE, rows_to=HEAD),
    "front at the right": Layout(size_mm=SIZE, columns_to=FRONT),
    "rows to the back": Layout(size_mm=SIZE, rows_to=BACK, columns_to=FEET),
    "oblique": Layout(size_mm=SIZE, turn=rotation("y", 8.0) @ rotation("x", 6.0)),
}


DISC_CARD = dataclasses.replace(CARD, classes=DISC_CLASSES, spacing_mm=DISC_PIXEL_MM)


@dataclass(frozen=True, slots=True)
class ReadsShare:
    """Knows a disc by its grey value, which is its share in 100ths.

    Parameters
    ----------
    lift
        Added to what it reads.
    """

    lift: float = 0.0
    card: ModelCard = DISC_CARD
    missed: str = ""
    runtime: str = "none"

    def probabilities(
        self, slices: NDArray[np.float32], part: slice = slice(None)
    ) -> NDArray[np.float32]:
        disc = np.clip(slices[part] / 100 + self.lift, 0, 1)
        return np.stack([1 - disc, disc], axis=1)


@cache
def case(layout: Layout) -> tuple[TissueMap, Volume]:
    """Return what the first look finds, and a picture of the discs alone."""
    frame, shape = layout.frame()
    spine = WedgeSpine()
    shares = [spine.coverage(frame, shape, k)[Tissue.DISC] for k in range(shape[0])]
    voxels = (100 * np.stack(shares)).astype(np.float32)
    volume = Volume(voxels=voxels, frame=frame, series_uid="1.2.3")
    return spine.tissue_map(frame, shape), volume


def moved(tissues: TissueMap, rows: int) -> TissueMap:
    """Return a first look that puts everything some rows too low."""
    return map_of(tissues.grid, np.roll(tissues.probability, rows, axis=2))


def middle_of_discs(tissues: TissueMap) -> NDArray[np.float64]:
    """Return the mean (slice, row, column) of the discs' probability."""
    share = tissues.probability[:, Tissue.DISC].astype(np.float64)
    places = np.indices(share.shape).reshape(3, -1)
    return np.asarray(places @ share.ravel() / share.sum())


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_what_it_sees_comes_back_to_where_it_is(layout: Layout) -> None:
    tissues, volume = case(layout)
    again = look_again(tissues, volume, ReadsShare())
    assert middle_of_discs(again) == pytest.approx(middle_of_discs(tissues), abs=0.05)
    same = (again.tissue == Tissue.DISC) == (tissues.tissue == Tissue.DISC)
    discs = int((tissues.tissue == Tissue.DISC).sum())
    assert int((~same).sum()) < 0.03 * discs


def test_the_mean_of_both_looks_lies_between_them() -> None:
    tissues, volume = case(LAYOUTS["straight"])
    first = moved(tissues, 2)
    again = look_again(first, volume, ReadsShare())
    rows = [middle_of_discs(one)[1] for one in (tissues, again, first)]
    assert rows[1] == pytest.approx((rows[0] + rows[2]) / 2, abs=0.1)


def test_shares_stay_shares_and_other_tissues_keep_their_ratio() -> None:
    tissues, volume = case(LAYOUTS["straight"])
    doubtful = tissues.probability.copy()
    doubtful[:, Tissue.BODY] = tissues.probability[:, Tissue.BODY] // 2
    doubtful[:, Tissue.S1] += tissues.probability[:, Tissue.BODY] // 2
    first = map_of(tissues.grid, doubtful)
    again = look_again(first, volume, ReadsShare(lift=0.4))
    sums = again.probability.sum(axis=1, dtype=int)
    assert np.abs(sums - FULL).max() <= len(Tissue) // 2
    bodies, s1 = (again.probability[:, k].astype(int) for k in (Tissue.BODY, Tissue.S1))
    halved = tissues.probability[:, Tissue.BODY] == FULL
    assert np.abs(bodies - s1)[halved].max() <= 2
    assert (again.probability[:, Tissue.DISC][halved] == round(0.2 * FULL)).any()


def test_a_disc_that_only_the_first_look_sees_is_half_a_disc() -> None:
    tissues, volume = case(LAYOUTS["straight"])
    again = look_again(tissues, volume, ReadsShare(lift=-1.0))
    sure = tissues.probability[:, Tissue.DISC] == FULL
    seen = sure & (again.probability[:, Tissue.DISC] < FULL)
    assert seen.sum() > 0.9 * sure.sum()
    half = round(0.5 * FULL)
    assert (again.probability[:, Tissue.DISC][seen] == half).all()
    assert (again.tissue[seen] == Tissue.DISC).all()
    assert np.abs(again.probability.sum(axis=1, dtype=int)[seen] - FULL).max() <= 1


def test_it_looks_only_where_a_disc_was_found() -> None:
    tissues, volume = case(LAYOUTS["straight"])
    planes = tissues.probability.copy()
    planes[0, Tissue.BACKGROUND] += planes[0, Tissue.DISC]
    planes[0, Tissue.DISC] = 0
    again = look_again(map_of(tissues.grid, planes), volume, ReadsShare())
    assert (again.probability[0] == planes[0]).all()
    nothing = np.zeros_like(planes)
    nothing[:, Tissue.BACKGROUND] = FULL
    empty = look_again(map_of(tissues.grid, nothing), volume, ReadsShare())
    assert (empty.probability == nothing).all()


def test_a_disc_at_the_edge_of_the_picture_is_seen_as_far_as_it_goes() -> None:
    tissues, volume = case(Layout(size_mm=(12.0, 196.0, 58.0)))
    again = look_again(tissues, volume, ReadsShare())
    kinds = (again.tissue == Tissue.DISC) == (tissues.tissue == Tissue.DISC)
    assert kinds.mean() > 0.999


def test_the_discs_keep_their_names() -> None:
    tissues, volume = case(LAYOUTS["straight"])
    networks = Networks(tissue=PhantomSegmenter(tissues.probability), disc=ReadsShare())
    found = segment(SagittalVolume(volume=volume), networks)
    # Of this picture nothing but discs is seen.
    found = dataclasses.replace(found, unseen=None)
    names, before = name_levels(found).names, name_levels(tissues).names
    for disc in DISCS[:5]:
        one, other = names == disc.number, before == disc.number
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.98


def test_a_network_for_something_else_is_refused() -> None:
    tissues, _ = case(LAYOUTS["straight"])
    first = PhantomSegmenter(tissues.probability)
    with pytest.raises(AnalysisFailed, match=r"expected classes \('background', 'disc"):
        Networks(tissue=first, disc=first)


def test_the_digest_stands_for_both_networks() -> None:
    networks = load_networks(threads=1)
    assert networks.weights_sha256 == shipped_weights()
    alone = Networks(tissue=networks.tissue)
    assert alone.weights_sha256 != networks.weights_sha256

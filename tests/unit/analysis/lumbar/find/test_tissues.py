import numpy as np
import pytest

from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE, Tissue
from analysis.lumbar.anatomy.tissue_map import FULL
from analysis.lumbar.check.series import SagittalVolume
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from tests.support.lumbar_stand_in import phantom_networks
from tests.support.wedge_spine import BACK, FEET, FRONT, HEAD, Layout, WedgeSpine

SIZE = (12.0, 290.0, 150.0)
LAYOUTS = {
    "straight": Layout(size_mm=SIZE),
    "fine": Layout(size_mm=SIZE, spacing_mm=(4.0, 0.5, 0.5)),
    "oblong pixels": Layout(size_mm=SIZE, spacing_mm=(4.0, 0.5, 1.0)),
    "feet up": Layout(size_mm=SIZE, rows_to=HEAD),
    "front at the right": Layout(size_mm=SIZE, columns_to=FRONT),
    "rows to the back": Layout(size_mm=SIZE, rows_to=BACK, columns_to=FEET),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_labels_lie_where_the_structures_lie_in_the_patient(layout: Layout) -> None:
    frame, shape = layout.frame()
    spine = WedgeSpine()
    tissues = spine.tissue_map(frame, shape)
    labels = label_source(tissues, name_levels(tissues).names)
    truth = np.stack(
        [
            spine.coverage(frame, shape, index).argmax(axis=0)
            for index in range(shape[0])
        ]
    )
    groups = (
        (Tissue.DISC, DISCS),
        (Tissue.BODY, VERTEBRAE[1:]),
        (Tissue.S1, VERTEBRAE[:1]),
        (Tissue.CANAL, (CANAL,)),
    )
    for kind, structures in groups:
        named = np.isin(labels, [structure.number for structure in structures])
        drawn = truth == kind
        overlap = 2 * (named & drawn).sum() / (named.sum() + drawn.sum())
        assert overlap > 0.97


def test_the_network_sees_every_slice_once_and_in_order() -> None:
    frame, shape = Layout(size_mm=(44.0, 290.0, 150.0)).frame()
    spine = WedgeSpine()
    expected = spine.tissue_map(frame, shape)
    volume = spine.volume(frame, shape)
    answered = segment(
        SagittalVolume(volume=volume), phantom_networks(expected.probability)
    )
    assert (answered.probability == expected.probability).all()
    assert (answered.tissue == expected.tissue).all()


def test_the_margin_is_positive_inside_and_negative_outside() -> None:
    tissues = WedgeSpine().tissue_map(*Layout(size_mm=SIZE).frame())
    window = (slice(0, tissues.tissue.shape[1]), slice(0, tissues.tissue.shape[2]))
    lead = tissues.margin(1, (Tissue.DISC,), window)
    assert lead.max() == FULL
    assert lead.min() == -FULL
    assert ((lead > 0) <= (tissues.tissue[1] == Tissue.DISC)).all()


@pytest.mark.parametrize(("slice_mm", "expected"), [(1.8, 0.667), (4.0, 0.45)])
def test_thin_slices_lend_each_other_certainty(
    slice_mm: float, expected: float
) -> None:
    # The kernel of 1.2 mm is 0.20, 0.61, 0.20 where slices are 1.8 mm apart:
    # 0.61 * 0.45 + 2 * 0.20 * 1 = 0.667.
    layout = Layout(size_mm=(5 * slice_mm, 90.0, 90.0), spacing_mm=(slice_mm, 0.8, 0.8))
    frame, shape = layout.frame()
    tissues = WedgeSpine().tissue_map(frame, shape)
    answer = np.zeros_like(tissues.probability)
    answer[:, Tissue.DISC] = FULL
    answer[2, Tissue.DISC], answer[2, Tissue.BODY] = 0.45 * FULL, 0.55 * FULL
    volume = WedgeSpine().volume(frame, shape)
    found = segment(SagittalVolume(volume=volume), phantom_networks(answer))
    shares = found.probability[2, Tissue.DISC] / FULL
    np.testing.assert_allclose(shares, expected, atol=0.005)
    assert (found.tissue[2] == Tissue.BODY).all()
    assert (found.tissue[[0, 1, 3, 4]] == Tissue.DISC).all()


def test_a_blank_slice_takes_no_certainty_from_its_neighbours() -> None:
    layout = Layout(size_mm=(9.0, 90.0, 90.0), spacing_mm=(1.8, 0.8, 0.8))
    frame, shape = layout.frame()
    answer = np.zeros_like(WedgeSpine().tissue_map(frame, shape).probability)
    answer[:, Tissue.DISC] = FULL
    answer[2, Tissue.DISC], answer[2, Tissue.BACKGROUND] = 0, FULL
    sagittal = SagittalVolume(
        volume=WedgeSpine().volume(frame, shape), blank=frozenset({2})
    )
    found = segment(sagittal, phantom_networks(answer))
    assert (found.probability[[0, 1, 3, 4], Tissue.DISC] == FULL).all()
    assert (found.probability[2, Tissue.DISC] == 0).all()

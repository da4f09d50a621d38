"""A spine that is cut by the edge of the picture, or by a margin in it."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.picture_edge import unseen_of
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import VERTEBRAE
from analysis.lumbar.doubt import Refused
from analysis.lumbar.measure.measurements import SpineMeasurements, measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.number_or_reason import Missing
from tests.support.measured_phantom import SIZE_MM
from tests.support.wedge_spine import Layout, WedgeSpine

SPINE = WedgeSpine()
Mask = NDArray[np.bool_]


def anatomy_with(unseen: Mask | None) -> Anatomy:
    frame, shape = Layout(size_mm=SIZE_MM).frame()
    tissues = replace(SPINE.tissue_map(frame, shape), unseen=unseen)
    return Anatomy(tissues=tissues, levels=name_levels(tissues))


WHOLE = anatomy_with(None)
ROWS, COLUMNS = WHOLE.levels.names.shape[1:]


def measured_with(unseen: Mask | None) -> SpineMeasurements:
    frame, shape = Layout(size_mm=SIZE_MM).frame()
    anatomy = anatomy_with(unseen)
    labels = label_source(anatomy.tissues, anatomy.levels.names)
    return measure_spine(anatomy, SPINE.volume(frame, shape), labels)


def margin(*, above: int = 0, front: int = 0, below: int = 0) -> Mask:
    mask = np.zeros((ROWS, COLUMNS), np.bool_)
    mask[:above] = mask[ROWS - below :] = True
    mask[:, :front] = True
    return mask


def code_of(found: SpineMeasurements, level: str, key: str) -> str:
    rows = (*found.upper, *found.discs)
    (value,) = (row.values[key] for row in rows if row.level == level)
    return value.code if isinstance(value, Missing) else ""


def body_code(found: SpineMeasurements, label: str, key: str) -> str:
    (value,) = (
        body.values[key] for body in found.bodies if body.vertebra.label == label
    )
    return value.code if isinstance(value, Missing) else ""


def first_column(label: str) -> int:
    (number,) = (one.number for one in VERTEBRAE if one.label == label)
    return int(WHOLE.levels.windows[number][2].start)


def test_a_picture_without_margins_cuts_nothing() -> None:
    found = measured_with(None)
    assert code_of(found, "L3/L4", "disc_length_mm") == ""
    assert body_code(found, "L3", "body_height_mm") == ""


@pytest.mark.parametrize("key", ["disc_length_mm", "disc_height_mm", "wedge_angle_deg"])
def test_what_the_front_edge_cuts_is_not_measured(key: str) -> None:
    front = first_column("L2") + 4
    found = measured_with(margin(front=front))
    assert code_of(found, "L2/L3", key) == "cut_off"
    assert body_code(found, "L2", "body_height_mm") == "cut_off"
    assert code_of(found, "L5/S1", key) == ""


def test_a_body_that_a_margin_above_cuts_is_not_called_crushed() -> None:
    rows = WHOLE.levels.windows[VERTEBRAE[5].number][1]
    found = measured_with(margin(above=rows.start + 8))
    assert body_code(found, "L1", "body_height_ratio") == "cut_off"
    assert code_of(found, "L1/L2", "slip_mm") == "cut_off"
    assert code_of(found, "L1/L2", "rear_bulge_mm") == "cut_off"
    assert code_of(found, "L1/L2", "reference.dhi") == "cut_off"
    # Its lower end plate is all there.
    assert code_of(found, "L1/L2", "interbody_height_mm") == ""
    assert isinstance(found.spine.values["lordosis_l1_s1_deg"], Missing)


def test_a_canal_that_the_rear_edge_cuts_has_no_diameter_there() -> None:
    canal = WHOLE.levels.names.max(axis=0) == 21
    rows = WHOLE.levels.windows[VERTEBRAE[4].number][1]
    middle = (rows.start + rows.stop) // 2
    rear = int(np.flatnonzero(canal[middle]).max())
    unseen = margin()
    unseen[rows, rear - 3 :] = True
    found = measured_with(unseen)
    assert body_code(found, "L2", "canal_ap_diameter_mm") == "cut_off"
    assert code_of(found, "L4/L5", "canal_ap_diameter_mm") == ""


def test_a_sacrum_that_a_margin_cuts_is_no_anchor() -> None:
    rows = WHOLE.levels.windows[VERTEBRAE[0].number][1]
    with pytest.raises(Refused, match="touches the lower edge"):
        anatomy_with(margin(below=ROWS - rows.stop + 2))


def test_a_margin_is_what_hangs_together_with_the_edge_in_every_slice() -> None:
    frame, shape = Layout(size_mm=SIZE_MM).frame()
    voxels = np.full(shape, 100.0, np.float32)
    voxels[:, :20] = 0.0
    voxels[:, 100:110, 100:110] = 0.0  # as dark, but within the picture
    voxels[1, :, -9:] = 0.0  # of one slice alone
    volume = Volume(voxels=voxels, frame=frame, series_uid="1.2.3")
    grid = WHOLE.tissues.grid
    unseen = unseen_of(grid, volume)
    pixels = grid.source_frame.spacing_mm[1] / grid.frame.spacing_mm[1]
    assert unseen[: int(20 * pixels) - 1].all()
    assert not unseen[int(20 * pixels) + 1 :].any()


def test_what_is_black_in_the_spine_and_meets_the_edge_is_no_margin() -> None:
    """A disc at the upper edge, in a picture whose black level was set high."""
    frame, shape = Layout(size_mm=SIZE_MM).frame()
    voxels = np.full(shape, 100.0, np.float32)
    voxels[:, :12, 100:150] = 0.0  # 10 mm high, 40 mm deep
    voxels[:, :, :3] = 0.0  # whole columns, however few
    voxels[:, 200:260, 200:] = 0.0  # 48 mm high and deep, at the rear edge
    volume = Volume(voxels=voxels, frame=frame, series_uid="1.2.3")
    unseen = unseen_of(WHOLE.tissues.grid, volume)
    assert not unseen[:10, 102:148].any()
    assert unseen[:, :2].all()
    assert unseen[202:258, 203:].all()

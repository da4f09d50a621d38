"""Real pictures, as they are and altered as a patient or a scanner alters them.

Outlines are the hand-drawn ones, altered alike, so that only the judgement is tested.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from analysis.contract.plugin import Context, Subject
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import Tissue
from analysis.lumbar.judge.artefacts import artefacts
from analysis.lumbar.judge.signal_voids import metal
from analysis.lumbar.measure.measurements import SpineMeasurements, measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.plugin import LumbarMri
from tests.support import spider

pytestmark = [
    pytest.mark.accuracy,
    pytest.mark.shared,
    pytest.mark.skipif(
        not spider.SHARED.is_dir(), reason=f"{spider.SHARED} is not on this machine"
    ),
]

STRAIGHT, SCOLIOTIC, COLLAPSED = "057", "162", "220"
MIDDLE = slice(2, 7)
Picture = tuple[Volume, NDArray[np.uint8]]


def patient(name: str) -> Picture:
    volume, tissue = spider.read_volume(name), spider.read_tissue(name)
    return with_voxels(volume, volume.voxels[MIDDLE]), tissue[MIDDLE]


def with_voxels(volume: Volume, voxels: NDArray[np.float32]) -> Volume:
    return dataclasses.replace(volume, voxels=voxels.astype(np.float32))


def with_spacing(volume: Volume, scale: tuple[float, float, float]) -> Volume:
    frame = Frame(
        origin_mm=volume.frame.origin_mm,
        directions=volume.frame.directions,
        spacing_mm=volume.frame.spacing_mm * scale,
    )
    return dataclasses.replace(volume, frame=frame)


def judged(picture: Picture) -> tuple[set[str], SpineMeasurements]:
    volume, tissue = picture
    tissues = spider.tissue_map(volume, tissue)
    levels = name_levels(tissues)
    labels = label_source(tissues, levels.names)
    anatomy = Anatomy(tissues=tissues, levels=levels)
    rows = measure_spine(anatomy, volume, labels)
    notices = (*metal(anatomy, volume, labels), *artefacts(anatomy, volume, rows))
    assert all(any(c.isdigit() for c in notice.text) for notice in notices)
    return {notice.code for notice in notices}, rows


@pytest.fixture(scope="module")
def straight() -> Picture:
    return patient(STRAIGHT)


def moved_between_slices(picture: Picture) -> Picture:
    """Move the patient by 4 mm between the odd and the even slices."""
    volume, tissue = picture
    steps = round(4.0 / float(volume.frame.spacing_mm[1]))
    voxels, tissue = volume.voxels.copy(), tissue.copy()
    for index in range(1, len(voxels), 2):
        voxels[index] = np.roll(voxels[index], steps, axis=0)
        tissue[index] = np.roll(tissue[index], steps, axis=0)
    return with_voxels(volume, voxels), tissue


def with_screw(picture: Picture) -> Picture:
    """Put a void of 34 x 12 mm with a bright rim, as around a screw, into a body."""
    volume, tissue = picture
    middle = len(tissue) // 2
    rows, columns = np.nonzero(tissue[middle] == Tissue.BODY)
    centre = np.array([np.median(rows), np.median(columns)])
    grid = np.moveaxis(np.indices(tissue.shape[1:]), 0, -1)
    away = (grid - centre) * volume.frame.spacing_mm[1:] / np.array([6.0, 17.0])
    distance = np.linalg.norm(away, axis=-1)
    voxels, tissue = volume.voxels.copy(), tissue.copy()
    for index in range(middle - 1, middle + 2):
        voxels[index][(distance >= 1) & (distance < 1.25)] = voxels.max()
        voxels[index][distance < 1] = 0
        tissue[index][distance < 1] = Tissue.BACKGROUND
    return with_voxels(volume, voxels), tissue


def clipped(picture: Picture) -> Picture:
    """Clip the grey values at the signal of CSF, as a narrow window does."""
    volume, tissue = picture
    csf = float(np.percentile(volume.voxels[tissue == Tissue.CANAL], 70))
    return with_voxels(volume, np.minimum(volume.voxels, csf)), tissue


def coarse(picture: Picture) -> Picture:
    volume, tissue = picture
    thin = with_voxels(volume, volume.voxels[:, ::3, ::3])
    return with_spacing(thin, (1.0, 3.0, 3.0)), tissue[:, ::3, ::3]


def far_apart(picture: Picture) -> Picture:
    volume, tissue = picture
    return with_spacing(volume, (4.0, 1.0, 1.0)), tissue


def test_a_good_picture_is_told_nothing(straight: Picture) -> None:
    assert judged(straight)[0] == set()


@pytest.mark.parametrize(
    ("alter", "code"),
    [
        (moved_between_slices, "motion"),
        (with_screw, "metal"),
        (clipped, "csf_saturated"),
        (coarse, "coarse_pixels"),
        (far_apart, "wide_slice_spacing"),
    ],
)
def test_each_fault_has_its_name_and_heights_are_still_measured(
    straight: Picture, alter: Callable[[Picture], Picture], code: str
) -> None:
    codes, rows = judged(alter(straight))
    assert code in codes
    assert (
        sum(isinstance(row.values["disc_height_mm"], float) for row in rows.discs) >= 3
    )


def test_clipped_signal_is_not_measured(straight: Picture) -> None:
    _, rows = judged(clipped(straight))
    for row in rows.discs:
        assert isinstance(row.values["disc_height_mm"], float)
        assert not isinstance(row.values["delta_si"], float)
        assert not isinstance(row.values["signal_ratio_csf"], float)


def test_a_scoliotic_spine_is_named_and_measured() -> None:
    codes, rows = judged(patient(SCOLIOTIC))
    assert "scoliosis" in codes
    assert all(isinstance(row.values["disc_height_mm"], float) for row in rows.discs)


def test_a_collapsed_disc_is_measured_with_a_warning() -> None:
    codes, rows = judged(patient(COLLAPSED))
    assert "thin_disc" in codes
    heights = [row.values["disc_height_mm"] for row in rows.discs]
    assert any(isinstance(height, float) and height < 4 for height in heights)


def warned_of(patient: str) -> dict[str, str]:
    plugin = LumbarMri()
    context = Context(subject=Subject(), summaries={}, threads=2)
    result = plugin.analyse({"t2_sagittal": spider.read_volume(patient)}, context)
    return {notice.code: notice.text for notice in result.warnings}


def test_a_body_that_a_scoliosis_takes_out_of_the_slices_is_not_called_crushed() -> (
    None
):
    told = warned_of("050")
    assert "vertebral_height_loss" not in told
    assert told["incomplete"].startswith("L5 not measured: its smallest section")


def test_a_disc_that_is_unsure_only_where_it_is_not_measured_is_not_warned_of() -> None:
    # L5/S1 overlaps with the drawn disc by 0.94 where it is measured.
    assert "outline_uncertain" not in warned_of("146")

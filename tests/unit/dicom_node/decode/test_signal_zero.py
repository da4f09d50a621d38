"""Padding is no data, and air has no signal, whatever number a sender gave it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import JPEG2000Lossless

from dicom_node.decode.signal_zero import ranked
from dicom_node.decode.volume import DecodedSeries, read_volume
from tests.support.mr_series import build_series, write_series
from tests.support.spine_phantom import frame_of

SHAPE = (3, 40, 32)


def picture() -> NDArray[np.float32]:
    """Return a body of 100 to 900 in air of 0 to 3."""
    rng = np.random.default_rng(5)
    voxels = rng.integers(0, 4, SHAPE).astype(np.float32)
    voxels[:, 8:32, 6:26] = rng.integers(100, 900, (3, 24, 20))
    voxels[:, 0, 0] = 0
    return voxels


def read(folder: Path, datasets: list[FileDataset], **kw: Any) -> DecodedSeries:
    return read_volume(write_series(folder, datasets, **kw))


def codes(decoded: DecodedSeries) -> list[str]:
    return [notice.code for notice in decoded.warnings]


def test_a_picture_with_air_near_zero_stays_as_it_is(tmp_path: Path) -> None:
    decoded = read(tmp_path, build_series(picture(), frame_of(SHAPE)))
    assert np.array_equal(decoded.volume.voxels, picture())
    assert codes(decoded) == []


@pytest.mark.parametrize("air", [-100, -32767, -1024, 1000, -50])
def test_air_is_the_zero_of_the_signal(tmp_path: Path, air: int) -> None:
    datasets = build_series(
        picture() + air, frame_of(SHAPE), bits_stored=16, signed=True
    )
    decoded = read(tmp_path, datasets)
    assert np.abs(decoded.volume.voxels - picture()).max() <= 1
    assert codes(decoded) == ["signal_zero_moved"]
    assert f"begin at {air}" in decoded.warnings[0].text


def test_an_intercept_moves_no_signal(tmp_path: Path) -> None:
    datasets = build_series(
        picture(), frame_of(SHAPE), RescaleSlope=2, RescaleIntercept=-1024
    )
    decoded = read(tmp_path, datasets)
    assert np.abs(decoded.volume.voxels - 2 * picture()).max() <= 2


@pytest.mark.parametrize(
    ("value", "signed", "stated"),
    [
        (-32768, True, -32768),
        (-32768, True, None),
        (65535, False, 65535),
        (65535, False, None),
        (65535, False, -1),
        (-2000, True, -2000),
    ],
)
def test_a_rim_of_padding_is_air_and_no_data(
    tmp_path: Path, value: int, signed: bool, stated: int | None
) -> None:
    padded = picture()
    padded[:, 0, :] = padded[:, -1, :] = padded[:, :, 0] = padded[:, :, -1] = value
    datasets = build_series(padded, frame_of(SHAPE), bits_stored=16, signed=signed)
    if stated is not None:
        for dataset in datasets:
            dataset.add_new(0x00280120, "SS" if stated < 0 else "US", stated)
    decoded = read(tmp_path, datasets)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    assert np.array_equal(decoded.volume.voxels[inside], picture()[inside])
    assert decoded.volume.voxels[:, 0, :].max() <= 3
    assert codes(decoded) == ["padding_ignored"]


def test_a_range_of_padding_is_no_data(tmp_path: Path) -> None:
    padded = picture()
    padded[:, :3, :] = np.arange(-910, -910 + 32)
    datasets = build_series(padded, frame_of(SHAPE), bits_stored=16, signed=True)
    for dataset in datasets:
        dataset.add_new(0x00280120, "SS", -1000)
        dataset.add_new(0x00280121, "SS", -800)
    decoded = read(tmp_path, datasets)
    assert np.array_equal(decoded.volume.voxels[:, 3:], picture()[:, 3:])
    assert decoded.volume.voxels[:, :3].max() <= 3


def test_bright_fluid_at_the_end_of_the_scale_is_no_padding(tmp_path: Path) -> None:
    voxels = picture() * 4
    voxels[:, 10:14, 10:14] = 4095
    decoded = read(tmp_path, build_series(voxels, frame_of(SHAPE)))
    assert np.array_equal(decoded.volume.voxels, voxels)


def with_overlay() -> NDArray[np.float32]:
    """Return the picture with a frame of an overlay in bit 12."""
    voxels = picture()
    voxels[:, 12:28:15, 8:24] += 4096
    return voxels


@pytest.mark.parametrize("syntax", [None, JPEG2000Lossless])
@pytest.mark.parametrize("is_declared", [True, False])
def test_bits_above_bits_stored_are_masked(
    tmp_path: Path, syntax: str | None, is_declared: bool
) -> None:
    datasets = build_series(with_overlay(), frame_of(SHAPE), bits_stored=16)
    for dataset in datasets:
        if syntax is not None:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.BitsStored, dataset.HighBit = 12, 11
        if is_declared:
            dataset.add_new(0x60000102, "US", 12)
    decoded = read(tmp_path, datasets)
    assert np.array_equal(decoded.volume.voxels, picture())


def test_a_sign_is_kept_below_other_bits(tmp_path: Path) -> None:
    voxels = picture() - 100
    raised = voxels.astype(np.int16) & 0x0FFF
    datasets = build_series(
        raised.astype(np.float32), frame_of(SHAPE), bits_stored=16, signed=True
    )
    for dataset in datasets:
        dataset.BitsStored, dataset.HighBit = 12, 11
    decoded = read(tmp_path, datasets)
    assert np.abs(decoded.volume.voxels - picture()).max() <= 1


def test_values_that_need_more_bits_than_are_told_are_read_whole(
    tmp_path: Path,
) -> None:
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    smooth = np.broadcast_to(40.0 * (rows + columns), SHAPE).astype(np.float32)
    datasets = build_series(smooth, frame_of(SHAPE), bits_stored=16)
    for dataset in datasets:
        dataset.BitsStored, dataset.HighBit = 10, 9
    decoded = read(tmp_path, datasets)
    assert np.array_equal(decoded.volume.voxels, smooth)
    assert codes(decoded) == ["bits_stored_exceeded"]


@pytest.mark.parametrize("percent", [0.0, 0.1, 37.0, 99.0, 100.0])
@pytest.mark.parametrize("count", [1, 2, 60, 5000])
@pytest.mark.parametrize("levels", [1, 2, 40, 100_000])
def test_a_rank_is_that_of_numpy(percent: float, count: int, levels: int) -> None:
    rng = np.random.default_rng(count + levels)
    data = rng.integers(-3, levels, count).astype(np.float32)
    expected = np.percentile(data, percent, method="lower")
    assert ranked(data, percent) == expected
    # In order, a sample misses what comes in between.
    assert ranked(np.sort(data), percent) == expected
    data[::61] = 1e6
    assert ranked(data, percent) == np.percentile(data, percent, method="lower")

"""Series of every kind, made from the bundled real one by changing what it says."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID, CTImageStorage, SegmentationStorage, generate_uid

from tests.support.peers import read_series

SEGMENTATION = str(SegmentationStorage)

Series = list[Dataset]
Change = Callable[[Dataset], None]


def fresh(series: Sequence[Dataset], *changes: Change) -> Series:
    """Return a copy with UIDs of its own, each instance changed in turn."""
    series_uid = generate_uid()
    copies = [copy.deepcopy(instance) for instance in series]
    for instance in copies:
        instance.SeriesInstanceUID = series_uid
        name(instance, generate_uid())
        for change in changes:
            change(instance)
    return copies


def name(instance: Dataset, uid: str) -> None:
    """Give an instance another SOP Instance UID."""
    instance.SOPInstanceUID = uid
    instance.file_meta.MediaStorageSOPInstanceUID = UID(uid)


def without(*keywords: str) -> Change:
    """Return a change that removes attributes."""

    def change(instance: Dataset) -> None:
        for keyword in keywords:
            delattr(instance, keyword)

    return change


def saying(**values: object) -> Change:
    """Return a change that sets attributes."""

    def change(instance: Dataset) -> None:
        for keyword, value in values.items():
            setattr(instance, keyword, value)

    return change


AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
CORONAL = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]
T1 = saying(
    SeriesDescription="t1_tse_sag",
    ProtocolName="t1_tse_sag",
    SequenceName="*tse2d1_3",
    RepetitionTime=500.0,
    EchoTime=10.0,
)
STIR = saying(
    SeriesDescription="stir_sag", ScanningSequence=["SE", "IR"], InversionTime=160.0
)


def turned(orientation: list[float], *, axis: int) -> Change:
    """Return a change that stacks the slices along another axis of the patient."""

    def change(instance: Dataset) -> None:
        position = [0.0, 0.0, 0.0]
        position[axis] = 2.0 * float(instance.InstanceNumber)
        instance.ImageOrientationPatient = orientation
        instance.ImagePositionPatient = position

    return change


def as_ct(instance: Dataset) -> None:
    """Call an instance a CT image."""
    instance.SOPClassUID = CTImageStorage
    instance.file_meta.MediaStorageSOPClassUID = CTImageStorage
    instance.Modality = "CT"


def with_truncated_pixels(instance: Dataset) -> None:
    """Keep the first half of the pixels."""
    whole = instance.PixelData
    instance.PixelData = whole[: len(whole) // 4 * 2]


def blanked(instance: Dataset) -> None:
    """Make every pixel 0."""
    instance.PixelData = bytes(len(instance.PixelData))


def other_pixels(instance: Dataset) -> Dataset:
    """Return the same instance, by its UID, with other content."""
    other = copy.deepcopy(instance)
    pixels = np.frombuffer(other.PixelData, dtype=np.uint16) // 2
    other.PixelData = pixels.astype(np.uint16).tobytes()
    return other


def small(series: Sequence[Dataset], *, side: int = 96) -> Series:
    """Return a copy cropped to its middle, where content does not matter."""
    made = fresh(series)
    for instance in made:
        pixels = instance.pixel_array
        top, left = ((length - side) // 2 for length in pixels.shape)
        pixels = pixels[top : top + side, left : left + side]
        instance.Rows, instance.Columns = pixels.shape
        instance.PixelData = pixels.tobytes()
    return made


def write_all(folder: Path, many: Iterable[Sequence[Dataset]]) -> Path:
    """Write series into one folder, for a sender that takes files."""
    for number, series in enumerate(many):
        for index, instance in enumerate(series):
            instance.save_as(folder / f"{number:02d}-{index:02d}.dcm")
    return folder


def read_bundled(folder: Path) -> Series:
    """Return the bundled series, by instance number."""
    return sorted(read_series(folder), key=lambda one: int(one.InstanceNumber))

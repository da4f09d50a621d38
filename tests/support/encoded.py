"""Phantoms as decoded series, and their results as a peer reads them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset

from dicom_node.decode.volume import DecodedSeries, read_volume
from dicom_node.encode.result_context import EncodeRequest
from dicom_node.encode.result_objects import EncodedObject
from dicom_node.encode.write_part10 import encode_file
from tests.support.mr_series import build_series, write_series
from tests.support.spine_phantom import SAGITTAL, phantom_spine, turned

SHAPE = (5, 64, 40)
SPACING_MM = (9.0, 4.0, 4.0)
L4 = 3
REQUEST = EncodeRequest(job_id="job 1", content_time=datetime(2026, 2, 3, 4, 5, 6))  # noqa: DTZ001 - a wall clock


def lopsided(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return labels that no mirroring maps onto themselves: L4 is not in slice 0.

    The phantom is the same on both sides, so slices in false order would be overlooked.
    """
    labels = labels.copy()
    labels[0][labels[0] == L4] = 0
    return labels


def decoded_phantom(
    folder: Path,
    *,
    shape: tuple[int, int, int] = SHAPE,
    angle_deg: float = 0.0,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    **attributes: Any,
) -> tuple[DecodedSeries, NDArray[np.uint8]]:
    """Write a phantom as a classic series, and read it as the node does."""
    directions = turned(SAGITTAL, angle_deg=angle_deg)
    voxels, frame, labels = phantom_spine(shape, spacing_mm, directions)
    paths = write_series(folder, build_series(voxels, frame, **attributes))
    return read_volume(paths), lopsided(labels)


def by_name(results: Sequence[EncodedObject]) -> dict[str, Dataset]:
    """Return results as they are read from their files."""
    return {result.name: reread(result.dataset) for result in results}


def written(dataset: Dataset) -> bytes:
    """Return the bytes of a dataset's file."""
    return encode_file(dataset)


def reread(dataset: Dataset) -> FileDataset:
    """Return a dataset as it is read from its file."""
    return dcmread(io.BytesIO(written(dataset)))


def content_of(item: Dataset) -> Iterator[Dataset]:
    """Yield a content item of an SR and all below it."""
    yield item
    for child in item.get("ContentSequence", ()):
        yield from content_of(child)


def named(parent: Dataset, code_value: str) -> list[Dataset]:
    """Return the content items whose concept name has a code value."""
    return [
        item
        for item in content_of(parent)
        if "ConceptNameCodeSequence" in item
        and item.ConceptNameCodeSequence[0].CodeValue == code_value
    ]

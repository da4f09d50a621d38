"""Real pictures for tests: curated SPIDER patients, re-headered RSNA files."""

from __future__ import annotations

import copy
import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import MRImageStorage

from analysis.contract.geometry import Frame
from dicom_node.identifiers import derived_uid
from tests.support.spine_phantom import frame_of


def spider_volume(
    folder: Path,
) -> tuple[NDArray[np.float32], Frame, dict[str, NDArray[np.uint8]]]:
    """Read a curated SPIDER patient (`image.nii.gz` and masks) as voxels and frame.

    The files hold (slice, front to back, head to feet); which side is left is not
    known, so slices are said to run to the right.

    Returns
    -------
    voxels : ndarray, shape (K, R, C), float32
    frame
        Its grid, about the origin.
    masks : dict of ndarray, shape (K, R, C), uint8
        By file name without `mask_` and ending.
    """
    voxels, spacing_mm = _read_nifti(folder / "image.nii.gz")
    masks = {
        path.name.removeprefix("mask_").removesuffix(".nii.gz"): _read_nifti(path)[
            0
        ].astype(np.uint8)
        for path in sorted(folder.glob("mask_*.nii.gz"))
    }
    frame = frame_of(voxels.shape, spacing_mm)
    return voxels.astype(np.float32), frame, masks


_NIFTI_TYPES = {2: "<u1", 4: "<i2", 8: "<i4", 16: "<f4", 512: "<u2"}


def _read_nifti(path: Path) -> tuple[NDArray[Any], tuple[float, float, float]]:
    content = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(content, "<i2", 3, 42)
    spacing = np.frombuffer(content, "<f4", 3, 80)
    kind = _NIFTI_TYPES[int(np.frombuffer(content, "<i2", 1, 70)[0])]
    start = int(np.frombuffer(content, "<f4", 1, 108)[0])
    stored = np.frombuffer(content, kind, int(np.prod(shape)), start)
    array = stored.reshape(shape, order="F").transpose(0, 2, 1)
    return np.ascontiguousarray(array), (
        float(spacing[0]),
        float(spacing[2]),
        float(spacing[1]),
    )


def reheader_rsna(source: Path, *, seed: str = "rsna") -> list[FileDataset]:
    """Give the files of one raw RSNA series what a PACS demands.

    The raw files have neither SOP Class UID nor Modality, their UIDs are no UIDs and
    collide between series. Pixels stay RLE as they are, geometry stays as it is.
    """
    datasets = []
    for path in sorted(source.glob("*.dcm"), key=lambda each: int(each.stem)):
        raw = dcmread(path)
        dataset = copy.deepcopy(raw)
        dataset.SOPClassUID = MRImageStorage
        dataset.Modality = "MR"
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
            setattr(dataset, keyword, derived_uid(seed, str(raw[keyword].value)))
        dataset.SOPInstanceUID = derived_uid(seed, source.name, path.stem)
        dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        datasets.append(dataset)
    return datasets

"""Small MR instances, and what DCMTK and GDCM make of them."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from dicom_node.identifiers import derived_uid

_GDCMCONV = str(Path(sys.executable).with_name("gdcmconv"))


def mr_instance(
    number: int = 1,
    *,
    study: str = "study",
    series: str = "series",
    content: int = 0,
    size: int = 32,
) -> Dataset:
    """Return an uncompressed MR instance; its UIDs are made of the names given.

    Parameters
    ----------
    content
        Other numbers give other pixels.
    size
        Rows and columns.
    """
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.SOPClassUID = MRImageStorage
    found.SOPInstanceUID = derived_uid(study, series, str(number))
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    found.StudyInstanceUID = derived_uid(study)
    found.SeriesInstanceUID = derived_uid(study, series)
    found.PatientName = "Phantom^Lumbar"
    found.PatientID = "PHANTOM"
    found.Modality = "MR"
    found.InstanceNumber = number
    found.SamplesPerPixel = 1
    found.PhotometricInterpretation = "MONOCHROME2"
    found.Rows = found.Columns = size
    found.BitsAllocated, found.BitsStored, found.HighBit = 16, 12, 11
    found.PixelRepresentation = 0
    pixels = np.random.default_rng((number, content)).integers(0, 4096, (size, size))
    found.PixelData = pixels.astype(np.uint16).tobytes()
    return found


def dataset_bytes(path: Path) -> bytes:
    """Return what follows the file meta information in a Part 10 file."""
    return _after_meta(path.read_bytes())


def encoded(dataset: Dataset) -> bytes:
    """Return a dataset's bytes in the transfer syntax of its file meta."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return _after_meta(buffer.getvalue())


def _after_meta(content: bytes) -> bytes:
    assert content[128:132] == b"DICM"
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]


def write_instances(
    folder: Path, count: int, *, study: str = "study", series: str = "series"
) -> list[Path]:
    """Write a series of instances, and return their paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(1, count + 1):
        path = folder / f"{number:04d}.dcm"
        instance = mr_instance(number, study=study, series=series)
        instance.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def gdcmconv(source: Path, target: Path, option: str) -> Path:
    """Compress a file with GDCM."""
    _run(_GDCMCONV, option, str(source), str(target))
    return target


def dcmtk_convert(source: Path, target: Path, program: str, *options: str) -> Path:
    """Convert a file with one of DCMTK's programs (dcmconv, dcmcjpeg, dcmcrle …)."""
    _run(program, *options, str(source), str(target))
    return target


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

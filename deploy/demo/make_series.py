"""Make the bundled demo series: one SPIDER patient as a DICOM MR series.

The series in `deploy/demo/series` was made by this very command, which needs the
training extra (SimpleITK) and the curated data beside the project:

    python -m deploy.demo.make_series ../shared/data/spider_t2space/045

Running it again gives the same bytes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from dicom_node.identifiers import derived_uid

_ROOT = "lumbar-node demo series"
_PROVENANCE = (
    "SPIDER patient 45, T2 SPACE (CC-BY-4.0, doi 10.5281/zenodo.10159290); converted "
    "from an 8-bit export, every second slice; laterality unknown; identity synthetic."
)
_DATE = "20240101"
_TIME = "120000"
_WINDOW_CENTRE = 75
_WINDOW_WIDTH = 150
"""Shows vertebrae and discs; subcutaneous fat, the brightest tissue, saturates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Voxels of the NIfTI file and where they lie.

    Parameters
    ----------
    voxels : ndarray, shape (K, R, C), uint16
        Slice, row (head to foot), column (front to back).
    positions_mm : ndarray, shape (K, 3)
        Centre of the first voxel of each slice, LPS.
    orientation
        Direction in which column index grows, then row index (IOP).
    spacing_mm
        Between slices, rows and columns.
    """

    voxels: NDArray[np.uint16]
    positions_mm: NDArray[np.float64]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, float, float]


def read_picture(path: Path) -> Picture:
    """Read a curated NIfTI picture; its axes are (slice, front-back, head-foot).

    SimpleITK gives index (i, j, k) to LPS millimetres; here i is the slice, j the
    column and k the row of the DICOM picture, so nothing is flipped.
    """
    image = SimpleITK.ReadImage(str(path))
    direction = np.array(image.GetDirection()).reshape(3, 3)
    slices, columns, rows = image.GetSpacing()
    count = image.GetSize()[0]
    return Picture(
        voxels=SimpleITK.GetArrayFromImage(image).transpose(2, 0, 1).astype(np.uint16),
        positions_mm=np.array(
            [image.TransformIndexToPhysicalPoint((k, 0, 0)) for k in range(count)]
        ),
        orientation=(*direction[:, 1].tolist(), *direction[:, 2].tolist()),
        spacing_mm=(slices, rows, columns),
    )


def _identity() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "DEMO^SPIDER"
    dataset.PatientID = "SPIDER-045"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "F"
    dataset.PatientAge = "045Y"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Published by SPIDER without identity"
    dataset.StudyInstanceUID = derived_uid(_ROOT, "study")
    dataset.StudyID = "1"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = _DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = _TIME
    dataset.StudyDescription = "MR lumbar spine (demo)"
    dataset.AccessionNumber = "DEMO0045"
    dataset.ReferringPhysicianName = ""
    return dataset


def _series() -> Dataset:
    dataset = Dataset()
    dataset.Modality = "MR"
    dataset.SeriesInstanceUID = derived_uid(_ROOT, "series")
    dataset.SeriesNumber = 4
    dataset.SeriesDescription = "T2_space_sag_c4"
    dataset.ProtocolName = "T2_space_sag_c4"
    dataset.BodyPartExamined = "LSPINE"
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = derived_uid(_ROOT, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer = "SIEMENS"
    dataset.ManufacturerModelName = "Avanto_fit"
    dataset.ImageComments = _PROVENANCE
    return dataset


def _acquisition() -> Dataset:
    """Return the sequence, as SPIDER's overview.csv tells it for patient 45."""
    dataset = Dataset()
    dataset.ScanningSequence = "SE"
    dataset.SequenceVariant = ["SK", "SP"]
    dataset.ScanOptions = ""
    dataset.MRAcquisitionType = "3D"
    dataset.SequenceName = "*spcR_60"
    dataset.AngioFlag = "N"
    dataset.EchoTime = 124
    dataset.RepetitionTime = 1000
    dataset.EchoTrainLength = 60
    dataset.EchoNumbers = 1
    dataset.FlipAngle = 150
    dataset.MagneticFieldStrength = 1.5
    dataset.ImagingFrequency = 63.673738
    dataset.ImagedNucleus = "1H"
    dataset.PercentPhaseFieldOfView = 125
    dataset.PercentSampling = 90
    dataset.PixelBandwidth = 530
    dataset.InPlanePhaseEncodingDirection = "COL"
    dataset.SliceThickness = 0.9
    return dataset


def _instance(picture: Picture, index: int) -> Dataset:
    slices_mm, rows_mm, columns_mm = picture.spacing_mm
    voxels = picture.voxels[index]
    dataset = Dataset()
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = derived_uid(_ROOT, "instance", str(index))
    dataset.InstanceNumber = index + 1
    dataset.AcquisitionNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.ContentDate = _DATE
    dataset.ContentTime = _TIME
    dataset.SpacingBetweenSlices = round(slices_mm, 4)
    dataset.ImagePositionPatient = [
        round(float(mm), 6) for mm in picture.positions_mm[index]
    ]
    dataset.ImageOrientationPatient = list(picture.orientation)
    dataset.PixelSpacing = [rows_mm, columns_mm]
    dataset.Rows, dataset.Columns = voxels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter = _WINDOW_CENTRE
    dataset.WindowWidth = _WINDOW_WIDTH
    dataset.PixelData = voxels.astype("<u2").tobytes()
    return dataset


def build(picture: Picture) -> list[FileDataset]:
    """Return one dataset per slice, with its file meta information."""
    shared = (_identity(), _series(), _acquisition())
    datasets = []
    for index in range(picture.voxels.shape[0]):
        dataset = _instance(picture, index)
        for part in shared:
            dataset.update(part)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        datasets.append(FileDataset("", dataset, file_meta=meta, preamble=b"\0" * 128))
    return datasets


def main() -> None:
    """Write the series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("patient", type=Path, help="folder with image.nii.gz")
    parser.add_argument("--out", type=Path, default=Path("deploy/demo/series"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(
        build(read_picture(arguments.patient / "image.nii.gz")), start=1
    ):
        path = arguments.out / f"{number:02d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        print(path)


if __name__ == "__main__":
    main()

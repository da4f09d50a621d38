"""DICOM MR series for tests: synthetic ones, and re-headered RSNA files.

`phantom_spine()` gives voxels whose truth is known; `build_series()` puts them into
datasets, and takes any attribute as a keyword; `write_series()` writes them.

    voxels, frame, labels = phantom_spine()
    write_series(tmp_path, build_series(voxels, frame, EchoTime=None))
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
)

from analysis.contract.geometry import Frame
from dicom_node.identifiers import derived_uid

# Directions along which slice, row and column index grow, as columns, for slices in the
# three planes of the patient as scanners write them.
SAGITTAL = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Column to the back, row to the feet; slices then run to the patient's right."""
CORONAL = np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]])
"""Column to the left, row to the feet; slices then run to the back."""
AXIAL = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
"""Column to the left, row to the back; slices then run to the head."""

DISC_LABELS = ("L5/S1 disc", "L4/L5 disc", "L3/L4 disc", "L2/L3 disc", "L1/L2 disc")
BODY_LABELS = ("S1", "L5", "L4", "L3", "L2", "L1")

_BODY_MM = 26.0
_DISC_MM = 10.0
_DEPTH_MM = 34.0
_HALF_WIDTH_MM = 22.0
_CANAL_MM = (19.0, 33.0)
_LORDOSIS_MM = 6.0
"""Depth of the bow of the column, towards the front."""

BACKGROUND, BODY, DISC, CANAL = 40.0, 180.0, 320.0, 900.0


def turned(directions: NDArray[np.float64], *, angle_deg: float) -> NDArray[np.float64]:
    """Return directions turned about the patient's x and z axis by one angle each."""
    angle = np.deg2rad(angle_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    about_z = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return np.asarray(about_x @ about_z @ directions)


def frame_of(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float] = (4.0, 1.0, 1.0),
    directions: NDArray[np.float64] = SAGITTAL,
) -> Frame:
    """Return a frame whose grid has its centre at the origin of the patient."""
    half = (np.array(shape) - 1) / 2 * np.array(spacing_mm)
    return Frame(
        origin_mm=-directions @ half,
        directions=directions,
        spacing_mm=np.array(spacing_mm),
    )


def phantom_spine(
    shape: tuple[int, int, int] = (11, 256, 160),
    spacing_mm: tuple[float, float, float] = (4.0, 1.0, 1.0),
    directions: NDArray[np.float64] = SAGITTAL,
) -> tuple[NDArray[np.float32], Frame, NDArray[np.uint8]]:
    """Draw a lumbar spine of boxes in the patient, whatever grid samples it.

    Discs are 10 mm high, bodies 26 mm, both 34 mm deep and 44 mm wide; the canal lies
    behind. The column is bowed, so head and feet, front and back can be told apart.

    Returns
    -------
    voxels : ndarray, shape (K, R, C), float32
        A T2 picture: canal bright, discs brighter than bodies, faint texture.
    frame
        Its grid.
    labels : ndarray, shape (K, R, C), uint8
        1 to 6: S1, L5 … L1. 11 to 15: discs from L5/S1 up. 20: canal.
    """
    frame = frame_of(shape, spacing_mm, directions)
    indices = np.moveaxis(np.indices(shape), 0, -1)
    left, back, head = np.moveaxis(frame.to_mm(indices), -1, 0)
    back = back + _LORDOSIS_MM * np.cos(head / 60.0)
    pitch = _BODY_MM + _DISC_MM
    height = head + 3 * pitch
    number = np.floor(height / pitch).astype(int)
    in_disc = height - number * pitch >= _BODY_MM
    inside = (np.abs(left) <= _HALF_WIDTH_MM) & (np.abs(back) <= _DEPTH_MM / 2)
    labels = np.zeros(shape, dtype=np.uint8)
    column = inside & (number >= 0) & (number <= len(DISC_LABELS))
    labels[column & ~in_disc] = (number + 1)[column & ~in_disc]
    discs = column & in_disc & (number < len(DISC_LABELS))
    labels[discs] = (number + 11)[discs]
    canal = (np.abs(left) <= 8.0) & (back >= _CANAL_MM[0]) & (back <= _CANAL_MM[1])
    labels[canal & (number >= 0) & (number <= len(DISC_LABELS))] = 20
    voxels = np.full(shape, BACKGROUND, dtype=np.float32)
    voxels[(labels > 0) & (labels <= len(BODY_LABELS))] = BODY
    voxels[(labels > 10) & (labels < 20)] = DISC
    voxels[labels == 20] = CANAL
    texture = 8 * np.sin(left / 3) * np.sin(back / 4) * np.sin(head / 5)
    return np.round(voxels + texture).astype(np.float32), frame, labels


def _common(seed: str) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    for part in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{part}Date", "20260102")
        setattr(dataset, f"{part}Time", "101500")
    dataset.AccessionNumber = "ACC0001"
    dataset.Modality = "MR"
    dataset.Manufacturer = "Phantom Imaging"
    dataset.ManufacturerModelName = "Boxes"
    dataset.ReferringPhysicianName = "Refer^Red"
    dataset.StudyDescription = "MR lumbar spine"
    dataset.SeriesDescription = "t2_tse_sag"
    dataset.PatientName = "Phantom^Spine"
    dataset.PatientID = "PHANTOM1"
    dataset.IssuerOfPatientID = "HOSPITAL"
    dataset.PatientBirthDate = "19800615"
    dataset.PatientSex = "F"
    dataset.PatientAge = "045Y"
    dataset.PatientWeight = 70
    dataset.BodyPartExamined = "LSPINE"
    dataset.ScanningSequence = "SE"
    dataset.SequenceVariant = "SK"
    dataset.ScanOptions = ""
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime = 3500
    dataset.EchoTime = 100
    dataset.EchoTrainLength = 16
    dataset.FlipAngle = 150
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID = derived_uid(seed, "study")
    dataset.SeriesInstanceUID = derived_uid(seed, "series")
    dataset.FrameOfReferenceUID = derived_uid(seed, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.StudyID = "STUDY1"
    dataset.SeriesNumber = 3
    dataset.AcquisitionNumber = 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = 400, 800
    return dataset


def _describe_pixels(
    dataset: Dataset, shape: tuple[int, ...], *, bits_stored: int, signed: bool
) -> None:
    dataset.Rows, dataset.Columns = shape[-2:]
    dataset.BitsAllocated = 8 if bits_stored <= 8 else 16
    dataset.BitsStored = bits_stored
    dataset.HighBit = bits_stored - 1
    dataset.PixelRepresentation = int(signed)


def _apply(dataset: Dataset, attributes: dict[str, Any]) -> None:
    for keyword, value in attributes.items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)


def _file(dataset: Dataset) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return FileDataset("", dataset, file_meta=meta, preamble=b"\0" * 128)


def _stored(
    voxels: NDArray[np.float32], *, bits_stored: int, signed: bool
) -> NDArray[np.generic]:
    kind = ("i" if signed else "u") + ("1" if bits_stored <= 8 else "2")
    return np.round(voxels).astype(f"<{kind}")


def _decimals(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 8) for value in values]


def build_series(
    voxels: NDArray[np.float32],
    frame: Frame,
    *,
    seed: str = "phantom",
    bits_stored: int = 12,
    signed: bool = False,
    **attributes: Any,
) -> list[FileDataset]:
    """Put a volume into classic MR instances, one per slice, in order of K.

    Parameters
    ----------
    seed
        All UIDs derive from it; another seed is another study.
    bits_stored, signed
        Of the stored values; up to 8 bits are allocated as 8.
    attributes
        Any attribute by its keyword, for every instance; None takes it away.
    """
    slices_mm, rows_mm, columns_mm = frame.spacing_mm.tolist()
    datasets = []
    for k, picture in enumerate(
        _stored(voxels, bits_stored=bits_stored, signed=signed)
    ):
        dataset = _common(seed)
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = derived_uid(seed, "instance", str(k))
        dataset.InstanceNumber = k + 1
        dataset.ImagePositionPatient = _decimals(frame.to_mm([k, 0, 0]))
        dataset.ImageOrientationPatient = _decimals(
            np.concatenate([frame.directions[:, 2], frame.directions[:, 1]])
        )
        dataset.PixelSpacing = [rows_mm, columns_mm]
        dataset.SliceThickness = dataset.SpacingBetweenSlices = slices_mm
        _describe_pixels(dataset, picture.shape, bits_stored=bits_stored, signed=signed)
        dataset.PixelData = picture.tobytes()
        if bits_stored <= 8 and picture.size % 2:
            dataset.PixelData += b"\0"
        _apply(dataset, attributes)
        datasets.append(_file(dataset))
    return datasets


def build_enhanced(
    voxels: NDArray[np.float32],
    frame: Frame,
    *,
    seed: str = "enhanced",
    frame_order: Sequence[int] | None = None,
    **attributes: Any,
) -> FileDataset:
    """Put a volume into one Enhanced MR instance.

    Parameters
    ----------
    frame_order
        K of each frame, as a scanner may have ordered them; in order of K if left out.
    """
    order = [
        int(k) for k in (range(len(voxels)) if frame_order is None else frame_order)
    ]
    dataset = _common(seed)
    for keyword in (
        "ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType",
        "RepetitionTime", "EchoTime", "EchoTrainLength", "FlipAngle",
        "AcquisitionNumber", "WindowCenter", "WindowWidth",
    ):  # fmt: skip
        delattr(dataset, keyword)
    dataset.SOPClassUID = EnhancedMRImageStorage
    dataset.SOPInstanceUID = derived_uid(seed, "instance")
    dataset.InstanceNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.SoftwareVersions = "1"
    dataset.DeviceSerialNumber = "1"
    dataset.AcquisitionDateTime = "20260102101500"
    dataset.AcquisitionDuration = 120.0
    dataset.AcquisitionContrast = "T2"
    dataset.PixelPresentation = "MONOCHROME"
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.ComplexImageComponent = "MAGNITUDE"
    dataset.NumberOfFrames = len(order)
    _enhanced_sequence(dataset)
    _enhanced_dimensions(dataset, seed)
    dataset.SharedFunctionalGroupsSequence = [_shared_groups(frame)]
    dataset.PerFrameFunctionalGroupsSequence = [
        _frame_groups(frame, k, number) for number, k in enumerate(order)
    ]
    stored = _stored(voxels[order], bits_stored=12, signed=False)
    _describe_pixels(dataset, stored.shape, bits_stored=12, signed=False)
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "NO"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.PixelData = stored.tobytes()
    _apply(dataset, attributes)
    return _file(dataset)


def _enhanced_sequence(dataset: Dataset) -> None:
    for keyword, value in {
        "ContentQualification": "PRODUCT", "ResonantNucleus": "1H", "KSpaceFiltering":
        "NONE", "MagneticFieldStrength": 1.5, "ApplicableSafetyStandardAgency": "IEC",
        "ApplicableSafetyStandardDescription": "IEC", "PulseSequenceName": "tse",
        "MRAcquisitionType": "2D", "EchoPulseSequence": "SPIN", "MultipleSpinEcho":
        "YES", "MultiPlanarExcitation": "NO", "PhaseContrast": "NO",
        "TimeOfFlightContrast": "NO", "SteadyStatePulseSequence": "NONE",
        "EchoPlanarPulseSequence": "NO", "SaturationRecovery": "NO",
        "SpectrallySelectedSuppression": "NONE", "OversamplingPhase": "NONE",
        "GeometryOfKSpaceTraversal": "RECTILINEAR", "SegmentedKSpaceTraversal":
        "PARTIAL", "RectilinearPhaseEncodeReordering": "LINEAR",
        "NumberOfKSpaceTrajectories": 1, "CoverageOfKSpace": "FULL",
    }.items():  # fmt: skip
        setattr(dataset, keyword, value)


def _enhanced_dimensions(dataset: Dataset, seed: str) -> None:
    organisation = Dataset()
    organisation.DimensionOrganizationUID = derived_uid(seed, "dimension")
    dataset.DimensionOrganizationSequence = [organisation]
    index = Dataset()
    index.DimensionOrganizationUID = organisation.DimensionOrganizationUID
    index.DimensionIndexPointer = 0x00209057  # In-Stack Position Number
    index.FunctionalGroupPointer = 0x00209111  # Frame Content Sequence
    dataset.DimensionIndexSequence = [index]


def _item(**attributes: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def _shared_groups(frame: Frame) -> Dataset:
    slices_mm, rows_mm, columns_mm = frame.spacing_mm.tolist()
    region = _item(
        CodeValue="122496007", CodingSchemeDesignator="SCT", CodeMeaning="Lumbar spine"
    )
    return _item(
        PixelMeasuresSequence=[
            _item(
                PixelSpacing=[rows_mm, columns_mm],
                SliceThickness=slices_mm,
                SpacingBetweenSlices=slices_mm,
            )
        ],
        PlaneOrientationSequence=[
            _item(
                ImageOrientationPatient=_decimals(
                    np.concatenate([frame.directions[:, 2], frame.directions[:, 1]])
                )
            )
        ],
        FrameAnatomySequence=[
            _item(FrameLaterality="U", AnatomicRegionSequence=[region])
        ],
        PixelValueTransformationSequence=[
            _item(RescaleIntercept=0, RescaleSlope=1, RescaleType="US")
        ],
        FrameVOILUTSequence=[_item(WindowCenter=400, WindowWidth=800)],
        MRImageFrameTypeSequence=[
            _item(
                FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
                PixelPresentation="MONOCHROME",
                VolumetricProperties="VOLUME",
                VolumeBasedCalculationTechnique="NONE",
                ComplexImageComponent="MAGNITUDE",
                AcquisitionContrast="T2",
            )
        ],
        MRTimingAndRelatedParametersSequence=[
            _item(RepetitionTime=3500.0, FlipAngle=150.0, EchoTrainLength=16)
        ],
        MREchoSequence=[_item(EffectiveEchoTime=100.0)],
    )


def _frame_groups(frame: Frame, k: int, number: int) -> Dataset:
    return _item(
        FrameContentSequence=[
            _item(
                StackID="1",
                InStackPositionNumber=k + 1,
                DimensionIndexValues=[k + 1],
                FrameAcquisitionNumber=number + 1,
                FrameAcquisitionDateTime="20260102101500",
                FrameReferenceDateTime="20260102101500",
                FrameAcquisitionDuration=1000.0,
            )
        ],
        PlanePositionSequence=[
            _item(ImagePositionPatient=_decimals(frame.to_mm([k, 0, 0])))
        ],
    )


def write_series(folder: Path, datasets: Sequence[FileDataset]) -> list[Path]:
    """Write instances as `001.dcm` … into a folder, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets, start=1):
        path = folder / f"{number:03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


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

"""Synthetic DICOM MR series for tests; real ones are in `mr_sources`.

`spine_phantom.phantom_spine()` gives voxels whose truth is known; `build_series()` puts
them into datasets, and takes any attribute as a keyword; `write_series()` writes them.

    voxels, frame, labels = phantom_spine()
    write_series(tmp_path, build_series(voxels, frame, EchoTime=None))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
    MRImageStorage,
)

from analysis.contract.geometry import Frame
from dicom_node.identifiers import derived_uid


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


def write_series(
    folder: Path, datasets: Sequence[Dataset], *, syntax: str | None = None
) -> list[Path]:
    """Write instances as `001.dcm` … into a folder, made if need be.

    Parameters
    ----------
    syntax
        Transfer syntax to write in; Explicit VR Little Endian if left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets, start=1):
        path = folder / f"{number:03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        if syntax is not None:
            transcode(path, UID(syntax))
        paths.append(path)
    return paths


def transcode(path: Path, syntax: UID) -> None:
    """Write a file again in another transfer syntax, without loss."""
    if syntax in _GDCM_SYNTAXES:
        _transcode_with_gdcm(path, _GDCM_SYNTAXES[syntax])
        return
    dataset = dcmread(path)
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(
        path,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=True,
        enforce_file_format=True,
    )


_GDCM_SYNTAXES = {
    JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
}
"""pydicom has no encoder for these."""


def _transcode_with_gdcm(path: Path, syntax: int) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    if not reader.Read():
        message = f"GDCM cannot read {path}"
        raise ValueError(message)
    change.SetInput(reader.GetImage())
    if not change.Change():
        message = f"GDCM cannot transcode {path}"
        raise ValueError(message)
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))  # empties the file, so not before it is read
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        message = f"GDCM cannot write {path}"
        raise ValueError(message)

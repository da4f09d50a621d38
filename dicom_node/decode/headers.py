"""The attributes that we read before any pixel, each typed, each with its tag."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import config
from pydicom.dataset import Dataset

from dicom_node.decode import attribute_values
from dicom_node.decode.patient_identity import identity_of
from dicom_node.decode.picture_kind import PictureKind, kind_of
from dicom_node.decode.read_file import (
    DEFAULT_LIMITS,
    NotDicomError,
    ReadLimits,
    broken_if_unreadable,
    read_file,
)
from dicom_node.errors import PixelDataError
from dicom_node.identifiers import digest

_READ = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality",
    "Manufacturer", "ManufacturerModelName", "SeriesDescription", "ProtocolName",
    "AcquisitionContrast", "BodyPartExamined", "ScanningSequence", "SequenceVariant",
    "ScanOptions", "SequenceName", "SliceThickness", "RepetitionTime", "EchoTime",
    "InversionTime", "SpacingBetweenSlices", "ContrastBolusAgent", "InversionRecovery",
    "SpectrallySelectedSuppression", "PatientID", "StudyInstanceUID",
    "SeriesInstanceUID", "SeriesNumber", "ImagePositionPatient",
    "ImageOrientationPatient", "NumberOfFrames", "SamplesPerPixel", "Rows", "Columns",
    "PixelSpacing", "AnatomicRegionSequence", "ComplexImageComponent",
    "PixelPresentation", "IssuerOfPatientID", "PatientName", "PatientBirthDate",
    "PatientSex", "PatientSpeciesDescription", "PatientSpeciesCodeSequence",
    "PatientBreedDescription", "PatientSexNeutered", "StationName",
    "DeviceSerialNumber", "ResponsiblePersonRole", "RealWorldValueMappingSequence",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_ORIENTATION_NUMBERS = 6
_POSITION_NUMBERS = 3
_SPACING_NUMBERS = 2
_STATION = (
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "StationName",
)
_HUMAN = re.compile(r"\bhuman\b|homo sapiens", re.IGNORECASE)
_HUMAN_CODES = frozenset({"337915000", "L-85B00"})
_UNITS_OF_MAPS = frozenset(
    {"ms", "s", "/s", "/ms", "s-1", "ms-1", "Hz", "ppm", "[ppm]", "%", "mm2/s",
     "um2/s", "10-6.mm2/s", "10*-6.mm2/s", "10*-3.mm2/s", "rad", "deg", "cm/s"}
)  # fmt: skip
"""Of times, rates, shifts, fractions, diffusion, phase, flow; a magnitude has none."""
_GE_CREATOR = "GEMS_PARM_01"
_GE_CREATOR_TAG = 0x00430010
_GE_IMAGE_KIND = 0x0043102F
_GE_KINDS = {1: PictureKind.PHASE, 2: PictureKind.REAL, 3: PictureKind.IMAGINARY}
"""(0043,102F) Raw Data Type, of GE's conformance statements; 0 is magnitude."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceHeader:
    """What one instance tells about itself; empty or None where it tells nothing.

    Parameters
    ----------
    patient
        Digests of Patient ID, its issuer, name, birth date and sex, each empty where
        it is not stated: enough to tell two patients apart.
    species
        Empty for a human; else what the header calls the animal.
    station
        Manufacturer, model, serial number and name of the scanner.
    kinds
        What each frame shows.
    image_type
        (0008,0008), upper case.
    contrast
        (0008,9209) Acquisition Contrast, of Enhanced MR.
    description
        (0008,103E) Series Description; (0018,1030) Protocol Name where that is empty,
        for some senders name the whole examination there.
    echo_time_ms, repetition_time_ms, inversion_time_ms
        (0018,0081), (0018,0080), (0018,0082), or their Enhanced MR counterparts.
    sequence, options
        (0018,0020) Scanning Sequence, (0018,0022) Scan Options, upper case.
    inversion_recovery, fat_suppressed
        What Enhanced MR says outright: (0018,9009), (0018,9025).
    orientations
        The distinct (0020,0037) of all frames, six direction cosines each.
    positions
        (0020,0032) of every frame that has one, mm.
    pixel_spacing_mm
        (0028,0030): between rows, between columns.
    pixels
        Whether Pixel Data (7FE0,0010) begins where the header ends.

    References
    ----------
    PS3.3 C.7.6, C.8.3 (MR), C.8.13 (Enhanced MR).
    """

    path: Path
    patient: tuple[str, ...]
    species: str
    station: tuple[str, ...]
    kinds: tuple[PictureKind, ...]
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    modality: str
    manufacturer: str
    model_name: str
    image_type: tuple[str, ...]
    contrast: str
    body_part: str
    description: str
    series_number: int | None
    rows: int | None
    columns: int | None
    samples: int | None
    frames: int
    echo_time_ms: float | None
    repetition_time_ms: float | None
    inversion_time_ms: float | None
    sequence: tuple[str, ...]
    options: tuple[str, ...]
    inversion_recovery: bool
    fat_suppressed: bool
    contrast_agent: bool
    orientations: tuple[tuple[float, ...], ...]
    positions: tuple[tuple[float, ...], ...]
    pixel_spacing_mm: tuple[float, float] | None
    thickness_mm: float | None
    spacing_between_mm: float | None
    pixels: bool


def read_headers(
    paths: Sequence[Path], *, limits: ReadLimits = DEFAULT_LIMITS
) -> tuple[InstanceHeader, ...]:
    """Read the headers of one series.

    Raises
    ------
    PixelDataError
        If a file is not DICOM or broken before its pixels, `unreadable_instance`.
    SeriesRejectedError, InstanceMissingError, MachineTroubleError
        As `read_file`.
    """
    try:
        return tuple(read_header(path, limits=limits) for path in paths)
    except NotDicomError as error:
        text = f"an instance cannot be read as DICOM: {error}"
        raise PixelDataError(reason="unreadable_instance", text=text) from error


def read_header(path: Path, *, limits: ReadLimits = DEFAULT_LIMITS) -> InstanceHeader:
    """Read the header of one file.

    Raises
    ------
    NotDicomError, SeriesRejectedError, InstanceMissingError, MachineTroubleError
        As `read_file`.
    """
    stored = read_file(
        path, tags=(*_READ, _GE_CREATOR_TAG, _GE_IMAGE_KIND), limits=limits
    )
    with (
        config.disable_value_validation(),
        warnings.catch_warnings(),
        broken_if_unreadable(),
    ):
        warnings.simplefilter("ignore")
        return _header(
            path,
            stored.dataset,
            syntax=attribute_values.text(stored.dataset.file_meta, "TransferSyntaxUID"),
            pixels=stored.has_pixels,
        )


def _header(
    path: Path, dataset: Dataset, *, syntax: str, pixels: bool
) -> InstanceHeader:
    frames = frame_groups(dataset)
    first = frames[0]
    measures = attribute_values.item(first, "PixelMeasuresSequence")
    timing = attribute_values.item(first, "MRTimingAndRelatedParametersSequence")
    modifier = attribute_values.item(first, "MRModifierSequence")
    frame_type = attribute_values.item(first, "MRImageFrameTypeSequence")
    return InstanceHeader(
        path=path,
        patient=_patient(dataset),
        species=_species(dataset),
        station=tuple(attribute_values.text(dataset, name) for name in _STATION),
        kinds=tuple(_kind(dataset, frame) for frame in frames),
        sop_class_uid=attribute_values.text(dataset, "SOPClassUID"),
        sop_instance_uid=attribute_values.text(dataset, "SOPInstanceUID"),
        study_uid=attribute_values.text(dataset, "StudyInstanceUID"),
        series_uid=attribute_values.text(dataset, "SeriesInstanceUID"),
        transfer_syntax_uid=syntax,
        modality=attribute_values.text(dataset, "Modality").upper(),
        manufacturer=attribute_values.text(dataset, "Manufacturer"),
        model_name=attribute_values.text(dataset, "ManufacturerModelName"),
        image_type=attribute_values.words(dataset, "ImageType"),
        contrast=attribute_values.text(dataset, "AcquisitionContrast").upper()
        or attribute_values.text(frame_type, "AcquisitionContrast").upper(),
        body_part=_body_part(dataset, first),
        description=attribute_values.text(dataset, "SeriesDescription")
        or attribute_values.text(dataset, "ProtocolName"),
        series_number=attribute_values.whole(dataset, "SeriesNumber"),
        rows=attribute_values.whole(dataset, "Rows"),
        columns=attribute_values.whole(dataset, "Columns"),
        samples=attribute_values.whole(dataset, "SamplesPerPixel"),
        frames=len(frames),
        echo_time_ms=echo_time_of(first, dataset),
        repetition_time_ms=attribute_values.number(timing, "RepetitionTime")
        or attribute_values.number(dataset, "RepetitionTime"),
        inversion_time_ms=attribute_values.number(modifier, "InversionTimes")
        or attribute_values.number(dataset, "InversionTime"),
        sequence=attribute_values.words(dataset, "ScanningSequence"),
        options=attribute_values.words(dataset, "ScanOptions"),
        inversion_recovery="YES"
        in (
            attribute_values.text(modifier, "InversionRecovery"),
            attribute_values.text(dataset, "InversionRecovery"),
        ),
        fat_suppressed=attribute_values.text(dataset, "SpectrallySelectedSuppression")
        == "FAT",
        contrast_agent=bool(attribute_values.text(dataset, "ContrastBolusAgent")),
        orientations=_orientations(frames),
        positions=tuple(p for p in map(position_of, frames) if p is not None),
        pixel_spacing_mm=spacing_of(first),
        thickness_mm=attribute_values.number(measures, "SliceThickness"),
        spacing_between_mm=attribute_values.number(measures, "SpacingBetweenSlices"),
        pixels=pixels,
    )


def frame_groups(dataset: Dataset) -> tuple[Dataset, ...]:
    """Return one dataset per frame in the form of Enhanced functional groups.

    A classic instance is one frame; its own attributes take the place of the groups,
    so that one reader serves both.
    """
    per_frame = attribute_values.items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = attribute_values.item(dataset, "SharedFunctionalGroupsSequence")
    if not per_frame and not len(shared):
        classic = Dataset()
        for keyword in (
            "PixelMeasuresSequence",
            "PlanePositionSequence",
            "PlaneOrientationSequence",
            "PixelValueTransformationSequence",
        ):
            setattr(classic, keyword, [dataset])
        return (classic,)
    merged = []
    for groups in per_frame or (Dataset(),):
        frame = Dataset()
        frame.update(shared)
        frame.update(groups)
        merged.append(frame)
    return tuple(merged)


def position_of(frame: Dataset) -> tuple[float, ...] | None:
    """Return (0020,0032) of one frame in mm, or None."""
    found = attribute_values.numbers(
        attribute_values.item(frame, "PlanePositionSequence"), "ImagePositionPatient"
    )
    return found if len(found) == _POSITION_NUMBERS else None


def orientation_of(frame: Dataset) -> tuple[float, ...] | None:
    """Return (0020,0037) of one frame, six cosines, or None."""
    found = attribute_values.numbers(
        attribute_values.item(frame, "PlaneOrientationSequence"),
        "ImageOrientationPatient",
    )
    return found if len(found) == _ORIENTATION_NUMBERS else None


def spacing_of(frame: Dataset) -> tuple[float, float] | None:
    """Return (0028,0030) of one frame, between rows and between columns, or None."""
    measures = attribute_values.item(frame, "PixelMeasuresSequence")
    found = attribute_values.numbers(measures, "PixelSpacing")
    return (found[0], found[1]) if len(found) == _SPACING_NUMBERS else None


def echo_time_of(frame: Dataset, dataset: Dataset) -> float | None:
    """Return the echo time of one frame in ms, or None; of an instance, its own."""
    return attribute_values.number(
        attribute_values.item(frame, "MREchoSequence"), "EffectiveEchoTime"
    ) or attribute_values.number(dataset, "EchoTime")


def _orientations(frames: Sequence[Dataset]) -> tuple[tuple[float, ...], ...]:
    found = (orientation_of(frame) for frame in frames)
    return tuple(dict.fromkeys(cosines for cosines in found if cosines is not None))


def _patient(dataset: Dataset) -> tuple[str, ...]:
    stated = identity_of(dataset).stated
    return tuple(digest(value) if value else "" for value in stated.values())


def _species(dataset: Dataset) -> str:
    """Return what animal a header speaks of; empty for a human, or where it is silent.

    References
    ----------
    PS3.3 C.7.1.1: species, breed, neutering and an owner are stated of animals; a human
    is 337915000 of SNOMED CT, L-85B00 of its predecessor.
    """
    code = attribute_values.item(dataset, "PatientSpeciesCodeSequence")
    described = (
        attribute_values.text(dataset, "PatientSpeciesDescription"),
        attribute_values.text(code, "CodeMeaning"),
    )
    value = attribute_values.text(code, "CodeValue")
    if value in _HUMAN_CODES or any(_HUMAN.search(text) for text in described):
        return ""
    for text in (*described, attribute_values.text(dataset, "PatientBreedDescription")):
        if text:
            return text[:64]
    has_owner = attribute_values.text(dataset, "ResponsiblePersonRole") == "OWNER"
    if value or has_owner or attribute_values.text(dataset, "PatientSexNeutered"):
        return "animal"
    return ""


def _kind(dataset: Dataset, frame: Dataset) -> PictureKind:
    """Return what a frame shows; what is said of the frame counts before the rest."""
    said = attribute_values.item(frame, "MRImageFrameTypeSequence")
    kinds = (
        kind_of(
            attribute_values.words(said, "FrameType"),
            component=attribute_values.text(said, "ComplexImageComponent").upper(),
            presentation=attribute_values.text(said, "PixelPresentation").upper(),
        ),
        kind_of(
            attribute_values.words(dataset, "ImageType"),
            component=attribute_values.text(dataset, "ComplexImageComponent").upper(),
            presentation=attribute_values.text(dataset, "PixelPresentation").upper(),
            description=attribute_values.text(dataset, "SeriesDescription"),
        ),
        _GE_KINDS.get(
            attribute_values.whole_private(dataset, _GE_CREATOR, _GE_IMAGE_KIND) or 0,
            PictureKind.MAGNITUDE,
        ),
        _kind_by_unit(dataset, frame),
    )
    return next((kind for kind in kinds if kind is not PictureKind.MAGNITUDE), kinds[0])


def _kind_by_unit(dataset: Dataset, frame: Dataset) -> PictureKind:
    """Return whether the values of a frame stand for a physical quantity.

    References
    ----------
    PS3.3 C.7.6.16.2.11 Real World Value Mapping; units are of UCUM.
    """
    for holder in (frame, dataset):
        for mapping in attribute_values.items(holder, "RealWorldValueMappingSequence"):
            unit = attribute_values.item(mapping, "MeasurementUnitsCodeSequence")
            if attribute_values.text(unit, "CodeValue") in _UNITS_OF_MAPS:
                return PictureKind.MAP
    return PictureKind.MAGNITUDE


def _body_part(dataset: Dataset, frame: Dataset) -> str:
    stated = attribute_values.text(dataset, "BodyPartExamined").upper()
    if stated:
        return stated
    region = attribute_values.item(
        attribute_values.item(frame, "FrameAnatomySequence"), "AnatomicRegionSequence"
    )
    if not len(region):
        region = attribute_values.item(dataset, "AnatomicRegionSequence")
    return attribute_values.text(region, "CodeMeaning").upper()

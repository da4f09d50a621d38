"""What results copy from and refer to: the source series, made fit for that."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.tag import Tag

from analysis.contract.acquisition import Acquisition
from analysis.contract.result import Notice
from analysis.contract.volume import Volume
from dicom_node.encode.copied_attributes import Copier
from dicom_node.encode.copied_texts import UTF_8, CharacterSet
from dicom_node.encode.frame_references import StandsFor
from dicom_node.identifiers import derived_uid

MUST_BE_THERE = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""Type 2 of Patient and General Study (PS3.3 C.7.1.1, C.7.2.1): empty, not absent."""

_IMAGE_KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "SeriesNumber", "Modality", "FrameOfReferenceUID", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness", "SpacingBetweenSlices", "Rows", "Columns", "SamplesPerPixel",
    "NumberOfFrames", "BurnedInAnnotation", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
"""What results need of an image."""
_OPTIONAL_KEYWORDS = (
    "PositionReferenceIndicator", "BodyPartExamined", "Manufacturer",
    "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber",
    "InstitutionName", "StationName", "ProcedureCodeSequence", "TimezoneOffsetFromUTC",
)  # fmt: skip
"""What they tell of it besides."""
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_GEOMETRY = (
    "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence"
)  # fmt: skip
"""What results need of the functional groups of a frame."""

_PATIENT_GROUP = 0x0010
DEIDENTIFICATION = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
)
"""What is made of a series without identity has none (PS3.3 C.7.1.1)."""
_UNKNOWN_METHOD = "Not stated by the source"
STUDY_KEYWORDS = frozenset(
    {
        "StudyDescription",
        "StudyInstanceUID",
        "IssuerOfAccessionNumberSequence",
        "PhysiciansOfRecord",
        "ReferencedStudySequence",
        *MUST_BE_THERE,
        *DEIDENTIFICATION,
    }
)
"""What results take from the study of the source, beside all of group 0010."""


class SourceSeries(Protocol):
    """A decoded series, as `dicom_node.decode` hands it over."""

    @property
    def volume(self) -> Volume:
        """The voxels on their grid."""

    @property
    def sources(self) -> tuple[Dataset, ...]:
        """One dataset per slice in K order, or one multi-frame dataset."""

    @property
    def frame_numbers(self) -> tuple[int, ...]:
        """Frame (from 1) of each slice of a multi-frame source; else empty."""

    @property
    def stands_for(self) -> Mapping[str, StandsFor]:
        """The frame for which a source stands, by the UID of the source."""

    @property
    def acquisition(self) -> Acquisition:
        """Scanner and sequence, as far as stated."""

    @property
    def signal_zero(self) -> float:
        """What was taken from all rescaled values."""

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What a reader must know about the source."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """Source images with valid headers, to be copied from and referred to.

    Parameters
    ----------
    images
        As `SourceSeries.sources`; copies, the originals stay as they came.
    frame_numbers, acquisition, stands_for
        As those of `SourceSeries`.
    character_set
        In which the texts of results are written.
    """

    images: tuple[Dataset, ...]
    frame_numbers: tuple[int, ...] = ()
    acquisition: Acquisition = field(default_factory=Acquisition)
    stands_for: Mapping[str, StandsFor] = field(default_factory=dict)
    character_set: CharacterSet = UTF_8

    @property
    def first(self) -> Dataset:
        """The image that stands for patient and study."""
        return self.images[0]

    def image_of(self, slice_index: int) -> tuple[Dataset, int | None]:
        """Return the image that shows slice K, and its frame if it has several."""
        if self.frame_numbers:
            return self.images[0], self.frame_numbers[slice_index]
        return self.images[slice_index], None


def from_corner(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (row, column) as (column, row) from the corner of the first pixel.

    The contract counts from the centre of the first voxel, SCOORD and GSPS from its
    upper left corner (PS3.3 C.18.6.1.2, C.10.5.1.2).

    Parameters
    ----------
    points : ndarray, shape (N, 2)
        (row, column).

    Returns
    -------
    ndarray, shape (N, 2)
        (column, row).
    """
    return np.stack([points[:, 1], points[:, 0]], axis=1) + 0.5


def source_item(image: Dataset) -> Dataset:
    """Refer to an image from which a result was made (PS3.3 10.3)."""
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [
        code_item(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    return item


def code_item(code: Code) -> Dataset:
    """Return a code as an item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def evidence_of(series: SourceSeries, *, is_bare: bool = False) -> Evidence:
    """Prepare a decoded series for reference.

    Parameters
    ----------
    is_bare
        Whether only what results must have is taken over.
    """
    evidence = prepare(series.sources, is_bare=is_bare)
    images = evidence.images
    thickness_mm = float(series.volume.frame.spacing_mm[0])
    if series.frame_numbers:
        _share_groups(images[0], thickness_mm)
    else:
        _share_geometry(images, thickness_mm)
    return replace(
        evidence,
        frame_numbers=series.frame_numbers,
        acquisition=series.acquisition,
        stands_for=series.stands_for,
    )


def prepare(sources: Sequence[Dataset], *, is_bare: bool = False) -> Evidence:
    """Copy the attributes that results need, decoded and valid.

    Patient and study are those of the first, as they must be the same in one series.
    """
    copiers = [Copier(source) for source in sources]
    patient_study = _patient_study(copiers[0], sources[0], is_bare=is_bare)
    images = tuple(
        _image(copier, source, patient_study, is_bare=is_bare)
        for copier, source in zip(copiers, sources, strict=True)
    )
    return Evidence(images=images, character_set=copiers[0].character_set)


def doubts_about(source: Dataset) -> tuple[Notice, ...]:
    """Return a warning that names the attributes which results cannot copy as they are.

    Parameters
    ----------
    source
        The first of a series, which stands for patient and study.
    """
    copier = Copier(source)
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patient_study = _patient_study(copier, source, is_bare=False)
        _image(copier, source, patient_study, is_bare=False)
    if not copier.doubts:
        return ()
    text = f"attributes that results copy are doubtful: {'; '.join(copier.doubts)}"
    return (Notice(code="attributes_mended", text=text),)


def _share_geometry(images: Sequence[Dataset], thickness_mm: float) -> None:
    """Write the geometry of the first slice into all.

    Decoding has found them alike but for rounding; the library wants them equal, and
    a thickness, which senders may leave empty (PS3.3 C.8.3.1).
    """
    first = images[0]
    if not first.get("SliceThickness"):
        first.SliceThickness = round(thickness_mm, 4)
    for image in images:
        for keyword in (
            "ImageOrientationPatient",
            "PixelSpacing",
            "SliceThickness",
            "FrameOfReferenceUID",
        ):
            image[keyword] = first[keyword]


def _share_groups(image: Dataset, thickness_mm: float) -> None:
    """Move measures and orientation to the shared groups, where the library looks.

    Some scanners write them frame by frame, equal in all.
    """
    frames = image.PerFrameFunctionalGroupsSequence
    shared = image.get("SharedFunctionalGroupsSequence") or [Dataset()]
    common = Dataset()
    for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        common[keyword] = (frames[0] if keyword in frames[0] else shared[0])[keyword]
    measures = common.PixelMeasuresSequence[0]
    if not measures.get("SliceThickness"):
        measures.SliceThickness = round(thickness_mm, 4)
    for frame in frames:
        if "PlanePositionSequence" not in frame:
            frame["PlanePositionSequence"] = shared[0]["PlanePositionSequence"]
        for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
            frame.pop(keyword, None)
    image.SharedFunctionalGroupsSequence = [common]


def _patient_study(copier: Copier, source: Dataset, *, is_bare: bool) -> Dataset:
    tags = [
        tag
        for tag in source.keys()  # noqa: SIM118 - iteration would convert every element
        if (tag.group == _PATIENT_GROUP and not is_bare)
        or keyword_for_tag(tag) in (MUST_BE_THERE if is_bare else STUDY_KEYWORDS)
        or keyword_for_tag(tag) in DEIDENTIFICATION
    ]
    result = copier.take([*tags, "StudyInstanceUID"])
    for keyword in MUST_BE_THERE:
        if keyword not in result or result[keyword].value is None:
            setattr(result, keyword, "")
    _settle_deidentification(copier, result)
    result.SpecificCharacterSet = UTF_8  # until the results are finished
    return result


def _settle_deidentification(copier: Copier, patient: Dataset) -> None:
    """Leave out what is empty of the method, and say so where none is left.

    References
    ----------
    PS3.3 C.7.1.1: where the identity was removed, one of both is of type 1.
    """
    removed, *methods = DEIDENTIFICATION
    for keyword in DEIDENTIFICATION:
        if keyword in patient and not patient[keyword].value:
            del patient[keyword]
    if patient.get(removed) == "YES" and not any(name in patient for name in methods):
        patient.DeidentificationMethod = _UNKNOWN_METHOD
        copier.doubt(Tag("DeidentificationMethod"), "missing", "told as not stated")


def _image(
    copier: Copier, source: Dataset, patient_study: Dataset, *, is_bare: bool
) -> Dataset:
    optional = () if is_bare else _OPTIONAL_KEYWORDS
    result = copier.take([*_IMAGE_KEYWORDS, *optional])
    for keyword in _GROUPS:
        if keyword in source:
            setattr(result, keyword, copier.take_items(keyword, _GEOMETRY))
    result.update(patient_study)
    if not result.get("FrameOfReferenceUID"):
        # A series without one shares no positions with another: it gets its own.
        result.FrameOfReferenceUID = derived_uid(
            "frame of reference", result.SeriesInstanceUID
        )
    result.Modality = "MR"
    return result

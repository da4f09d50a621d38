"""What all our objects share: who made them, when, under which UIDs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from highdicom import (
    AlgorithmIdentificationSequence,
    ContributingEquipment,
    SOPClass,
)
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DA, DT, TM

from analysis.contract.concepts import PRIVATE_SCHEME, Concept
from analysis.contract.result import Notice, Provenance
from dicom_node import __version__
from dicom_node.encode.copied_texts import UTF_8
from dicom_node.encode.source_attributes import Evidence
from dicom_node.identifiers import MANUFACTURER, derived_uid
from dicom_node.language import Language, language_of

ROLES = ("seg", "sr", "sc", "pdf", "gsps")
"""Kinds of result; each has a series of its own, numbered in this order."""
DEFAULT_ROLES = ROLES[:3]

_SERIAL_CHARS = 16
_MAX_DESCRIPTION_BYTES = 64
"""Of VR LO, as the largest Series Number is one of VR IS (PS3.5 6.2)."""
_MAX_SERIES_NUMBER = 2**31 - 1
_MAX_CONCEPTS = 1024
_MINUTE_S = 60
_MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Instances of one series of an earlier study.

    Parameters
    ----------
    instances
        SOP class and instance UIDs.
    """

    study_uid: str
    series_uid: str
    instances: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedOutlines:
    """The SEG of a reader from whose outlines a result was measured.

    Parameters
    ----------
    editor
        Content creator's name, for people; empty if there is none.
    number
        Counted from 1 over the corrections of the series.
    segments
        Segment number of each label.
    tracking
        Tracking UID of each label that has one.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    editor: str = ""
    number: int = 1
    segments: Mapping[str, int] = field(default_factory=dict)
    tracking: Mapping[str, str] = field(default_factory=dict)

    def told(self, language: Language) -> str:
        """Say who edited."""
        name = self.editor or language.word("a_reader")
        return language.word("edited", name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeRequest:
    """What the job says about its results.

    Parameters
    ----------
    job_id
        All UIDs derive from it, so a retry makes the same objects.
    content_time
        When the content was first accepted; written as the wall clock of its zone.
    series_number
        Of the first result series; the next ones count up.
    per_source
        Added to the numbers for each Series Number of the source, so that the results
        of two series of a study stand apart; 0 numbers all alike.
    source_number
        Series Number of the source; None if it has none.
    description
        Ends that of every result series, at most 40 characters; empty for the usual.
    revision
        Above 1 for a series that came again with other content.
    segmentation
        `binary`, `labelmap` or `labelmap-rle`: how the SEG holds its voxels.
    report_numbers
        `all`, or `main`: those alone that a viewer has room for, bare.
    page_scale
        As in `Writing`.
    supersedes
        Id of the job whose delivered report this one replaces.
    objects
        Which roles to make.
    notices
        What the node has to say beside the analysis, such as a wait that ran out.
    language
        Of what people read, RFC 5646, such as `zh-CN`; what an analysis does not have
        in it is English.
    body_part
        Body Part Examined where the source has none.
    compared_with
        Of an earlier examination; None where the result was not compared.
    edited
        The outlines of a reader; None where the network found them.
    """

    job_id: str
    content_time: datetime
    series_number: int = 9000
    per_source: int = 10
    source_number: int | None = None
    description: str = ""
    revision: int = 1
    supersedes: str | None = None
    objects: tuple[str, ...] = DEFAULT_ROLES
    segmentation: str = "binary"
    report_numbers: str = "all"
    page_scale: int = 1
    notices: tuple[Notice, ...] = ()
    language: str = "en"
    body_part: str = "LSPINE"
    compared_with: Reference | None = None
    edited: EditedOutlines | None = None

    def series_uid(self, role: str, part: int = 1) -> str:
        """Return the UID of the result series of one role, or of a part of it."""
        return series_uid(self.job_id, role, part)

    def instance_uid(self, role: str, number: int = 1) -> str:
        """Return the UID of one result instance."""
        return instance_uid(self.job_id, role, number)

    def number_of(self, role: str) -> int:
        """Return the series number of one role."""
        first = self.series_number + self.per_source * max(self.source_number or 0, 0)
        if first + len(ROLES) > _MAX_SERIES_NUMBER:
            first = self.series_number
        return first + ROLES.index(role)

    @property
    def words(self) -> Language:
        """The words of the node in the language of the result."""
        return language_of(self.language)

    @property
    def content_label(self) -> str:
        """What tells revisions of one result apart where only a label is shown (CS)."""
        label = "AI_RESULT" if self.edited is None else f"EDITED_{self.edited.number}"
        return f"{label}_R{self.revision}" if self.revision > 1 else label

    def describe(self, role: str, part: str = "") -> str:
        """Return the description of the result series of one role.

        What tells series apart comes first: lists show the first twenty characters.

        Parameters
        ----------
        part
            Which of how many, such as `1/2`, where one series cannot hold all.
        """
        words, said = self.words, [role.upper(), part]
        if self.source_number is not None:
            said.append(words.word("series.of", number=self.source_number))
        if self.revision > 1:
            said.append(words.word("series.revision", number=self.revision))
        if self.edited is not None:
            key = "edited_again" if self.edited.number > 1 else "edited"
            said.append(words.word(f"series.{key}", number=self.edited.number))
        beginning = " ".join(word for word in said if word)
        end = self.description or words.word("series.default")
        described = words.word("series.joint").join((beginning, end))
        # Archives and validators count bytes, though the standard counts characters.
        return (
            described.encode()[:_MAX_DESCRIPTION_BYTES]
            .decode("utf-8", "ignore")
            .rstrip()
        )


def series_uid(job_id: str, role: str, part: int = 1) -> str:
    """Return the UID of a job's result series, or of a later part of it."""
    more = (str(part),) if part > 1 else ()
    return derived_uid("result series", job_id, role, *more)


def instance_uid(job_id: str, role: str, number: int = 1) -> str:
    """Return the UID of one instance of a job's results."""
    return derived_uid("result instance", job_id, role, str(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """Our own equipment, as it stands in every object.

    Parameters
    ----------
    device_uid
        Changes whenever version or weights change (IHE AIR 6.5.3.1).
    """

    model_name: str
    software_versions: tuple[str, ...]
    serial_number: str
    device_uid: str
    algorithm_version: str


def equipment_of(provenance: Provenance) -> Equipment:
    """Describe the equipment that an analysis and this node make together."""
    return Equipment(
        model_name=provenance.name,
        software_versions=(
            f"lumbar-node {__version__}",
            f"{provenance.name} {provenance.version}",
        ),
        serial_number=provenance.weights_sha256[:_SERIAL_CHARS] or "none",
        device_uid=derived_uid(
            "device", provenance.name, provenance.version, provenance.weights_sha256
        ),
        algorithm_version=provenance.version,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultContext:
    """What all objects of a result are made with.

    Parameters
    ----------
    evidence
        What they take from the source, and refer to.
    equipment
        Ours.
    request
        What the job says about them.
    """

    evidence: Evidence
    equipment: Equipment
    request: EncodeRequest

    def arguments(
        self, role: str, *, number: int = 1, part: int = 1, part_words: str = ""
    ) -> dict[str, Any]:
        """Return the arguments that the library's objects of every class take alike.

        Parameters
        ----------
        number
            Instance Number in the series.
        part
            Which of the series of one role, each of which has one instance then.
        part_words
            In the description of such a series.
        """
        return {
            "series_instance_uid": self.request.series_uid(role, part),
            "series_number": self.request.number_of(role),
            "series_description": self.request.describe(role, part_words),
            "sop_instance_uid": self.request.instance_uid(role, max(number, part)),
            "instance_number": number,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": self.equipment.model_name,
            "software_versions": self.equipment.software_versions,
            "device_serial_number": self.equipment.serial_number,
            "specific_character_set": UTF_8,
        }

    def contribution(self) -> ContributingEquipment:
        """Name the algorithm as contributing equipment, with its Device UID."""
        item = ContributingEquipment(
            manufacturer=MANUFACTURER,
            purpose_of_reference=codes.DCM.ProcessingEquipment,
            manufacturer_model_name=self.equipment.model_name,
            software_versions=self.equipment.software_versions,
            device_serial_number=self.equipment.serial_number,
            contribution_description=self.request.words.word("contribution"),
        )
        item.DeviceUID = self.equipment.device_uid
        return item


def algorithm(equipment: Equipment) -> AlgorithmIdentificationSequence:
    """Identify the algorithm (PS3.3 10.16, CID 7162)."""
    return AlgorithmIdentificationSequence(
        name=equipment.model_name,
        family=codes.DCM.ArtificialIntelligence,
        version=equipment.algorithm_version,
        source=MANUFACTURER,
    )


@lru_cache(maxsize=_MAX_CONCEPTS)
def coded(concept: Concept) -> CodedConcept:
    """Return a concept of the contract in the library's form.

    The same one each time, for one SR holds some hundreds: not to be changed.
    """
    return CodedConcept(
        value=concept.value,
        scheme_designator=concept.scheme,
        meaning=concept.meaning,
    )


def private_scheme() -> CodingSchemeIdentificationItem:
    """Declare our private coding scheme (PS3.3 C.12.1.1.1)."""
    return CodingSchemeIdentificationItem(
        designator=PRIVATE_SCHEME,
        name="lumbar-node private codes",
        version="1",
        responsible_organization="lumbar-node",
    )


def settle_time(dataset: SOPClass, request: EncodeRequest) -> None:
    """Set every time that the library took from the clock to the content time.

    Changes `dataset`, which its caller has just made.

    References
    ----------
    PS3.3 C.12.1.1.8: (0008,0201) Timezone Offset From UTC is that of all dates and
    times in the object, also of those that are copied from the source.
    """
    day = DA(request.content_time.date())
    time = TM(request.content_time.time().replace(microsecond=0))
    if request.content_time.tzinfo is not None:
        dataset.TimezoneOffsetFromUTC = offset_text(request.content_time)
    dataset.InstanceCreationDate = dataset.SeriesDate = day
    dataset.InstanceCreationTime = dataset.SeriesTime = time
    if "ContentDate" in dataset:
        dataset.ContentDate, dataset.ContentTime = day, time
    if "PresentationCreationDate" in dataset:
        dataset.PresentationCreationDate = day
        dataset.PresentationCreationTime = time
    if "DateOfSecondaryCapture" in dataset:
        dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = day, time
    for item in dataset.get("ContributingEquipmentSequence", ()):
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == (
            codes.DCM.ProcessingEquipment.value
        ):
            item.ContributionDateTime = DT(
                request.content_time.replace(microsecond=0, tzinfo=None)
            )


def offset_text(moment: datetime) -> str:
    """Return the offset of a time with a zone as (0008,0201), such as `-0330`."""
    offset = moment.utcoffset() or timedelta()
    minutes = round(offset.total_seconds() / _MINUTE_S)
    hours, minutes_over = divmod(abs(minutes), _MINUTES_PER_HOUR)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{minutes_over:02d}"


def zone_of(source: Dataset) -> timezone | None:
    """Return the zone that an object states by (0008,0201); None if it states none."""
    text = str(source.get("TimezoneOffsetFromUTC") or "")
    if not text:
        return None
    minutes = int(text[1:3]) * _MINUTES_PER_HOUR + int(text[3:5])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))

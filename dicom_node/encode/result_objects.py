"""`AnalysisResult` → DICOM objects in delivery order."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, MRImageStorage

from analysis.contract.result import AnalysisResult, Notice, Provenance
from dicom_node import __version__, log
from dicom_node.encode.captures import (
    draw_note,
    encode_capture,
    stamped,
    with_notices,
)
from dicom_node.encode.copied_texts import has_room_for
from dicom_node.encode.frame_references import refer_to_frames
from dicom_node.encode.pdf_document import encode_document
from dicom_node.encode.presentation_state import encode_presentations
from dicom_node.encode.result_context import (
    EncodeRequest,
    ResultContext,
    equipment_of,
    zone_of,
)
from dicom_node.encode.segmentation_object import encode_segmentations
from dicom_node.encode.source_attributes import (
    DEIDENTIFICATION,
    Evidence,
    SourceSeries,
    evidence_of,
    prepare,
)
from dicom_node.encode.structured_report import encode_report, is_located
from dicom_node.encode.write_part10 import encode_file
from dicom_node.errors import EncodingError
from dicom_node.identifiers import derived_uid
from dicom_node.notices import in_language

_OUR_FAULTS = (ValueError, TypeError, AttributeError, LookupError, RuntimeError)
"""What the libraries raise on a dataset that breaks its IOD."""

_OF_THE_NODE = "prior_"
"""Codes of what the node has added to the warnings of a result, whose pages were drawn
before."""
_ONLY_REQUIRED = Notice(
    code="attributes_left_out",
    text="optional attributes of patient, study and scanner could not be copied",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedObject:
    """One result object, ready to be written.

    Parameters
    ----------
    name
        `seg`, `sr`, `sc_01` …; the file is named after it.
    """

    name: str
    dataset: Dataset


def encode_result(
    result: AnalysisResult, series: SourceSeries, request: EncodeRequest
) -> tuple[EncodedObject, ...]:
    """Encode a result as SEG, SR, SC, PDF and GSPS, in this order, as far as asked.

    The same arguments give the same bytes.

    Raises
    ------
    EncodingError
        If an object cannot be built: our fault, nothing is sent.
    """
    with _our_fault():
        try:
            return _built(result, series, evidence_of(series), request)
        except _OUR_FAULTS:
            # Whatever is only copied must not cost a result: once more without it.
            bare = evidence_of(series, is_bare=True)
            objects = _built(
                result,
                series,
                bare,
                replace(request, notices=(*request.notices, _ONLY_REQUIRED)),
            )
            log.warning("attributes_left_out", job_id=request.job_id)
            return objects


def _built(
    result: AnalysisResult,
    series: SourceSeries,
    evidence: Evidence,
    request: EncodeRequest,
) -> tuple[EncodedObject, ...]:
    return tuple(
        _finished(encoded, evidence)
        for encoded in _encode(result, series, evidence, request)
    )


def encode_note(
    *, title: str, text: str, source: Dataset, request: EncodeRequest
) -> EncodedObject:
    """Encode one page of text that says why a series has no result.

    Parameters
    ----------
    source
        Header of one instance of the series.

    Raises
    ------
    EncodingError
        If the page cannot be built.
    """
    with _our_fault():
        evidence = prepare((source,))
        request = _of_source(request, evidence)
        page = stamped(draw_note(title, text), request)
        note = Provenance(name="note", version=__version__, weights_sha256="")
        context = ResultContext(
            evidence=evidence, equipment=equipment_of(note), request=request
        )
        dataset = encode_capture(page, context, shows_source=False)
        return _finished(EncodedObject(name="sc_01", dataset=dataset), evidence)


@cache
def load_encoders() -> None:
    """Load what the first object of a process needs, by encoding an empty page.

    The library reads its tables of modules and attributes, half a second's work, when
    it makes its first object.
    """
    source = Dataset()
    source.SOPClassUID = MRImageStorage
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(source, keyword, derived_uid("empty page", keyword))
    source.StudyDate = "20000101"
    request = EncodeRequest(job_id="", content_time=datetime.now(UTC))
    encode_file(encode_note(title="", text="", source=source, request=request).dataset)


def _encode(
    result: AnalysisResult,
    series: SourceSeries,
    evidence: Evidence,
    request: EncodeRequest,
) -> Iterator[EncodedObject]:
    request = _of_source(request, evidence)
    notices = in_language((*request.notices, *series.warnings), request.words)
    request = replace(request, notices=notices)
    if not result.segmentation.segments or request.edited is not None:
        wanted = tuple(role for role in request.objects if role != "seg")
        request = replace(request, objects=wanted)
    context = ResultContext(
        evidence=evidence,
        equipment=equipment_of(result.provenance),
        request=request,
    )
    referenced: list[Dataset] = []
    if "seg" in request.objects:
        referenced += encode_segmentations(result.segmentation, context)
    for number, segmentation in enumerate(referenced, start=1):
        name = "seg" if number == 1 else f"seg_{number:02d}"
        yield EncodedObject(name=name, dataset=segmentation)
    referenced += _edited(request, evidence)
    reports = "sr" in request.objects and any(map(is_located, result.findings))
    related = [(one.SOPClassUID, one.SOPInstanceUID) for one in referenced]
    if reports:
        related.append((Comprehensive3DSRStorage, request.instance_uid("sr")))
    first, *others = (page.pixels for page in result.pages)
    own = [one for one in result.warnings if one.code.startswith(_OF_THE_NODE)]
    first = with_notices(first, (*notices, *own), request)
    pages = [stamped(pixels, request) for pixels in (first, *others)]
    captures = [
        encode_capture(page, context, number, related)
        for number, page in enumerate(pages, start=1)
        if "sc" in request.objects
    ]
    if reports:
        referenced += captures
        report = encode_report(result, context, referenced)
        yield EncodedObject(name="sr", dataset=report)
    for number, capture in enumerate(captures, start=1):
        yield EncodedObject(name=f"sc_{number:02d}", dataset=capture)
    if "pdf" in request.objects:
        document = encode_document(pages, context)
        yield EncodedObject(name="pdf", dataset=document)
    if "gsps" in request.objects:
        states = encode_presentations(result, series, context)
        for number, state in enumerate(states, start=1):
            yield EncodedObject(name=f"gsps_{number:02d}", dataset=state)


def _of_source(request: EncodeRequest, evidence: Evidence) -> EncodeRequest:
    """Say of which series the results are, and tell the time in its zone.

    Study Date and Time are copied from the source, and one offset is that of all dates
    and times in an object.
    """
    number = evidence.first.get("SeriesNumber")
    content_time = request.content_time
    zone = zone_of(evidence.first)
    if zone is not None and content_time.tzinfo is not None:
        content_time = content_time.astimezone(zone)
    return replace(
        request,
        source_number=None if number is None else int(number),
        content_time=content_time,
    )


def _edited(request: EncodeRequest, evidence: Evidence) -> list[Dataset]:
    """Refer to the SEG of a reader, if there is one; it is not sent again."""
    if request.edited is None:
        return []
    dataset = Dataset()
    dataset.StudyInstanceUID = evidence.first.StudyInstanceUID
    dataset.SeriesInstanceUID = request.edited.series_uid
    dataset.SOPClassUID = request.edited.sop_class_uid
    dataset.SOPInstanceUID = request.edited.sop_instance_uid
    return [dataset]


def _finished(encoded: EncodedObject, evidence: Evidence) -> EncodedObject:
    """Give a result the character set and the lack of identity of its source.

    The libraries do neither. Where the character set lacks letters of ours, such as
    those of a summary in another language, it stays UTF-8.
    """
    if has_room_for(evidence.character_set, encoded.dataset):
        encoded.dataset.SpecificCharacterSet = evidence.character_set
    for keyword in DEIDENTIFICATION:
        if keyword in evidence.first:
            encoded.dataset[keyword] = evidence.first[keyword]
    refer_to_frames(encoded.dataset, evidence.stands_for)
    return encoded


@contextmanager
def _our_fault() -> Iterator[None]:
    try:
        with config.disable_value_validation(), warnings.catch_warnings():
            # The libraries doubt names of one component and the like in the source.
            warnings.simplefilter("ignore")
            yield
    except _OUR_FAULTS as error:
        # Only the kind: the text of a library's error may quote the dataset.
        message = f"a result object cannot be built ({type(error).__name__})"
        raise EncodingError(message) from error

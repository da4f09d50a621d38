"""`AnalysisResult` → DICOM objects in delivery order."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pydicom import config
from pydicom.dataset import Dataset

from analysis.contract.result import AnalysisResult, Provenance
from dicom_node import __version__
from dicom_node.encode.capture import draw_note, encode_capture
from dicom_node.encode.common import EncodeRequest, equipment_of
from dicom_node.encode.report import encode_report, is_located
from dicom_node.encode.segmentation import encode_segmentation
from dicom_node.encode.source import (
    Evidence,
    SourceSeries,
    evidence_of,
    prepare,
)
from dicom_node.errors import EncodingError

_OUR_FAULTS = (ValueError, TypeError, AttributeError, LookupError, RuntimeError)
"""What the libraries raise on a dataset that breaks its IOD."""


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
    """Encode a result as SEG, SR and SC, in this order, as far as asked for.

    The same arguments give the same bytes.

    Raises
    ------
    EncodingError
        If an object cannot be built: our fault, nothing is sent.
    """
    with _our_fault():
        return tuple(_encode(result, series, request))


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
        dataset = encode_capture(
            draw_note(title, text),
            1,
            Evidence(images=prepare((source,))),
            equipment_of(
                Provenance(name="note", version=__version__, weights_sha256="")
            ),
            request,
        )
    return EncodedObject(name="sc_01", dataset=dataset)


def _encode(
    result: AnalysisResult, series: SourceSeries, request: EncodeRequest
) -> Iterator[EncodedObject]:
    evidence = evidence_of(series)
    equipment = equipment_of(result.provenance)
    request = replace(request, notices=(*request.notices, *series.warnings))
    referenced: list[Dataset] = []
    if not result.segmentation.segments:
        wanted = tuple(role for role in request.objects if role != "seg")
        request = replace(request, objects=wanted)
    if "seg" in request.objects:
        segmentation = encode_segmentation(
            result.segmentation, evidence, equipment, request
        )
        referenced.append(segmentation)
        yield EncodedObject(name="seg", dataset=segmentation)
    if "sr" in request.objects and any(map(is_located, result.findings)):
        report = encode_report(result, evidence, equipment, request, referenced)
        yield EncodedObject(name="sr", dataset=report)
    if "sc" in request.objects:
        for number, page in enumerate(result.pages, start=1):
            capture = encode_capture(page.pixels, number, evidence, equipment, request)
            yield EncodedObject(name=f"sc_{number:02d}", dataset=capture)


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

"""Pages → Encapsulated PDF, for archives that show documents and no captures."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from highdicom import SOPClass
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from dicom_node.encode.drawn_pictures import state_origin
from dicom_node.encode.result_context import (
    EncodeRequest,
    ResultContext,
    settle_time,
)
from dicom_node.encode.source_attributes import source_item

_DOTS_PER_INCH = 150.0
_JPEG_QUALITY = 95
"""A PDF page of Pillow is a JPEG; the captures are the lossless form."""


def encode_document(
    pages: Sequence[NDArray[np.uint8]],
    context: ResultContext,
) -> SOPClass:
    """Encode all pages as one PDF document.

    References
    ----------
    PS3.3 A.45.1, C.24.2 Encapsulated Document.
    """
    evidence, request = context.evidence, context.request
    source = evidence.first
    encoded = SOPClass(
        study_instance_uid=source.StudyInstanceUID,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_date=request.content_time.date(),
        content_time=request.content_time.time(),
        **context.arguments("pdf"),
    )
    encoded.copy_patient_and_study_information(source)
    encoded.ContributingEquipmentSequence = [context.contribution()]
    encoded.ConversionType = "WSD"
    encoded.AcquisitionDateTime = None
    state_origin(encoded, evidence.images)
    encoded.DocumentTitle = request.describe("pdf")
    encoded.ConceptNameCodeSequence = []
    encoded.SourceInstanceSequence = [source_item(image) for image in evidence.images]
    encoded.MIMETypeOfEncapsulatedDocument = "application/pdf"
    content = write_pdf(pages, request)
    encoded.EncapsulatedDocumentLength = len(content)
    encoded.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    settle_time(encoded, request)
    return encoded


def write_pdf(pages: Sequence[NDArray[np.uint8]], request: EncodeRequest) -> bytes:
    """Write pages as a PDF, each as large as its picture."""
    first, *others = [Image.fromarray(page) for page in pages]
    made = request.content_time.utctimetuple()
    content = io.BytesIO()
    first.save(
        content,
        format="PDF",
        save_all=True,
        append_images=others,
        resolution=_DOTS_PER_INCH,
        quality=_JPEG_QUALITY,
        subsampling=0,
        title=request.description or request.words.word("series.default"),
        creationDate=made,
        modDate=made,
    )
    return content.getvalue()

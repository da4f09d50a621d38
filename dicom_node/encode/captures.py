"""Pages → Secondary Capture, and the page that says why there is no result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom import SOPClass
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from analysis.contract.result import Notice
from dicom_node import __version__
from dicom_node.encode.body_part import set_body_part
from dicom_node.encode.drawn_pictures import state_origin
from dicom_node.encode.page_text import draw_lines, draw_one_line
from dicom_node.encode.result_context import (
    EncodeRequest,
    ResultContext,
    settle_time,
)
from dicom_node.encode.source_attributes import code_item, source_item

_STRIP_PX = 28
_STRIP_MARGIN = 24
_STRIP_POINTS = 18
_NOTE_SIZE = (512, 512)
_NOTE_MARGIN = 32
_NOTE_TITLE_POINTS = 28
_NOTE_TEXT_POINTS = 18
_NOTE_MOST_PX = 4096


def encode_capture(
    pixels: NDArray[np.uint8],
    context: ResultContext,
    number: int = 1,
    related: Sequence[tuple[str, str]] = (),
    *,
    shows_source: bool = True,
) -> SOPClass:
    """Encode one page as an uncompressed RGB secondary capture.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
        The page.
    number
        Instance number, from 1.
    related
        SOP class and instance UIDs of the results that say the same in other forms.
    shows_source
        Whether pictures of the source are drawn on it.

    References
    ----------
    PS3.3 A.8.1, C.8.6; what a page takes over from the pictures that it shows: see
    `state_origin`.
    """
    evidence, request = context.evidence, context.request
    encoded = SCImage.from_ref_dataset(
        ref_dataset=evidence.first,
        pixel_array=np.ascontiguousarray(pixels),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        contributing_equipment=[context.contribution()],
        patient_orientation=("L", "F"),  # wanted by the library; emptied below
        **context.arguments("sc", number=number),
    )
    encoded.copy_patient_and_study_information(evidence.first)
    encoded.ConversionType = "WSD"
    encoded["PatientOrientation"].clear()
    state_origin(encoded, evidence.images if shows_source else ())
    words, edited = request.words, request.edited
    encoded.DerivationDescription = (
        words.word("sc.derivation")
        if edited is None
        else words.word("sc.derivation_edited", words=edited.told(words))
    )
    encoded.SourceImageSequence = [source_item(image) for image in evidence.images]
    if related:
        encoded.ReferencedInstanceSequence = [_related_item(*each) for each in related]
    set_body_part(encoded, evidence.first, request)
    settle_time(encoded, request)
    return encoded


def _related_item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    item.PurposeOfReferenceCodeSequence = [code_item(codes.DCM.SourceOfMeasurement)]
    return item


def with_notices(
    pixels: NDArray[np.uint8], notices: Sequence[Notice], request: EncodeRequest
) -> NDArray[np.uint8]:
    """Write below a page what the node has to say: the analysis knows nothing of it.

    Else a reader of pictures alone would not learn that a series came in part.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8

    Returns
    -------
    ndarray, shape (H or more, W, 3), uint8
    """
    if not notices:
        return pixels
    width, scale = pixels.shape[1], request.page_scale
    margin = _STRIP_MARGIN * scale
    points = max(1, min(_STRIP_POINTS * scale, width // 50))
    below = Image.new("RGB", (width, _NOTE_MOST_PX * scale))
    end = points // 2
    for notice in notices:
        text = request.words.word("capture.notice", text=notice.text)
        end = draw_lines(below, (margin, end), text, points, width - 2 * margin)
    used = below.crop((0, 0, width, min(end, below.height)))
    return np.concatenate([pixels, np.asarray(used, dtype=np.uint8)])


def stamped(pixels: NDArray[np.uint8], request: EncodeRequest) -> NDArray[np.uint8]:
    """Add a strip below a page: what it is not for, by which software, when.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
        As the analysis drew it.

    Returns
    -------
    ndarray, shape (H + 28, W, 3), uint8
    """
    width, scale = pixels.shape[1], request.page_scale
    height, margin = _STRIP_PX * scale, _STRIP_MARGIN * scale
    strip = Image.new("RGB", (width, height))
    spot = (margin, height // 2)
    room = width - 2 * margin
    points = max(1, min(_STRIP_POINTS * scale, width // 50))
    draw_one_line(strip, spot, _strip_text(request), points, room)
    return np.concatenate([pixels, np.asarray(strip, dtype=np.uint8)])


def _strip_text(request: EncodeRequest) -> str:
    words = request.words
    time = request.content_time.strftime("%Y-%m-%d %H:%M")
    made = words.word("strip.made", version=__version__, time=time)
    if request.revision > 1:
        made += words.word("strip.revision", number=request.revision)
    if request.edited is not None:
        made += words.word("strip.edited", words=request.edited.told(words))
    return f"{words.word('strip')}  {made}"


def draw_note(title: str, text: str) -> NDArray[np.uint8]:
    """Draw a page of text, white on black, as high as it needs.

    Returns
    -------
    ndarray, shape (512 or more, 512, 3), uint8
        Red, green, blue.
    """
    width, height = _NOTE_SIZE
    room = width - 2 * _NOTE_MARGIN
    # A text of many lines is measured on a page that is high enough for any.
    page = Image.new("RGB", (width, _NOTE_MOST_PX))
    spot = (_NOTE_MARGIN, _NOTE_MARGIN)
    draw_one_line(page, spot, title, _NOTE_TITLE_POINTS, room, anchor="la")
    below = (_NOTE_MARGIN, 3 * _NOTE_MARGIN)
    end = draw_lines(page, below, text, _NOTE_TEXT_POINTS, room)
    used = min(max(height, end + _NOTE_MARGIN), _NOTE_MOST_PX)
    return np.asarray(page.crop((0, 0, width, used)), dtype=np.uint8)

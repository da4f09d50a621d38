"""What a series states, or leaves out, that a reader must know."""

from __future__ import annotations

from pydicom.dataset import Dataset

from analysis.contract.plugin import Weighting
from analysis.contract.result import Notice
from dicom_node.decode import attribute_values
from dicom_node.decode.headers import InstanceHeader
from dicom_node.decode.weighting import is_stated, weighting_of


def doubts_of(first: Dataset, header: InstanceHeader) -> tuple[Notice, ...]:
    """Return the doubts about a series that its first instance and header raise."""
    notices = []
    told_by_words = weighting_of(header) is not Weighting.UNKNOWN
    if told_by_words and not is_stated(header):
        text = "echo and repetition time are missing; the description gave the contrast"
        notices.append(Notice(code="weighting_from_description", text=text))
    if attribute_values.text(first, "PhotometricInterpretation") == "MONOCHROME1":
        text = "stored values were mirrored: MONOCHROME1 shows the minimum white"
        notices.append(Notice(code="monochrome1_mirrored", text=text))
    if attribute_values.text(first, "LossyImageCompression") == "01":
        text = "the pictures were compressed with loss before they came here"
        notices.append(Notice(code="lossy_compression", text=text))
    return tuple(notices)

"""Whether pictures were compressed with loss: said by one of them, or by its encoding.

What was lost once stays lost (PS3.3 C.7.6.1.1.5), also in what is made of a series of
which one instance alone says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from dicom_node.decode import attribute_values

LOSSY = "01"
_METHODS = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
}
"""Lossy Image Compression Method of transfer syntaxes that always lose something."""
_WAVELET_METHODS = {JPEG2000: "ISO_15444_1", HTJ2K: "ISO_15444_15"}
"""Of those whose code stream says whether its wavelet can be undone."""
_BEGINNING, _CODING_STYLE = b"\xff\x4f\xff\x51", b"\xff\x52"
_WAVELET_AT, _IRREVERSIBLE = 13, 0
"""Of the wavelet from the marker COD on: ISO 15444-1 A.6.1, table A.20."""
_MAIN_HEADER_BYTES = 4096
"""In which the marker stands, behind the offset table and the size."""


def state_loss(instances: Sequence[Dataset]) -> bool:
    """Let every instance state the loss that one of them has; tell whether one has.

    Changes instances that leave it out.
    """
    lossy = [instance for instance in instances if _has_loss(instance)]
    if not lossy:
        return False
    syntax = _syntax(lossy[0])
    method = _METHODS.get(syntax) or _WAVELET_METHODS.get(syntax)
    if method and not attribute_values.text(lossy[0], "LossyImageCompressionMethod"):
        lossy[0].LossyImageCompressionMethod = method
    for instance in instances:
        instance.LossyImageCompression = LOSSY
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in lossy[0] and not attribute_values.text(instance, keyword):
                instance[keyword] = lossy[0][keyword]
    return True


def _has_loss(instance: Dataset) -> bool:
    stated = attribute_values.text(instance, "LossyImageCompression")
    syntax = _syntax(instance)
    return (
        stated == LOSSY
        or syntax in _METHODS
        or (syntax in _WAVELET_METHODS and _is_irreversible(instance))
    )


def _is_irreversible(instance: Dataset) -> bool:
    """Tell whether the first code stream is coded by the wavelet 9-7."""
    content = attribute_values.raw(instance, "PixelData")
    if not isinstance(content, bytes):
        return False
    header = content[:_MAIN_HEADER_BYTES]
    at = header.find(_CODING_STYLE, max(header.find(_BEGINNING), 0))
    wavelet = header[at + _WAVELET_AT : at + _WAVELET_AT + 1]
    return at >= 0 and wavelet == bytes([_IRREVERSIBLE])


def _syntax(instance: Dataset) -> UID:
    return UID(attribute_values.text(instance.file_meta, "TransferSyntaxUID"))

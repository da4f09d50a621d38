"""Whether pictures were compressed with loss: said by one of them, or by its encoding.

What was lost once stays lost (PS3.3 C.7.6.1.1.5), also in what is made of a series of
which one instance alone says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import (
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
"""Lossy Image Compression Method of transfer syntaxes that always lose something. JPEG
2000 need not."""


def state_loss(instances: Sequence[Dataset]) -> bool:
    """Let every instance state the loss that one of them has; tell whether one has.

    Changes instances that leave it out.
    """
    lossy = [instance for instance in instances if _has_loss(instance)]
    if not lossy:
        return False
    method = _METHODS.get(_syntax(lossy[0]))
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
    return stated == LOSSY or _syntax(instance) in _METHODS


def _syntax(instance: Dataset) -> UID:
    return UID(attribute_values.text(instance.file_meta, "TransferSyntaxUID"))

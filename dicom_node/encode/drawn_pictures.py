"""What pages take over from the pictures of the source that are drawn on them."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

_LOSS = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def state_origin(encoded: SOPClass, images: Sequence[Dataset]) -> None:
    """Say whether pages show burnt-in texts of the source, and what it has lost.

    Changes `encoded`. Of our own, pages carry no identity.

    Parameters
    ----------
    images
        That are drawn on the pages; may be none.

    References
    ----------
    PS3.3 C.7.6.1.1.5: what was compressed with loss once is so for good, also in an
    image that is derived from it. C.7.6.1, C.24.2: Burned In Annotation (0028,0301).
    """
    is_burnt = any(image.get("BurnedInAnnotation") == "YES" for image in images)
    encoded.BurnedInAnnotation = "YES" if is_burnt else "NO"
    if encoded.SOPClassUID != SecondaryCaptureImageStorage:
        return
    # Where one image has lost something, decoding has let all of them say so.
    first = next((one for one in images if one.get(_LOSS[0]) == "01"), Dataset())
    for keyword in _LOSS:
        if keyword in first:
            encoded[keyword] = first[keyword]

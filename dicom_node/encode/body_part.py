"""Body Part Examined, as results state it."""

from __future__ import annotations

from highdicom import SOPClass
from pydicom.dataset import Dataset

from dicom_node.encode.result_context import EncodeRequest

_UNPAIRED_PARTS = frozenset(
    {"LSPINE", "SPINE", "CSPINE", "TSPINE", "SSPINE", "CTSPINE", "TLSPINE", "LSSPINE",
     "COCCYX", "BACK", "ABDOMEN", "PELVIS", "ABDOMENPELVIS", "CHESTABDPELVIS", "CHEST",
     "NECK", "HEAD", "WHOLEBODY"}
)  # fmt: skip
"""Of PS3.16 annex L: parts that there are once, in view of a spine."""


def set_body_part(dataset: SOPClass, source: Dataset, request: EncodeRequest) -> None:
    """Set Body Part Examined, which the library leaves out of images.

    Changes `dataset`, which its caller has just made.
    """
    dataset.BodyPartExamined = body_part_of(source, request)


def body_part_of(source: Dataset, request: EncodeRequest) -> str:
    """Return the body part of a source if it is a term for one that there is once.

    Of any other word, such as `LUMBAR SPINE`, no reader knows that it needs no
    laterality (PS3.3 C.7.3.1), and what we show is of the part that was asked for.
    """
    stated = str(source.get("BodyPartExamined") or "")
    return stated if stated in _UNPAIRED_PARTS else request.body_part

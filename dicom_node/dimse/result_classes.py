"""The SOP classes and transfer syntaxes in which results are sent."""

from __future__ import annotations

from dataclasses import dataclass

from dicom_node.dimse.contexts import PROPOSED_SYNTAXES

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
RLE = "1.2.840.10008.1.2.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultClass:
    """One kind of object that a route may send.

    Parameters
    ----------
    role
        As in `objects` of a route.
    variant
        Of a SEG, as in `segmentation` of a route; else empty.
    modality
        Of its series.
    syntaxes
        One of them has to be accepted.
    """

    role: str
    variant: str = ""
    modality: str
    sop_class_uid: str
    syntaxes: tuple[str, ...] = PROPOSED_SYNTAXES

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.role} ({self.variant})" if self.variant else self.role


RESULT_CLASSES = (
    ResultClass(
        role="seg", variant="binary", modality="SEG", sop_class_uid=SEGMENTATION
    ),
    ResultClass(
        role="seg", variant="labelmap", modality="SEG", sop_class_uid=LABEL_MAP
    ),
    ResultClass(
        role="seg",
        variant="labelmap-rle",
        modality="SEG",
        sop_class_uid=LABEL_MAP,
        syntaxes=(RLE,),
    ),
    ResultClass(
        role="sr", modality="SR", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34"
    ),
    ResultClass(role="sc", modality="OT", sop_class_uid="1.2.840.10008.5.1.4.1.1.7"),
    ResultClass(
        role="pdf", modality="DOC", sop_class_uid="1.2.840.10008.5.1.4.1.1.104.1"
    ),
    ResultClass(
        role="gsps", modality="PR", sop_class_uid="1.2.840.10008.5.1.4.1.1.11.1"
    ),
)
"""A test compares them with what is really made."""


def classes_of(role: str, variant: str = "") -> tuple[ResultClass, ...]:
    """Return what a role may be sent as, or one variant of it."""
    return tuple(
        one
        for one in RESULT_CLASSES
        if one.role == role and (not variant or one.variant in ("", variant))
    )

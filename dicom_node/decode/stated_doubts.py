"""What a series states, or leaves out, that a reader must know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from analysis.contract.geometry import Frame
from analysis.contract.plugin import Weighting
from analysis.contract.result import Notice
from dicom_node.decode import attribute_values
from dicom_node.decode.headers import InstanceHeader
from dicom_node.decode.weighting import is_stated, weighting_of

_APART = 1.5
"""Measured distance of two slices, as a part of the stated one, from which on slices
between them may be missing; of every other one it is 2."""
_SAME_MM = 0.01


def doubts_of(
    instances: Sequence[Dataset],
    header: InstanceHeader,
    grid: Frame,
    slices: int,
    *,
    is_lossy: bool = False,
) -> tuple[Notice, ...]:
    """Return the doubts about a series that its instances and first header raise.

    Parameters
    ----------
    grid
        On which the slices lie.
    slices
        How many there are.
    is_lossy
        Whether one of them was compressed with loss.
    """
    first = instances[0]
    notices = [
        *_missing_between(header, float(grid.spacing_mm[0]), slices),
        *_several_frames(instances),
    ]
    told_by_words = weighting_of(header) is not Weighting.UNKNOWN
    if told_by_words and not is_stated(header):
        text = "echo and repetition time are missing; the description gave the contrast"
        notices.append(Notice(code="weighting_from_description", text=text))
    if attribute_values.text(first, "PhotometricInterpretation") == "MONOCHROME1":
        text = "stored values were mirrored: MONOCHROME1 shows the minimum white"
        notices.append(Notice(code="monochrome1_mirrored", text=text))
    if is_lossy:
        text = "the pictures were compressed with loss before they came here"
        notices.append(Notice(code="lossy_compression", text=text))
    return tuple(notices)


def _missing_between(
    header: InstanceHeader, apart_mm: float, slices: int
) -> Iterator[Notice]:
    """Doubt slices that lie evenly, but farther apart than is stated.

    Scanners take the odd slices first and then the even ones: where the second half is
    missing, the first is an even stack. Some write the gap in place of the distance; it
    is mostly smaller than a slice is thick, and then tells nothing.

    References
    ----------
    PS3.3 C.7.6.2: (0018,0088) is measured from centre to centre.
    """
    stated_mm = header.spacing_between_mm
    if slices == 1 or stated_mm is None or stated_mm <= 0:
        return
    if stated_mm < (header.thickness_mm or 0.0) - _SAME_MM:
        return
    if apart_mm >= _APART * stated_mm:
        text = (
            f"slices lie {apart_mm:.2f} mm apart where {stated_mm:.2f} mm are stated: "
            "slices between them may be missing"
        )
        yield Notice(code="slices_apart", text=text)


def _several_frames(instances: Sequence[Dataset]) -> Iterator[Notice]:
    """Doubt positions that are not stated to be of one space.

    References
    ----------
    PS3.3 C.7.4.1: positions are related to each other within one frame of reference,
    and a new one begins where the patient was positioned anew.
    """
    named = {attribute_values.text(one, "FrameOfReferenceUID") for one in instances}
    count = len(named - {""})
    if count > 1:
        text = (
            f"slices name {count} frames of reference: the patient may have moved "
            "between them"
        )
        yield Notice(code="mixed_frames", text=text)

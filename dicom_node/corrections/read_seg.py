"""A SEG that a reader has corrected → outlines on the grid of its source series.

References
----------
PS3.3 A.51, A.102 (SEG and label map SEG), C.8.20 (segments), C.7.6.16.2 (frames).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from dicom_node.corrections.source_grid import Canvas
from dicom_node.decode import attribute_values, pixels
from dicom_node.decode.headers import frame_groups
from dicom_node.decode.machine_trouble import raising_machine_trouble
from dicom_node.decode.patient_identity import patient_id_of
from dicom_node.decode.read_file import (
    DEFAULT_LIMITS,
    NotDicomError,
    ReadLimits,
    read_file,
)
from dicom_node.decode.volume import MAX_BYTES, DecodedSeries
from dicom_node.errors import InstanceMissingError, OutlinesRefusedError
from dicom_node.identifiers import MANUFACTURER, is_derived

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
SEGMENTATION_CLASSES = frozenset({SegmentationStorage, LABEL_MAP_STORAGE})
"""Surface and height map segmentations have no pixels to measure."""

_OWN_CREATOR = "lumbar-node"
_HEADER = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID",
    "SeriesInstanceUID", "Manufacturer", "ContentDate", "ContentTime",
    "InstanceNumber", "SegmentSequence", "ReferencedSeriesSequence",
)  # fmt: skip
_MAX_VOXELS = 2**27
"""Of all frames: a BINARY SEG of 16 structures in 20 slices of 640 x 640."""
_SHOWN_NAMES = 8
_BITS_PER_BYTE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationHeader:
    """What a SEG tells before its pixels are read.

    Parameters
    ----------
    source_uids
        Series of the same study to which it refers.
    labels
        Segment Label of every segment.
    written
        Content date, time and instance number: which of several is the newest.
    is_own
        Whether this node made it, as it stands.
    """

    path: Path
    sop_instance_uid: str
    source_uids: tuple[str, ...]
    labels: tuple[str, ...]
    written: tuple[str, str, int]
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedOutlines:
    """The outlines of a SEG, on the grid of its source series.

    Parameters
    ----------
    labels : ndarray, shape (K, R, C), uint8
        0 is background, 1 the first of `names`, and so on.
    names
        Segment labels that occur.
    editor
        Content creator's name, for people; empty if there is none.
    segments
        Segment number of each name.
    tracking
        Tracking UID of each name that has one.
    """

    labels: NDArray[np.uint8]
    names: tuple[str, ...]
    editor: str
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    segments: Mapping[str, int]
    tracking: Mapping[str, str]


def read_segmentation_header(
    path: Path, *, limits: ReadLimits = DEFAULT_LIMITS
) -> SegmentationHeader:
    """Read what a SEG refers to and what its segments are called.

    Raises
    ------
    OutlinesRefusedError
        `unreadable_segmentation`.
    """
    dataset = _open(path, limits, tags=_HEADER)
    uid = attribute_values.text(dataset, "SOPInstanceUID")
    sources = (
        attribute_values.text(item, "SeriesInstanceUID")
        for item in attribute_values.items(dataset, "ReferencedSeriesSequence")
    )
    return SegmentationHeader(
        path=path,
        sop_instance_uid=uid,
        source_uids=tuple(source for source in sources if source),
        labels=tuple(_labels(dataset).values()),
        written=(
            attribute_values.text(dataset, "ContentDate"),
            attribute_values.text(dataset, "ContentTime"),
            attribute_values.whole(dataset, "InstanceNumber") or 0,
        ),
        is_own=is_derived(uid)
        and attribute_values.text(dataset, "Manufacturer") == MANUFACTURER,
    )


def read_outlines(
    path: Path,
    series: DecodedSeries,
    *,
    known: Collection[str],
    limits: ReadLimits = DEFAULT_LIMITS,
) -> DecodedOutlines:
    """Read the outlines that a SEG holds of a series.

    Frames may come in any order, turned or cropped, and empty ones may be left out,
    as long as their pixels are those of the series.

    Parameters
    ----------
    known
        Segment labels that can be measured.

    Raises
    ------
    OutlinesRefusedError
        `unreadable_segmentation`, `fractional_segmentation`, `unknown_segments`,
        `segments_named_twice`, `other_study`, `other_patient`, `other_instances`,
        `other_frame_of_reference`, `off_grid`, `overlapping_segments`,
        `outlines_empty`, `too_large`.
    PixelDataError
        If its pixels cannot be decoded.
    """
    with config.disable_value_validation():
        dataset = _open(path, limits)
        names = _names(dataset, known)
        _check_source(dataset, series)
        frames = frame_groups(dataset)
        stored = _stored(dataset, len(frames))
        labels = np.zeros(series.volume.voxels.shape, np.uint8)
        order = {number: place for place, number in enumerate(names, start=1)}
        canvas = Canvas(labels, series.volume.frame, tuple(names.values()))
        for frame, plane in zip(frames, stored, strict=True):
            for number, mask in _masks(dataset, frame, plane):
                canvas.draw(frame, mask, order.get(number))
        canvas.check()
        return _decoded(dataset, labels, names)


def _decoded(
    dataset: Dataset, labels: NDArray[np.uint8], names: Mapping[int, str]
) -> DecodedOutlines:
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(names) + 1))
    drawn = [place for place in present.tolist() if place > 0]
    if not drawn:
        text = "no segment of the SEG has a voxel"
        raise OutlinesRefusedError(reason="outlines_empty", text=text)
    table = np.zeros(256, np.uint8)
    for place, former in enumerate(drawn, start=1):
        table[former] = place
    numbers = list(names)
    segments = {names[numbers[place - 1]]: numbers[place - 1] for place in drawn}
    return DecodedOutlines(
        labels=table[labels],
        names=tuple(segments),
        editor=_editor(dataset),
        sop_class_uid=attribute_values.text(dataset, "SOPClassUID"),
        sop_instance_uid=attribute_values.text(dataset, "SOPInstanceUID"),
        series_uid=attribute_values.text(dataset, "SeriesInstanceUID"),
        segments=segments,
        tracking={
            name: uid for name, uid in _tracking(dataset).items() if name in segments
        },
    )


def _open(
    path: Path, limits: ReadLimits, *, tags: Sequence[str] | None = None
) -> Dataset:
    try:
        with raising_machine_trouble():
            size = path.stat().st_size
        if size > MAX_BYTES:
            text = f"{size} bytes; the limit is {MAX_BYTES}"
            raise OutlinesRefusedError(reason="too_large", text=text)
        return read_file(
            path, tags=tags, with_pixels=tags is None, limits=limits
        ).dataset
    except (NotDicomError, InstanceMissingError) as error:
        text = f"the SEG cannot be read as DICOM: {error}"
        raise OutlinesRefusedError(
            reason="unreadable_segmentation", text=text
        ) from error


def _labels(dataset: Dataset) -> dict[int, str]:
    """Return the labels by segment number; 0, the background of a label map, is none.

    Raises
    ------
    OutlinesRefusedError
        If a segment has no number.
    """
    found: dict[int, str] = {}
    for item in attribute_values.items(dataset, "SegmentSequence"):
        number = attribute_values.whole(item, "SegmentNumber")
        if number is None:
            text = "a segment has no number"
            raise OutlinesRefusedError(reason="unreadable_segmentation", text=text)
        if number > 0:
            found[number] = attribute_values.text(item, "SegmentLabel")
    return found


def _names(dataset: Dataset, known: Collection[str]) -> dict[int, str]:
    names = _labels(dataset)
    refuse_unknown(names.values(), known)
    twice = sorted({name for name in names.values() if _count(names, name) > 1})
    if twice:
        text = f"several segments are called {', '.join(twice)}"
        raise OutlinesRefusedError(reason="segments_named_twice", text=text)
    return names


def refuse_unknown(labels: Collection[str], known: Collection[str]) -> None:
    """Refuse segments that cannot be measured, and name those that can.

    Raises
    ------
    OutlinesRefusedError
        `unknown_segments`.
    """
    unknown = [label for label in labels if label not in known]
    if labels and not unknown:
        return
    shown = ", ".join(repr(label[:64]) for label in unknown[:_SHOWN_NAMES]) or "none"
    text = f"segments are called {shown}; known are {', '.join(known)}"
    raise OutlinesRefusedError(reason="unknown_segments", text=text)


def _count(names: Mapping[int, str], name: str) -> int:
    return sum(other == name for other in names.values())


def _check_source(dataset: Dataset, series: DecodedSeries) -> None:
    """Refuse a SEG of another study, patient, picture or frame of reference."""
    first = series.sources[0]
    for reason, stated_in, what in (
        ("other_study", _study_of, "study"),
        ("other_patient", patient_id_of, "patient"),
    ):
        if stated_in(dataset) != stated_in(first):
            text = f"the SEG is of another {what} than the series to which it refers"
            raise OutlinesRefusedError(reason=reason, text=text)
    here = {uid for _, uid in series.instances}
    strange = _instances(dataset, series.volume.series_uid) - here
    if strange:
        text = f"the SEG refers to {len(strange)} instances that the series lacks"
        raise OutlinesRefusedError(reason="other_instances", text=text)
    # One that refers to its images need not have one (PS3.3 table A.51-1).
    frames = {
        attribute_values.text(one, "FrameOfReferenceUID") for one in (dataset, first)
    }
    if len(frames - {""}) > 1:
        text = "the SEG has another Frame of Reference UID than the series"
        raise OutlinesRefusedError(reason="other_frame_of_reference", text=text)


def _study_of(dataset: Dataset) -> str:
    return attribute_values.text(dataset, "StudyInstanceUID")


def _instances(dataset: Dataset, series_uid: str) -> set[str]:
    return {
        attribute_values.text(instance, "ReferencedSOPInstanceUID")
        for item in attribute_values.items(dataset, "ReferencedSeriesSequence")
        if attribute_values.text(item, "SeriesInstanceUID") == series_uid
        for instance in attribute_values.items(item, "ReferencedInstanceSequence")
    }


def _stored(dataset: Dataset, count: int) -> NDArray[np.generic]:
    """Return the pixels of all frames, shape (frames, rows, columns)."""
    kind = attribute_values.text(dataset, "SegmentationType")
    if kind == "FRACTIONAL":
        text = "the SEG is FRACTIONAL; BINARY or LABELMAP tells what belongs to what"
        raise OutlinesRefusedError(reason="fractional_segmentation", text=text)
    rows, columns, stated = (
        attribute_values.whole(dataset, key) or 0
        for key in ("Rows", "Columns", "NumberOfFrames")
    )
    if kind not in {"BINARY", "LABELMAP"} or stated != count or not rows * columns:
        text = f"type {kind[:16] or 'unknown'}, {stated} frames, {count} described"
        raise OutlinesRefusedError(reason="unreadable_segmentation", text=text)
    if count * rows * columns > _MAX_VOXELS:
        text = f"{count * rows * columns} voxels; the limit is {_MAX_VOXELS}"
        raise OutlinesRefusedError(reason="too_large", text=text)
    if not isinstance(attribute_values.raw(dataset, "PixelData"), bytes):
        text = "the SEG has no pixel data"
        raise OutlinesRefusedError(reason="unreadable_segmentation", text=text)
    (stored,) = pixels.decode([dataset])
    _check_length(dataset, count * rows * columns)
    if stored.shape != (count, rows, columns):
        text = f"pixel data hold {stored.shape}, the header tells {count} frames"
        raise OutlinesRefusedError(reason="unreadable_segmentation", text=text)
    return stored


def _check_length(dataset: Dataset, count: int) -> None:
    """Refuse more bytes than the frames need: they are of another size than told."""
    syntax = UID(attribute_values.text(dataset.file_meta, "TransferSyntaxUID"))
    bits = attribute_values.whole(dataset, "BitsAllocated") or 0
    needed = -(-count * bits // _BITS_PER_BYTE)
    spare = len(dataset.PixelData) - needed
    if not syntax.is_encapsulated and spare > 1:  # the pad of an odd length
        text = f"pixel data have {spare} bytes more than {needed} for all frames"
        raise OutlinesRefusedError(reason="unreadable_segmentation", text=text)


def _masks(
    dataset: Dataset, frame: Dataset, plane: NDArray[np.generic]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the segments of a frame with their masks; nothing for an empty one."""
    if attribute_values.text(dataset, "SegmentationType") == "LABELMAP":
        for number in np.unique(plane).tolist():
            if number > 0:
                yield int(number), plane == number
        return
    item = attribute_values.item(frame, "SegmentIdentificationSequence")
    number = attribute_values.whole(item, "ReferencedSegmentNumber")
    mask = plane != 0
    if mask.any():
        yield number or 0, mask


def _editor(dataset: Dataset) -> str:
    """Return the content creator as people write a name; ours is no reader."""
    name = attribute_values.raw(dataset, "ContentCreatorName")
    forms = [form for form in str(name or "").split("=") if form.strip("^ ")]
    parts = forms[0].split("^") if forms else [""]
    family, given = (*(part.strip() for part in parts), "")[:2]
    text = f"{given} {family}".strip()
    return "" if text.startswith(_OWN_CREATOR) else text[:64]


def _tracking(dataset: Dataset) -> dict[str, str]:
    return {
        attribute_values.text(item, "SegmentLabel"): uid
        for item in attribute_values.items(dataset, "SegmentSequence")
        if (uid := attribute_values.text(item, "TrackingUID"))
    }

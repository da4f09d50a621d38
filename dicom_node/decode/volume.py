"""Instances → `Volume`: found, checked, decoded, sorted along the normal."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset

from analysis.contract.acquisition import Acquisition
from analysis.contract.geometry import Frame
from analysis.contract.plugin import Subject
from analysis.contract.result import Notice
from analysis.contract.volume import Volume
from dicom_node.decode import attribute_values, pixels
from dicom_node.decode.acquisition import acquisition_of
from dicom_node.decode.headers import (
    InstanceHeader,
    echo_time_of,
    frame_groups,
    orientation_of,
    position_of,
    read_headers,
    spacing_of,
)
from dicom_node.decode.lossy_compression import state_loss
from dicom_node.decode.patient_identity import complete_patients
from dicom_node.decode.pick_slices import Picked, pick
from dicom_node.decode.read_file import (
    DEFAULT_LIMITS,
    NotDicomError,
    ReadLimits,
    read_file,
)
from dicom_node.decode.signal_zero import padding_of, settle_zero
from dicom_node.decode.single_frames import FrameReference, single_frames
from dicom_node.decode.slice_grid import Slice, arrange
from dicom_node.decode.stated_doubts import doubts_of
from dicom_node.decode.stored_bits import own_bits
from dicom_node.decode.subject import subject_of
from dicom_node.errors import GeometryError, PixelDataError

MAX_VOXELS = 2**26
"""A series above this is refused before decoding: 256 MiB as float32. A 3D lumbar
sequence of 120 slices of 640 x 640 has 2**25.5."""
MAX_INSTANCES = 4096
MAX_BYTES = 2**29
"""Of all files together, before any is read: 512 MiB, twice the voxels in 16 bits and
room for headers."""
_REPEATED_BY = {
    "EchoTime": "Echo Time",
    "TemporalPositionIdentifier": "Temporal Position Identifier",
    "TriggerTime": "Trigger Time",
    "AcquisitionNumber": "Acquisition Number",
    "DeviceSerialNumber": "Device Serial Number",
    "StationName": "Station Name",
}
"""What may differ between pictures at one place."""
_SAME_ECHO = 0.05
"""Part by which echo times of one series may differ: scanners round them."""
MAX_ELEMENTS = 2**19
"""Of all headers together: some 500 MB as objects of pydicom."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedSeries:
    """One series as arrays, with what its results must refer to.

    Parameters
    ----------
    volume
        Rescaled stored values, less `signal_zero`, on a right-handed grid.
    sources
        Instances without their pixels: one per slice in K order of the volume, or the
        one multi-frame instance.
    frame_numbers
        For a multi-frame instance, its frame (from 1) of each slice; else empty.
    stands_for
        By SOP Instance UID of a source that was made of one frame of several
        multi-frame instances, the frame; else empty.
    subject
        Age and sex, as far as stated.
    acquisition
        Scanner and sequence, as far as stated.
    signal_zero
        What was taken from all rescaled values, so that those of air are 0.
    warnings
        What was mended or is doubtful.
    headers
        Of all files that were read, whether or not their pictures are used.
    """

    volume: Volume
    sources: tuple[Dataset, ...]
    frame_numbers: tuple[int, ...]
    subject: Subject
    acquisition: Acquisition = field(default_factory=Acquisition)
    stands_for: Mapping[str, FrameReference] = field(default_factory=dict)
    signal_zero: float = 0.0
    warnings: tuple[Notice, ...] = ()
    headers: tuple[InstanceHeader, ...] = ()

    @property
    def instances(self) -> tuple[tuple[str, str], ...]:
        """SOP class and instance UIDs of what was measured, each once."""
        found = (
            (frame.sop_class_uid, frame.sop_instance_uid)
            if (frame := self.stands_for.get(uid)) is not None
            else (attribute_values.text(source, "SOPClassUID"), uid)
            for source in self.sources
            if (uid := attribute_values.text(source, "SOPInstanceUID"))
        )
        return tuple(dict.fromkeys(found))


def read_volume(
    paths: Sequence[Path], *, limits: ReadLimits = DEFAULT_LIMITS
) -> DecodedSeries:
    """Read one series from its files.

    Raises
    ------
    GeometryError
        If the instances do not form one uniform volume; see `slice_grid.arrange` for
        reasons, besides `colliding_uids`, `too_large`, `mixed_weighting`.
    PixelDataError
        `unreadable_instance`, `no_pixel_data`, `unsupported_pixels`,
        `unreadable_pixels`, `bad_rescale`.
    SeriesRejectedError
        `over_limit`.
    InstanceMissingError, MachineTroubleError
        If a file is gone, or the machine is at fault.
    """
    if not 0 < len(paths) <= MAX_INSTANCES:
        text = f"{len(paths)} instances; expected 1 to {MAX_INSTANCES}"
        raise GeometryError(reason="too_large", text=text)
    size = sum(path.stat().st_size for path in paths if path.is_file())
    if size > MAX_BYTES:
        text = f"{size} bytes in {len(paths)} files; the limit is {MAX_BYTES}"
        raise GeometryError(reason="too_large", text=text)
    with config.disable_value_validation(), warnings.catch_warnings():
        # pydicom doubts texts that are not in the character set of their label.
        warnings.simplefilter("ignore")
        return _read(paths, limits)


def _read(paths: Sequence[Path], limits: ReadLimits) -> DecodedSeries:
    headers = read_headers(paths, limits=limits)
    picked = pick(headers)
    opened, mended_files = _open_all([one.path for one in picked.headers], limits)
    instances, notices = _distinct(opened)
    complete_patients(instances)
    is_lossy = state_loss(instances)
    groups = [frame_groups(instance) for instance in instances]
    wanted = _wanted_frames(instances, picked)
    slices = [
        _slice(instance, index, frames[number], number)
        for index, (instance, frames) in enumerate(zip(instances, groups, strict=True))
        for number in wanted(index, len(frames))
    ]
    _check_size(slices)
    echo_times_ms = [
        echo_time_of(groups[each.instance][each.frame], instances[each.instance])
        for each in slices
    ]
    order, frame_of_reference = _arranged(slices, picked, instances)
    _check_echoes(echo_times_ms)
    in_order = [slices[index] for index in order]
    voxels, signal_zero, mended = _voxels(instances, groups, in_order)
    sources, frame_numbers, stands_for = _sources(instances, groups, in_order)
    first = instances[0]
    return DecodedSeries(
        volume=Volume(
            voxels=voxels,
            frame=frame_of_reference,
            series_uid=attribute_values.text(first, "SeriesInstanceUID"),
        ),
        sources=sources,
        frame_numbers=frame_numbers,
        stands_for=stands_for,
        subject=subject_of(first),
        acquisition=acquisition_of(first),
        signal_zero=signal_zero,
        warnings=(
            *picked.notices,
            *mended_files,
            *notices,
            *mended,
            *doubts_of(
                instances,
                picked.headers[0],
                frame_of_reference,
                len(in_order),
                is_lossy=is_lossy,
            ),
        ),
        headers=headers,
    )


def _wanted_frames(
    instances: Sequence[Dataset], picked: Picked
) -> Callable[[int, int], Iterator[int]]:
    """Return which frames of an instance show what is measured."""
    kinds = {header.sop_instance_uid: header.kinds for header in picked.headers}

    def wanted(index: int, count: int) -> Iterator[int]:
        uid = attribute_values.text(instances[index], "SOPInstanceUID")
        shown = kinds.get(uid, ())
        for number in range(count):
            if picked.kind not in shown or shown[number] is picked.kind:
                yield number

    return wanted


def _arranged(
    slices: Sequence[Slice], picked: Picked, instances: Sequence[Dataset]
) -> tuple[tuple[int, ...], Frame]:
    """Arrange the slices; a refusal says what may have led to it."""
    try:
        return arrange(slices)
    except GeometryError as error:
        causes = [notice.text for notice in picked.notices]
        if error.reason in ("several_volumes", "doubled_position", "uneven_spacing"):
            causes += _why_doubled(instances)
        if not causes:
            raise
        text = "; ".join((error.text, *causes))
        raise GeometryError(reason=error.reason, text=text) from error


def _why_doubled(instances: Sequence[Dataset]) -> list[str]:
    """Say in what instances differ that may lie at one place."""
    causes = []
    for keyword, name in _REPEATED_BY.items():
        values = {attribute_values.text(instance, keyword) for instance in instances}
        if len(values - {""}) > 1:
            causes.append(f"{len(values - {''})} values of {name}")
    return causes


def _check_echoes(echo_times_ms: Sequence[float | None]) -> None:
    """Refuse a stack that is woven of two series: its slices differ in contrast."""
    stated = [echo for echo in echo_times_ms if echo is not None]
    if stated and max(stated) - min(stated) > _SAME_ECHO * max(stated):
        text = f"slices have echo times of {min(stated):g} to {max(stated):g} ms"
        raise GeometryError(reason="mixed_weighting", text=text)


def _voxels(
    instances: Sequence[Dataset],
    groups: Sequence[Sequence[Dataset]],
    in_order: Sequence[Slice],
) -> tuple[NDArray[np.float32], float, tuple[Notice, ...]]:
    """Decode, rescale, stack and settle the zero; the instances lose their pixels."""
    rows, columns = in_order[0].shape
    voxels = np.empty((len(in_order), rows, columns), dtype=np.float32)
    padded = np.zeros(voxels.shape, dtype=bool)
    depth = {(each.instance, each.frame): k for k, each in enumerate(in_order)}
    notices: dict[str, Notice] = {}
    decoded = pixels.decode(instances)
    for index, (instance, frames) in enumerate(zip(instances, groups, strict=True)):
        stored = next(decoded)
        _check_shape(stored, (len(frames), rows, columns))
        stored, mended = own_bits(stored, instance)
        notices.update({notice.code: notice for notice in mended})
        for number, frame in enumerate(frames):
            k = depth.get((index, number))
            if k is not None:
                padded[k] = padding_of(stored[number], instance)
                voxels[k] = pixels.rescale(stored[number], instance, frame)
        del instance.PixelData
    if not np.isfinite(voxels).all():
        raise PixelDataError(reason="bad_rescale", text="rescaled values overflow")
    signal_zero, settled = settle_zero(voxels, padded)
    return voxels, signal_zero, (*notices.values(), *settled)


def _sources(
    instances: Sequence[Dataset],
    groups: Sequence[Sequence[Dataset]],
    in_order: Sequence[Slice],
) -> tuple[tuple[Dataset, ...], tuple[int, ...], Mapping[str, FrameReference]]:
    """Return what results refer to: see `DecodedSeries`."""
    if not any("PerFrameFunctionalGroupsSequence" in each for each in instances):
        return tuple(instances[each.instance] for each in in_order), (), {}
    if len(instances) == 1:
        return (instances[0],), tuple(each.frame + 1 for each in in_order), {}
    images, stands_for = single_frames(instances, groups)
    return (
        tuple(images[each.instance][each.frame] for each in in_order),
        (),
        stands_for,
    )


def _open_all(
    paths: Sequence[Path], limits: ReadLimits
) -> tuple[list[Dataset], tuple[Notice, ...]]:
    """Read all instances, while together they stay within what one series may hold."""
    instances: list[Dataset] = []
    elements = pixel_bytes = mended = 0
    for path in paths:
        try:
            stored = read_file(path, with_pixels=True, limits=limits)
        except NotDicomError as error:
            text = f"an instance cannot be read as DICOM: {error}"
            raise PixelDataError(reason="unreadable_instance", text=text) from error
        pixels.check_description(stored.dataset)
        elements += stored.elements
        pixel_bytes += len(stored.dataset.PixelData)
        _check_together(elements, pixel_bytes)
        instances.append(stored.dataset)
        mended += stored.is_mended
    if not mended:
        return instances, ()
    text = f"in {mended} instances delimiters of sequences were missing or astray"
    return instances, (Notice(code="delimiters_mended", text=text),)


def _check_together(elements: int, pixel_bytes: int) -> None:
    for count, limit, what in (
        (elements, MAX_ELEMENTS, "elements"),
        (pixel_bytes, MAX_BYTES, "bytes of pixels"),
    ):
        if count > limit:
            text = f"the instances hold {count} {what} or more; the limit is {limit}"
            raise GeometryError(reason="too_large", text=text)


def _distinct(instances: list[Dataset]) -> tuple[list[Dataset], tuple[Notice, ...]]:
    """Drop instances that came twice, under one UID or under two."""
    by_content: dict[str, Dataset] = {}
    for instance in instances:
        by_content.setdefault(_content(instance), instance)
    kept = list(by_content.values())
    uids = {attribute_values.text(instance, "SOPInstanceUID") for instance in kept}
    if len(uids) < len(kept):
        text = f"{len(kept)} different instances share {len(uids)} SOP Instance UIDs"
        raise GeometryError(reason="colliding_uids", text=text)
    dropped = len(instances) - len(kept)
    if not dropped:
        return kept, ()
    text = f"{dropped} of {len(instances)} instances came twice and were used once"
    return kept, (Notice(code="duplicate_instances", text=text),)


def _content(instance: Dataset) -> str:
    """Return a digest of what makes a picture: its pixels and where they lie."""
    state = hashlib.sha256(instance.PixelData)
    frames = frame_groups(instance)
    for frame in frames:
        state.update(repr((position_of(frame), orientation_of(frame))).encode())
    return state.hexdigest()


def _slice(instance: Dataset, index: int, frame: Dataset, number: int) -> Slice:
    measures = attribute_values.item(frame, "PixelMeasuresSequence")
    rows, columns = (
        attribute_values.whole(instance, name) or 0 for name in ("Rows", "Columns")
    )
    if rows < 1 or columns < 1:
        text = f"{rows} rows, {columns} columns; expected at least 1"
        raise PixelDataError(reason="unsupported_pixels", text=text)
    between_mm = attribute_values.number(measures, "SpacingBetweenSlices")
    thickness_mm = attribute_values.number(measures, "SliceThickness")
    # Slices of a 3D acquisition may be made to overlap by half.
    is_planar = attribute_values.text(instance, "MRAcquisitionType") == "2D"
    return Slice(
        instance=index,
        frame=number,
        position_mm=position_of(frame),
        orientation=orientation_of(frame),
        pixel_spacing_mm=spacing_of(frame),
        shape=(rows, columns),
        thickness_mm=between_mm or thickness_mm,
        stated_spacing_mm=between_mm or (thickness_mm if is_planar else None),
    )


def _check_size(slices: Sequence[Slice]) -> None:
    total = sum(each.shape[0] * each.shape[1] for each in slices)
    if total > MAX_VOXELS:
        text = f"{total} voxels in {len(slices)} slices; the limit is {MAX_VOXELS}"
        raise GeometryError(reason="too_large", text=text)


def _check_shape(stored: NDArray[np.generic], shape: tuple[int, int, int]) -> None:
    if stored.shape != shape:
        text = f"pixel data hold {stored.shape}, the header tells {shape}"
        raise PixelDataError(reason="unreadable_pixels", text=text)

"""Which instances of a series are its pictures, and which only came with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from analysis.contract.result import Notice
from dicom_node.decode.headers import InstanceHeader
from dicom_node.decode.picture_kind import MEASURABLE, PictureKind

MR_IMAGE_CLASSES = frozenset(
    {
        MRImageStorage,
        EnhancedMRImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
    }
)

_MOST_STRANGERS = 0.25
"""Part of a series that may lie otherwise than the rest and be left out; of more,
nobody can say which of the two was meant."""
_SAME_COSINE = 1e-3
_SAME_SPACING = 1e-3
_LEAST_EVEN = 3
_UNEVEN_PART = 0.5
"""Of the usual distance; where a slice is missing it is twice that."""
_SHOWN_UIDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """An instance that is not measured, and what it is instead."""

    sop_instance_uid: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """The pictures of a series.

    Parameters
    ----------
    headers
        Those to be measured; all, where nothing in the series can be.
    kind
        What they show; of an instance with several frames only such are measured.
    left_out
        The others.
    frames_left_out
        How many frames of the picked instances show something else.
    """

    headers: tuple[InstanceHeader, ...]
    kind: PictureKind
    left_out: tuple[LeftOut, ...] = ()
    frames_left_out: int = 0

    @property
    def notices(self) -> tuple[Notice, ...]:
        """A warning that names what was left out; none if nothing was."""
        texts = []
        if self.left_out:
            shown = ", ".join(
                f"{one.sop_instance_uid} ({one.what})"
                for one in self.left_out[:_SHOWN_UIDS]
            )
            more = len(self.left_out) - _SHOWN_UIDS
            total = len(self.left_out) + len(self.headers)
            texts.append(
                f"{len(self.left_out)} of {total} instances were left out: {shown}"
                + (f" and {more} more" if more > 0 else "")
            )
        if self.frames_left_out:
            texts.append(
                f"{self.frames_left_out} frames were left out that do not show "
                f"{self.kind.value}"
            )
        return tuple(Notice(code="instances_left_out", text=text) for text in texts)


def pick(headers: Sequence[InstanceHeader]) -> Picked:
    """Tell the pictures of a series from what only came with them.

    Objects that are no grey MR picture are left out, pictures of another kind (the
    phase of a magnitude, the fat of a water picture), and at most a quarter of the
    series that is oriented, sized or spaced otherwise than the rest.
    """
    left_out: list[LeftOut] = []
    kept = _without(headers, _stranger, left_out)
    kind = _wanted_kind(kept)
    kept = _without(kept, lambda header: _other_kind(header, kind), left_out)
    kept = _of_one_stack(kept, left_out)
    return Picked(
        headers=kept,
        kind=kind,
        left_out=tuple(left_out),
        frames_left_out=sum(
            shown is not kind
            for header in kept
            for shown in header.kinds
            if kind in header.kinds
        ),
    )


def _without(
    headers: Sequence[InstanceHeader],
    what_else: Callable[[InstanceHeader], str],
    left_out: list[LeftOut],
) -> tuple[InstanceHeader, ...]:
    """Return the headers of which nothing else is said; all, if there is none."""
    others = [(header, what_else(header)) for header in headers]
    kept = tuple(header for header, what in others if not what)
    if not kept:
        return tuple(headers)
    left_out += [
        LeftOut(sop_instance_uid=header.sop_instance_uid, what=what)
        for header, what in others
        if what
    ]
    return kept


def _stranger(header: InstanceHeader) -> str:
    """Say what an instance is that is no picture of MR; empty for one that may be.

    One that lacks what a picture has is no stranger: it may be a slice that was cut.
    """
    if not header.sop_class_uid or not header.sop_instance_uid:
        return ""
    if header.sop_class_uid not in MR_IMAGE_CLASSES:
        return UID(header.sop_class_uid).name
    if header.modality not in ("MR", ""):
        return f"modality {header.modality[:16]}"
    if header.samples not in {None, 1}:
        return f"{header.samples} samples per pixel"
    if "LOCALIZER" in header.image_type:
        return "a localiser"
    return ""


def _wanted_kind(headers: Sequence[InstanceHeader]) -> PictureKind:
    shown = {kind for header in headers for kind in header.kinds}
    for kind in MEASURABLE:
        if kind in shown:
            return kind
    return headers[0].kinds[0]


def _other_kind(header: InstanceHeader, kind: PictureKind) -> str:
    return "" if kind in header.kinds else header.kinds[0].value


def _of_one_stack(
    headers: tuple[InstanceHeader, ...], left_out: list[LeftOut]
) -> tuple[InstanceHeader, ...]:
    """Return the largest group that lies alike, if nearly all belong to it."""
    groups: list[list[InstanceHeader]] = []
    for header in headers:
        for group in groups:
            if not _difference(group[0], header):
                group.append(header)
                break
        else:
            groups.append([header])
    largest = max(groups, key=len)
    if len(largest) == len(headers) or len(headers) - len(largest) > (
        _MOST_STRANGERS * len(headers)
    ):
        return headers
    if not _is_even(largest):
        return headers  # what differs is missing in the stack: it belongs to it
    return _without(headers, lambda header: _difference(largest[0], header), left_out)


def _is_even(headers: Sequence[InstanceHeader]) -> bool:
    """Tell whether slices lie at even distances without those that differ."""
    positions = [place for header in headers for place in header.positions]
    orientations = headers[0].orientations
    if not orientations or len(positions) < _LEAST_EVEN:
        return True
    cosines = orientations[0]
    depths = np.sort(np.array(positions) @ np.cross(cosines[:3], cosines[3:]))
    gaps = np.diff(depths)
    return bool(gaps.max() - gaps.min() <= _UNEVEN_PART * np.median(gaps))


def _difference(one: InstanceHeader, other: InstanceHeader) -> str:
    """Say in what two pictures cannot be of one stack; empty where they can."""
    if not _close(one.orientations, other.orientations):
        return "another orientation"
    if (one.rows, one.columns) != (other.rows, other.columns):
        return f"{other.rows} x {other.columns} pixels"
    spacings = one.pixel_spacing_mm, other.pixel_spacing_mm
    if None not in spacings and not np.allclose(
        np.array(spacings[0]), np.array(spacings[1]), rtol=_SAME_SPACING, atol=0
    ):
        return "another pixel spacing"
    return ""


def _close(
    one: tuple[tuple[float, ...], ...], other: tuple[tuple[float, ...], ...]
) -> bool:
    if not one or not other:
        return True  # which of them lacks it is told when they are arranged
    if len(one) != len(other):
        return False
    return bool(np.abs(np.array(one) - np.array(other)).max() <= _SAME_COSINE)

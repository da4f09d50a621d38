"""Which series can be analysed at all, told from headers alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from pydicom.uid import UID

from analysis.contract.plugin import Plane, SeriesSummary, Weighting
from dicom_node.decode.headers import InstanceHeader
from dicom_node.decode.pick_slices import MR_IMAGE_CLASSES, pick
from dicom_node.decode.picture_kind import MEASURABLE, PictureKind
from dicom_node.decode.weighting import weighting_of
from dicom_node.identifiers import MANUFACTURER
from dicom_node.records import Reason

_DOMINANT_COSINE = 0.8
"""A normal within 37 degrees of a patient axis belongs to that axis' plane.

Between 37 and 53 degrees from the two nearest axes a plane has no name.
"""
_LOCALISER_WORDS = re.compile(
    r"LOCALI[SZ]ER|SCOUT|SURVEY|(?<![A-Z])LOC(?![A-Z])|3[- _]?PL(ANE)?(?![A-Z])"
)
_REFORMAT_TERMS = frozenset(
    {"MPR", "MIP", "MINIP", "PROJECTION IMAGE", "SUBTRACTION", "ADC", "REFORMATTED"}
)

_IDENTITY_PARTS = ("Patient ID", "Issuer of Patient ID", "name", "birth date", "sex")
KIND_CODES = {
    PictureKind.MAP: "parametric_map",
    PictureKind.COLOUR: "not_grey",
    PictureKind.PROJECTION: "derived",
    PictureKind.SUBTRACTION: "derived",
    PictureKind.MOSAIC: "derived",
    PictureKind.FAT: "dixon_component",
    PictureKind.FAT_FRACTION: "dixon_component",
    PictureKind.IN_PHASE: "dixon_component",
    PictureKind.OPPOSED_PHASE: "dixon_component",
}
"""What cannot be measured; all else is a part of a complex picture."""

_UID = re.compile(r"[0-9.]{1,64}")
"""PS3.5 9.1, but for components that begin with 0, which old senders write."""

_PLANES = (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)
"""By the axis, x, y or z, along which the normal points."""


def summarise(headers: Sequence[InstanceHeader]) -> SeriesSummary:
    """Summarise one series in the words of the contract.

    Raises
    ------
    ValueError
        If there is no header.
    """
    _first(headers)
    headers = pick(headers).headers
    first = headers[0]
    spacing = _spacing_mm(headers)
    return SeriesSummary(
        modality=first.modality,
        body_part=first.body_part,
        plane=plane_of(headers),
        weighting=weighting_of(first),
        slice_count=sum(header.frames for header in headers),
        rows=first.rows or 0,
        columns=first.columns or 0,
        spacing_mm=spacing,
        localiser=_is_localiser(headers),
        derived=_is_derived(headers),
        contrast_agent=first.contrast_agent,
    )


def reject(headers: Sequence[InstanceHeader]) -> Reason | None:
    """Return why the series cannot be analysed by anyone, or None.

    Returns
    -------
    Reason or None
        Its code is one of `own_result`, `headers_incomplete`, `bad_uid`, `not_mr`,
        `not_an_image`, `mixed_patients`, `not_human`, `mixed_scanners`,
        `no_pixel_data`, `not_grey`, `localiser`, `derived`, `parametric_map`,
        `not_magnitude`, `dixon_component`, `mixed_weighting`; it never changes.
    """
    _first(headers)
    if any(header.manufacturer == MANUFACTURER for header in headers):
        return Reason("own_result", "the series is a result of this node")
    pictures = pick(headers).headers
    return (
        _reject_object(pictures[0])
        or _reject_identity(headers)
        or _reject_content(pictures)
    )


def plane_of(headers: Sequence[InstanceHeader]) -> Plane:
    """Return the plane of a series by the normal of its frames.

    Stacks that are tilted against each other within one plane, such as axial ones
    along the discs, have that plane; whether they form a volume is decided later.

    References
    ----------
    PS3.3 C.7.6.2.1.1: x grows to the left, y to the back, z to the head.
    """
    orientations = {cosines for header in headers for cosines in header.orientations}
    planes = {_plane(cosines) for cosines in orientations}
    if len(planes) > 1:
        return Plane.MIXED
    return planes.pop() if planes else Plane.UNKNOWN


def _plane(cosines: tuple[float, ...]) -> Plane:
    normal = np.cross(cosines[:3], cosines[3:])
    length = float(np.linalg.norm(normal))
    if length == 0:
        return Plane.UNKNOWN
    axis = int(np.argmax(np.abs(normal)))
    if abs(normal[axis]) / length < _DOMINANT_COSINE:
        return Plane.OBLIQUE
    return _PLANES[axis]


def _first(headers: Sequence[InstanceHeader]) -> InstanceHeader:
    if not headers:
        message = "headers: expected at least one"
        raise ValueError(message)
    return headers[0]


def _reject_object(first: InstanceHeader) -> Reason | None:
    absent = [
        name
        for name, value in (
            ("SOP Class UID", first.sop_class_uid),
            ("SOP Instance UID", first.sop_instance_uid),
            ("Study Instance UID", first.study_uid),
            ("Series Instance UID", first.series_uid),
            ("Modality", first.modality),
        )
        if not value
    ]
    if absent:
        return Reason(
            "headers_incomplete", f"missing from the dataset: {', '.join(absent)}"
        )
    kind = UID(first.sop_class_uid).name
    if first.rows is None or first.columns is None:
        return Reason("not_an_image", f"not an image: {kind}")
    if first.modality != "MR" or first.sop_class_uid not in MR_IMAGE_CLASSES:
        return Reason(
            "not_mr", f"not an MR image: {kind}, modality {first.modality[:16]}"
        )
    return None


def _reject_identity(headers: Sequence[InstanceHeader]) -> Reason | None:
    """Refuse what results could not name, or could not give to one patient."""
    for name, uids in (
        ("Study Instance UID", {header.study_uid for header in headers}),
        ("Series Instance UID", {header.series_uid for header in headers}),
        ("SOP Instance UID", {header.sop_instance_uid for header in headers}),
    ):
        wrong = sum(_UID.fullmatch(uid) is None for uid in uids)
        if wrong:
            return Reason(
                "bad_uid", f"{wrong} of {len(uids)} values of {name} are no UID"
            )
    return _reject_patients(headers)


def _reject_patients(headers: Sequence[InstanceHeader]) -> Reason | None:
    """Refuse a series that contradicts itself in who it is of, or that is of an animal.

    An instance that leaves out what others state does not contradict them.
    """
    differing = [
        name
        for name, values in zip(
            _IDENTITY_PARTS,
            zip(*(header.patient for header in headers), strict=True),
            strict=True,
        )
        if len(set(values) - {""}) > 1
    ]
    if differing:
        text = f"the series is of several patients, by {', '.join(differing)}"
        return Reason("mixed_patients", text)
    species = next((header.species for header in headers if header.species), "")
    if species:
        return Reason("not_human", f"the series is of an animal: {species}")
    return None


def _reject_content(headers: Sequence[InstanceHeader]) -> Reason | None:
    empty = sum(not header.pixels for header in headers)
    if empty:
        return Reason(
            "no_pixel_data", f"{empty} of {len(headers)} instances have no pixels"
        )
    if any(header.samples not in {None, 1} for header in headers):
        return Reason("not_grey", f"{headers[0].samples} samples per pixel, expected 1")
    if _is_localiser(headers):
        return Reason("localiser", "the series is a localiser")
    if _is_derived(headers):
        kind = "\\".join(headers[0].image_type)[:64]
        return Reason("derived", f"made from other images after the scan: {kind}")
    return _reject_kind(headers[0].kinds) or _reject_mixture(headers)


def _reject_mixture(headers: Sequence[InstanceHeader]) -> Reason | None:
    """Refuse pictures of two scanners, or of two contrasts, in one series."""
    stated = zip(*(header.station for header in headers), strict=True)
    scanners = max(len(set(values) - {""}) for values in stated)
    if scanners > 1:
        text = f"the series holds pictures of {scanners} scanners, expected 1"
        return Reason("mixed_scanners", text)
    known = {weighting_of(header).value for header in headers}
    known.discard(Weighting.UNKNOWN.value)
    if len(known) > 1:
        text = f"the series mixes weightings: {', '.join(sorted(known))}"
        return Reason("mixed_weighting", text)
    return None


def _reject_kind(kinds: Sequence[PictureKind]) -> Reason | None:
    if any(kind in MEASURABLE for kind in kinds):
        return None
    kind = kinds[0]
    code = KIND_CODES.get(kind, "not_magnitude")
    text = f"the pictures are not anatomy as received: {kind.value}"
    return Reason(code, text)


def _is_localiser(headers: Sequence[InstanceHeader]) -> bool:
    return (
        any("LOCALIZER" in header.image_type for header in headers)
        or _LOCALISER_WORDS.search(headers[0].description.upper()) is not None
    )


def _is_derived(headers: Sequence[InstanceHeader]) -> bool:
    r"""Tell whether a picture was made after the examination.

    DERIVED\PRIMARY, as scanners write for filtered, composed or Dixon pictures, is
    not: value 2, SECONDARY, tells (PS3.3 C.7.6.1.1.2).
    """
    return any(
        header.image_type[:2] == ("DERIVED", "SECONDARY")
        or not _REFORMAT_TERMS.isdisjoint(header.image_type[2:])
        for header in headers
    )


def _spacing_mm(
    headers: Sequence[InstanceHeader],
) -> tuple[float, float, float] | None:
    first = headers[0]
    if first.pixel_spacing_mm is None:
        return None
    positions = [position for header in headers for position in header.positions]
    between = first.spacing_between_mm or first.thickness_mm
    if first.orientations and len(positions) > 1:
        cosines = first.orientations[0]
        depths = np.sort(np.array(positions) @ np.cross(cosines[:3], cosines[3:]))
        between = float(depths[-1] - depths[0]) / (len(depths) - 1) or between
    if between is None:
        return None
    return between, *first.pixel_spacing_mm

"""What scanners, archives and anonymisers write that a reader has to bear with.

Each function writes the files of a series, odd in one way; the pictures are those of
the series that it is given, to the bit where its name does not tell otherwise.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    GrayscaleSoftcopyPresentationStateStorage,
    JPEG2000Lossless,
    generate_uid,
)

from tests.support import regrid
from tests.support.variants import CORONAL, Series, fresh, name

Written = list[Path]

UNDEFINED = 0xFFFFFFFF
PRIVATE = 0x00191010
_META_LENGTH_AT = 140
_META_AT = 144
_LONG_VRS = (b"OB", b"OW", b"SQ", b"UN", b"UT")


def write(series: Iterable[Dataset], folder: Path) -> Written:
    """Write instances as they are."""
    paths = []
    for number, instance in enumerate(series):
        paths.append(folder / f"{number:02d}.dcm")
        instance.save_as(paths[-1], enforce_file_format=True)
    return paths


def put(dataset: Dataset, keyword: str, content: bytes, *, vr: str = "") -> None:
    """Give an attribute bytes that its VR may forbid."""
    tag = Tag(keyword)
    content += b" " * (len(content) % 2)
    dataset[tag] = RawDataElement(
        tag, vr or dictionary_VR(tag), len(content), content, 0,
        is_implicit_VR=False, is_little_endian=True, is_raw=True,
    )  # fmt: skip


def rewritten(
    series: Series, folder: Path, change: Callable[[Dataset], None]
) -> Written:
    """Write a series, then change each file, whose bytes are then kept as they are."""
    paths = write(fresh(series), folder)
    for path in paths:
        dataset = dcmread(path)
        change(dataset)
        dataset.save_as(path, enforce_file_format=True)
    return paths


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """Return an element in explicit little endian."""
    length = len(value) if length is None else length
    group, number = tag >> 16, tag & 0xFFFF
    if vr in _LONG_VRS:
        return struct.pack("<HH2sHI", group, number, vr, 0, length) + value
    return struct.pack("<HH2sH", group, number, vr, length) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    """Return an element in implicit little endian, as delimiters are written, too."""
    length = len(value) if length is None else length
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length) + value


ITEM_END, SEQUENCE_END = (implicit(tag, b"") for tag in (0xFFFEE00D, 0xFFFEE0DD))


_CODE = (
    element(0x00080100, b"SH", b"T-1234")
    + element(0x00080102, b"SH", b"99OURS")
    + element(0x00080104, b"LO", b"words ")
)


def item(content: bytes) -> bytes:
    """Return an item of undefined length."""
    return implicit(0xFFFEE000, content + ITEM_END, UNDEFINED)


def inserted(series: Series, folder: Path, tag: int, content: bytes) -> Written:
    """Write a series with some bytes before the first element from a tag on."""
    paths = write(fresh(series), folder)
    for path in paths:
        whole = path.read_bytes()
        at = dataset_at(whole)
        while int.from_bytes(_tag_at(whole, at), "big") < tag:
            long = whole[at + 4 : at + 6] in _LONG_VRS
            (length,) = struct.unpack_from(
                *(("<I", whole, at + 8) if long else ("<H", whole, at + 6))
            )
            at += (12 if long else 8) + length
        path.write_bytes(whole[:at] + content + whole[at:])
    return paths


def _tag_at(whole: bytes, at: int) -> bytes:
    return bytes((whole[at + 1], whole[at], whole[at + 3], whole[at + 2]))


def dataset_at(whole: bytes) -> int:
    """Return where the dataset of a file begins."""
    (length,) = struct.unpack_from("<I", whole, _META_LENGTH_AT)
    return _META_AT + int(length)


def air_at_minus_100(series: Series, folder: Path) -> Written:
    """Write signed pixels with air far below zero."""

    def change(instance: Dataset) -> None:
        regrid.put(instance, instance.pixel_array.astype(np.int16) - 100)

    return write(fresh(series, change), folder)


def a_rim_of_padding(series: Series, folder: Path) -> Written:
    """Write signed pixels with a rim of the Pixel Padding Value, one pixel wide."""

    def change(instance: Dataset) -> None:
        picture = instance.pixel_array.astype(np.int16)
        picture[[0, -1]] = picture[:, [0, -1]] = -32768
        regrid.put(instance, picture)
        instance.BitsStored, instance.HighBit = 16, 15
        instance.add_new("PixelPaddingValue", "SS", -32768)

    return write(fresh(series, change), folder)


def illegal_where_only_copied(series: Series, folder: Path) -> Written:
    """Write words for numbers, too many, too much, and sequences that are none."""

    def change(dataset: Dataset) -> None:
        put(dataset, "PatientWeight", b"70 kg")
        put(dataset, "PatientSize", b"1,75")
        put(dataset, "ReferringPhysicianName", b"DOCTOR^ONE\\DOCTOR^TWO")
        put(dataset, "StudyID", b"S" * 40)
        put(dataset, "ProcedureCodeSequence", b"words", vr="LO")
        put(dataset, "OtherPatientIDsSequence", b"1234", vr="UN")
        dataset.ReferencedStudySequence = [Dataset()]

    return rewritten(series, folder, change)


def _of_item(series: Series, folder: Path, vr: bytes, content: bytes) -> Written:
    creator = element(0x00190010, b"LO", b"VENDOR MR ")
    sequence = element(PRIVATE, vr, item(content) + SEQUENCE_END, UNDEFINED)
    return inserted(series, folder, 0x00190010, creator + sequence)


def implicit_items(series: Series, folder: Path) -> Written:
    """Write a sequence of undefined length whose items have no VRs."""
    return _of_item(series, folder, b"SQ", implicit(0x00080100, b"T-1234"))


def un_of_undefined_length(series: Series, folder: Path) -> Written:
    """Write a sequence under VR UN."""
    return _of_item(series, folder, b"UN", implicit(0x00080100, b"T-1234"))


def a_stray_delimiter(series: Series, folder: Path) -> Written:
    """Write the end of a sequence that never began."""
    return inserted(series, folder, 0x00180000, SEQUENCE_END)


def a_stray_end_of_an_item(series: Series, folder: Path) -> Written:
    """Write the end of an item that never began, which ends the whole for pydicom."""
    return inserted(series, folder, 0x00180000, ITEM_END)


def a_sequence_without_end(series: Series, folder: Path) -> Written:
    """Write a sequence of undefined length and no delimiter behind it."""
    sequence = element(0x00081032, b"SQ", item(_CODE), UNDEFINED)
    return inserted(series, folder, 0x00081032, sequence)


def an_item_without_end(series: Series, folder: Path) -> Written:
    """Write an item of undefined length, and behind it the end of its sequence."""
    content = implicit(0xFFFEE000, _CODE, UNDEFINED) + SEQUENCE_END
    sequence = element(0x00081032, b"SQ", content, UNDEFINED)
    return inserted(series, folder, 0x00081032, sequence)


def nothing_ends(series: Series, folder: Path) -> Written:
    """Write an item, and in it all the rest: no reader can tell where it ends."""
    content = implicit(0xFFFEE000, _CODE, UNDEFINED)
    sequence = element(0x00400275, b"SQ", content, UNDEFINED)
    return inserted(series, folder, 0x00400275, sequence)


def named(label: str | None, content: bytes) -> Callable[[Series, Path], Written]:
    """Return what writes a patient's name, in any bytes, under a character set."""

    def write_named(series: Series, folder: Path) -> Written:
        stands_for = "N" * len(content)

        def change(instance: Dataset) -> None:
            instance.PatientName = stands_for
            instance.SpecificCharacterSet = label or "ISO_IR 6"
            if label is None:
                del instance.SpecificCharacterSet

        paths = write(fresh(series, change), folder)
        for path in paths:
            whole = path.read_bytes().replace(stands_for.encode(), content)
            path.write_bytes(whole)
        return paths

    return write_named


def three_strays(series: Series, folder: Path) -> Written:
    """Write a scout, a presentation state and a screenshot into the series."""
    made = fresh(series)
    scout, state, screenshot = (copy.deepcopy(made[0]) for _ in range(3))
    for stray in (scout, state, screenshot):
        name(stray, generate_uid())
    scout.ImageOrientationPatient = CORONAL
    state.SOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    state.file_meta.MediaStorageSOPClassUID = state.SOPClassUID
    for keyword in ("PixelData", "Rows", "Columns", "ImageOrientationPatient"):
        delattr(state, keyword)
    state.Modality = "PR"
    screenshot.SamplesPerPixel, screenshot.PhotometricInterpretation = 3, "RGB"
    screenshot.PlanarConfiguration = 0
    screenshot.BitsAllocated, screenshot.BitsStored, screenshot.HighBit = 8, 8, 7
    screenshot.PixelData = bytes(screenshot.Rows * screenshot.Columns * 3)
    return write([*made, scout, state, screenshot], folder)


def _cut(enhanced: Dataset, parts: Sequence[Sequence[int]]) -> Series:
    """Return an Enhanced MR instance as several, of these frames each."""
    enhanced.SeriesInstanceUID = generate_uid()
    groups = list(enhanced.PerFrameFunctionalGroupsSequence)
    frames = enhanced.pixel_array
    made = []
    for number, part in enumerate(parts, start=1):
        one = copy.deepcopy(enhanced)
        name(one, generate_uid())
        one.InstanceNumber, one.NumberOfFrames = number, len(part)
        one.PerFrameFunctionalGroupsSequence = [groups[frame] for frame in part]
        one.PixelData = frames[list(part)].tobytes()
        made.append(one)
    return made


def an_enhanced_instance_a_frame(series: Series, folder: Path) -> Written:
    """Write one Enhanced MR instance per frame."""
    (enhanced,) = regrid.as_enhanced(fresh(series))
    return write(_cut(enhanced, [[frame] for frame in range(len(series))]), folder)


def a_concatenation(series: Series, folder: Path) -> Written:
    """Write an Enhanced MR instance cut into two (PS3.3 C.7.6.16.2.2.4)."""
    (enhanced,) = regrid.as_enhanced(fresh(series))
    half = len(series) // 2
    parts = [list(range(half)), list(range(half, len(series)))]
    made = _cut(enhanced, parts)
    uid = generate_uid()
    for number, part in enumerate(made):
        part.ConcatenationUID, part.InConcatenationNumber = uid, number + 1
        part.InConcatenationTotalNumber = len(made)
        part.ConcatenationFrameOffsetNumber = number * half
    return write(made, folder)


def commas_in_the_geometry(series: Series, folder: Path) -> Written:
    """Write the numbers of the geometry as a German would."""

    def change(dataset: Dataset) -> None:
        for keyword in ("PixelSpacing", "ImagePositionPatient"):
            text = "\\".join(str(float(value)) for value in dataset[keyword].value)
            put(dataset, keyword, text.replace(".", ",").encode())

    return rewritten(series, folder, change)


def geometry_under_other_vrs(series: Series, folder: Path) -> Written:
    """Write the numbers of the geometry as texts and as bytes."""

    def change(dataset: Dataset) -> None:
        for keyword, vr in (("PixelSpacing", "LO"), ("ImagePositionPatient", "UN")):
            text = "\\".join(str(float(value)) for value in dataset[keyword].value)
            put(dataset, keyword, text.encode(), vr=vr)

    return rewritten(series, folder, change)


def an_overlay_in_bit_12(series: Series, folder: Path) -> Written:
    """Write JPEG 2000 with an overlay above the bits of the picture."""

    def change(instance: Dataset) -> None:
        picture = instance.pixel_array.astype(np.uint16)
        picture[20:60:3, 30:90] |= 1 << 12
        regrid.put(instance, picture)
        instance.BitsStored, instance.HighBit = 16, 15  # the encoder sees all sixteen
        instance.compress(JPEG2000Lossless, generate_instance_uid=False)
        instance.BitsStored, instance.HighBit = 12, 11
        instance.add_new(0x60000102, "US", 12)

    return write(fresh(series, change), folder)

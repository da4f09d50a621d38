"""A stored file → its dataset, within limits: what every reader of files here uses."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn

from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom_node.decode import attribute_values
from dicom_node.decode.delimiter_repair import repaired
from dicom_node.decode.machine_trouble import (
    raise_for_machine,
    raising_machine_trouble,
)
from dicom_node.decode.walk_dataset import (
    PIXEL_DATA,
    DatasetWalk,
    OverLimitError,
    StructureLimits,
    Walked,
)
from dicom_node.errors import SeriesRejectedError

_PREAMBLE_BYTES = 128
_IMPLICIT_LITTLE = "1.2.840.10008.1.2"
_EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_SYNTAX = 0x00020010
_STORED_UID = 0x00020003
"""Media Storage SOP Instance UID, which names a file whose dataset cannot be read."""
_META_GROUP = 0x0002
_IDENTIFYING_GROUP = 0x0008
_MAX_META_BYTES = 2**16
_MAX_FIRST_BYTES = 255
"""Of the first element of a file without preamble: a UID, a length, a character set."""
_BUFFER_BYTES = 2**16

_SOP_INSTANCE_UID = 0x00080018
_SIZE_TAGS = {
    "rows": 0x00280010,
    "columns": 0x00280011,
    "samples": 0x00280002,
    "bits": 0x00280100,
}
_NUMBER_OF_FRAMES = 0x00280008
_WANTED = frozenset({_SOP_INSTANCE_UID, _NUMBER_OF_FRAMES, *_SIZE_TAGS.values()})
_BITS_PER_BYTE = 8

_HEADER_BYTES = 2**24
"""Of a deflated dataset without its pixels."""

_BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    RecursionError,
    InvalidDicomError,
    *attribute_values.UNREADABLE,
)
_KINDS = {
    zlib.error: "the deflate stream is broken",
    EOFError: "the data are cut off",
    RecursionError: "sequences are nested too deep",
}


class NotDicomError(Exception):
    """A file that is not DICOM; never meant for the operator."""


class BrokenDicomError(NotDicomError):
    """A file that begins as DICOM and cannot be read up to its pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """How much one stored file may hold.

    Parameters
    ----------
    inflated_bytes
        Of a deflated dataset, whatever its header tells.
    structure
        Depth, number and length of elements.
    """

    inflated_bytes: int = 2**28
    structure: StructureLimits = field(default_factory=StructureLimits)


DEFAULT_LIMITS = ReadLimits()


def limits_of(max_inflated_mb: int) -> ReadLimits:
    """Return the limits that a setting asks for."""
    return ReadLimits(inflated_bytes=max_inflated_mb * 2**20)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredFile:
    """A file as read.

    Parameters
    ----------
    elements
        How many it holds, with those in sequences.
    has_pixels
        Whether Pixel Data (7FE0,0010) begins.
    is_mended
        Whether delimiters of its sequences were missing or astray.
    """

    dataset: FileDataset
    elements: int
    has_pixels: bool
    is_mended: bool = False


def read_file(
    path: Path,
    *,
    tags: Sequence[str | int] | None = None,
    with_pixels: bool = False,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> StoredFile:
    """Read one file that somebody else has written.

    Parameters
    ----------
    tags
        Keywords, or tags, of the attributes that are kept; None keeps all.
    with_pixels
        Whether Pixel Data and what follows is read.

    Raises
    ------
    NotDicomError
        If the file is not DICOM; `BrokenDicomError` if it begins as such and cannot be
        read.
    SeriesRejectedError
        `over_limit`, with the SOP Instance UID as far as it is known.
    InstanceMissingError
        If there is no such file.
    MachineTroubleError
        If the machine is short of memory, of descriptors or of disk.
    """
    with (
        raising_machine_trouble(),
        config.disable_value_validation(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        with path.open("rb", buffering=_BUFFER_BYTES) as file:
            reader = _Reader(path, file, limits)
            try:
                return reader.read(tags, with_pixels=with_pixels)
            except _BROKEN as error:
                raise_for_machine(error)
                # Only the kind of error: its text may quote the dataset.
                kind = reader.unended or _KINDS.get(type(error), type(error).__name__)
                message = f"{reader.instance}: {kind}"
                raise BrokenDicomError(message) from error


@contextmanager
def broken_if_unreadable() -> Iterator[None]:
    """Raise what pydicom raises on the bytes of an element as `BrokenDicomError`."""
    try:
        yield
    except _BROKEN as error:
        raise_for_machine(error)
        raise BrokenDicomError(type(error).__name__) from error


class _Reader:
    """Reads one open file."""

    def __init__(self, path: Path, file: BinaryIO, limits: ReadLimits) -> None:
        self._path = path
        self._file = file
        self._limits = limits
        self._uid = ""
        self.unended = ""

    @property
    def instance(self) -> str:
        """The instance in the words of a message."""
        return f"instance {self._uid}" if self._uid else "an instance"

    def read(
        self, tags: Sequence[str | int] | None, *, with_pixels: bool
    ) -> StoredFile:
        has_preamble = self._seek_meta()
        syntax = self._syntax()
        wanted: list[BaseTag | int] | None = (
            None if tags is None else [Tag(keyword) for keyword in tags]
        )
        if syntax == _DEFLATED:
            content = self._inflated()
            found = self._walk(content, syntax, stop_at_pixels=not with_pixels)
            dataset = FileDataset(
                self._path,
                read_dataset(
                    _from_start(content, found),
                    is_implicit_VR=False,
                    is_little_endian=True,
                    stop_when=None if with_pixels else _begins_pixels,
                    specific_tags=wanted,
                ),
                preamble=bytes(_PREAMBLE_BYTES),
                file_meta=read_file_meta_info(self._path),
                is_implicit_VR=False,
                is_little_endian=True,
            )
        else:
            found = self._walk(self._file, syntax, stop_at_pixels=not with_pixels)
            if not has_preamble and _SOP_INSTANCE_UID not in found.values:
                message = "no DICM prefix, and no SOP Instance UID"
                raise NotDicomError(message)
            dataset = dcmread(
                _from_start(self._file, found),
                stop_before_pixels=not with_pixels,
                specific_tags=wanted,
                force=not has_preamble,
            )
            if not has_preamble and syntax == "":
                _name_syntax(dataset)
        return StoredFile(
            dataset=dataset,
            elements=found.elements,
            has_pixels=found.pixels_at is not None,
            is_mended=bool(found.repairs),
        )

    def _seek_meta(self) -> bool:
        """Go to the file meta information; return whether the preamble is there.

        Files without one begin with it, or with the dataset itself.
        """
        head = self._file.read(_PREAMBLE_BYTES + 4)
        if head[_PREAMBLE_BYTES:] == b"DICM":
            return True
        if not _begins_as_dataset(head):
            message = "no DICM prefix"
            raise NotDicomError(message)
        self._file.seek(0)
        return False

    def _syntax(self) -> str:
        """Read the transfer syntax and go behind the file meta information."""
        syntax, begin = "", self._file.tell()
        while len(head := self._file.read(8)) == 8:  # noqa: PLR2004 - an element's header
            group, element, vr, length = struct.unpack("<HH2sH", head)
            if group != _META_GROUP:
                self._file.seek(-8, io.SEEK_CUR)
                break
            if vr in (b"OB", b"UN"):
                (length,) = struct.unpack("<I", self._file.read(4))
            elif not b"AA" <= vr <= b"ZZ":  # implicit, which some senders write
                (length,) = struct.unpack("<I", head[4:])
            if self._file.tell() + length - begin > _MAX_META_BYTES:
                self._refuse(f"file meta information above {_MAX_META_BYTES} bytes")
            value = self._file.read(length)
            if group << 16 | element == _SYNTAX:
                syntax = value.decode("latin-1").strip("\0 ")
            elif group << 16 | element == _STORED_UID:
                self._know(value)
        return syntax

    def _walk(self, content: BinaryIO, syntax: str, *, stop_at_pixels: bool) -> Walked:
        walk = DatasetWalk(
            content,
            implicit=syntax in ("", _IMPLICIT_LITTLE),
            big=syntax == _EXPLICIT_BIG,
            limits=self._limits.structure,
            wanted=_WANTED,
        )
        try:
            found = walk.run(stop_at_pixels=stop_at_pixels)
        except OverLimitError as error:
            self._know(walk.found.values.get(_SOP_INSTANCE_UID, b""))
            self._refuse(str(error))
        self._know(found.values.get(_SOP_INSTANCE_UID, b""))
        if found.unended:
            group, element = found.unended >> 16, found.unended & 0xFFFF
            self.unended = f"sequence ({group:04X},{element:04X}) has no end"
        return found

    def _know(self, value: bytes) -> None:
        """Keep a UID for messages; anything else might be a text about the patient."""
        uid = value.decode("latin-1").strip("\0 ")
        if uid and set(uid) <= set("0123456789."):
            self._uid = uid

    def _refuse(self, what: str) -> NoReturn:
        raise SeriesRejectedError(reason="over_limit", text=f"{self.instance}: {what}")

    def _inflated(self) -> io.BytesIO:
        """Inflate what follows, as far as the header and the setting allow.

        References
        ----------
        PS3.5 A.5: the dataset behind the file meta information is one deflate stream.
        """
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        limit = self._limits.inflated_bytes
        head = stream.decompress(self._file.read(), min(_HEADER_BYTES, limit))
        if stream.eof:
            return io.BytesIO(head)
        found = self._walk(io.BytesIO(head), _DEFLATED, stop_at_pixels=True)
        if found.pixels_at is None and len(head) == min(_HEADER_BYTES, limit):
            self._refuse(f"inflates to more than {len(head)} bytes without pixels")
        needed = found.pixels_at or 0
        needed += _pixel_bytes(found) + _HEADER_BYTES
        allowed = min(limit, needed)
        rest = stream.decompress(
            stream.unconsumed_tail, max(allowed - len(head), 0) + 1
        )
        if len(head) + len(rest) > allowed:
            self._refuse(
                f"inflates to more than {allowed} bytes "
                f"(its header needs {needed}, the setting allows {limit})"
            )
        if not stream.eof:
            message = "the deflate stream is cut off"
            raise EOFError(message)
        return io.BytesIO(head + rest)


def _pixel_bytes(found: Walked) -> int:
    """Return how many bytes of pixels a header tells of."""
    rows, columns, samples, bits = (
        int.from_bytes(found.values.get(tag, b"")[:2], "little")
        for tag in _SIZE_TAGS.values()
    )
    frames = found.values.get(_NUMBER_OF_FRAMES, b"").strip(b"\0 ")
    count = int(frames) if frames.isdigit() else 1
    return rows * columns * max(samples, 1) * count * bits // _BITS_PER_BYTE


def _from_start(content: BinaryIO, found: Walked) -> BinaryIO:
    """Return a file from its beginning, with its delimiters set right."""
    content.seek(0)
    if not found.repairs:
        return content
    return io.BytesIO(repaired(content.read(), found.repairs))


def _begins_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) == PIXEL_DATA


def _begins_as_dataset(head: bytes) -> bool:
    """Tell whether bytes without a preamble begin with an element of DICOM."""
    if len(head) < _PREAMBLE_BYTES:
        return False
    group, element, vr, short = struct.unpack_from("<HH2sH", head)
    (long,) = struct.unpack_from("<I", head, 4)
    if group not in (_META_GROUP, _IDENTIFYING_GROUP) or element > 0x1000:  # noqa: PLR2004
        return False
    is_explicit = vr.isalpha() and vr.isupper() and short <= _MAX_FIRST_BYTES
    return bool(long <= _MAX_META_BYTES or is_explicit)


def _name_syntax(dataset: Dataset) -> None:
    """Write down how a dataset without file meta information was read."""
    implicit, little = dataset.original_encoding
    dataset.file_meta.TransferSyntaxUID = (
        ImplicitVRLittleEndian
        if implicit
        else ExplicitVRLittleEndian
        if little
        else ExplicitVRBigEndian
    )

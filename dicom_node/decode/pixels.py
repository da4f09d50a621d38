"""Pixel data of the instances → rescaled values."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from dicom_node.decode import attribute_values, decoder_process
from dicom_node.decode.codestream_size import codestream_size
from dicom_node.decode.machine_trouble import raise_for_machine
from dicom_node.errors import MachineTroubleError, PixelDataError

_UNDECODABLE = (
    *attribute_values.UNREADABLE,
    RuntimeError,
    OSError,
    EOFError,
    MemoryError,
)
"""What pydicom and its decoders (GDCM, CharLS, OpenJPEG) raise on broken pixel data."""

_PLUGINS = {
    RLELossless: "pydicom",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
}
"""One decoder each: left to choose, pydicom tries the next on broken data, and GDCM
then ends the process."""
_ISOLATED = frozenset(
    {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1}
)
_CODESTREAM_END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS, EOC of JPEG 2000: without it the picture was cut, and a
decoder may fill the rest in silence."""
_ISOLATED_TIMEOUT_S = 120.0
_ENDED_BY_MACHINE = frozenset(
    {
        decoder_process.MACHINE_TROUBLE,
        -signal.SIGKILL,  # as the kernel does when memory runs out
        -signal.SIGTERM,
        -signal.SIGINT,
        -signal.SIGXCPU,
    }
)
"""Exit codes for which the picture is not to blame; of broken data the decoder dies by
SIGSEGV or SIGABRT."""

_BITS_ALLOCATED = (8, 16)
_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2")
_NEEDED = {
    "BitsAllocated": "Bits Allocated",
    "BitsStored": "Bits Stored",
    "PixelRepresentation": "Pixel Representation",
    "PhotometricInterpretation": "Photometric Interpretation",
    "SamplesPerPixel": "Samples per Pixel",
}
_OF_PIXELS = (*_NEEDED, "Rows", "Columns", "HighBit", "NumberOfFrames", "PixelData")
"""What a decoder needs."""
_BITS_PER_BYTE = 8


def check_description(dataset: Dataset) -> None:
    """Refuse a dataset whose image pixel attributes cannot be those of MR.

    Takes a blank Number of Frames away.

    Raises
    ------
    PixelDataError
        `no_pixel_data`, `unsupported_pixels`, `bad_rescale`.

    References
    ----------
    PS3.3 C.8.3.1.1, MR Image module: one sample, MONOCHROME1 or MONOCHROME2, 16 bits
    allocated; 8 bits occur in derived pictures.
    """
    if not isinstance(attribute_values.raw(dataset, "PixelData"), bytes):
        raise PixelDataError(
            reason="no_pixel_data", text="an instance has no pixel data"
        )
    if not attribute_values.text(dataset, "NumberOfFrames"):
        dataset.pop("NumberOfFrames", None)  # blank: one frame, as where it is absent
    absent = [
        name for key, name in _NEEDED.items() if not attribute_values.text(dataset, key)
    ]
    if absent:
        text = f"missing from the dataset: {', '.join(absent)}"
        raise PixelDataError(reason="unsupported_pixels", text=text)
    bits, stored, samples = (
        attribute_values.whole(dataset, key)
        for key in ("BitsAllocated", "BitsStored", "SamplesPerPixel")
    )
    photometric = attribute_values.text(dataset, "PhotometricInterpretation")
    if bits not in _BITS_ALLOCATED or photometric not in _PHOTOMETRIC or samples != 1:
        text = (
            f"pixels are {photometric[:16]}, {bits} bits, {samples} samples; expected "
            "MONOCHROME1 or 2, 8 or 16 bits, 1 sample"
        )
        raise PixelDataError(reason="unsupported_pixels", text=text)
    if stored is None or not 0 < stored <= bits:
        text = f"{stored} of {bits} bits are stored; expected 1 to {bits}"
        raise PixelDataError(reason="unsupported_pixels", text=text)
    _check_scale(dataset, photometric)


def _check_scale(dataset: Dataset, photometric: str) -> None:
    """Refuse grey values that are no straight line of the signal, or run both ways.

    References
    ----------
    PS3.3 C.11.1.1.2: a Modality LUT Sequence stands in place of slope and intercept,
    and MR has none. C.11.6.1.2: INVERSE belongs to MONOCHROME1 alone.
    """
    if attribute_values.items(dataset, "ModalityLUTSequence"):
        text = "a table gives the values (Modality LUT Sequence), in place of a slope"
        raise PixelDataError(reason="bad_rescale", text=text)
    shape = attribute_values.text(dataset, "PresentationLUTShape")
    if shape == "INVERSE" and photometric != "MONOCHROME1":
        text = (
            "Presentation LUT Shape INVERSE and Photometric Interpretation MONOCHROME2 "
            "contradict each other: bright may be dark"
        )
        raise PixelDataError(reason="unsupported_pixels", text=text)


def decode(instances: Sequence[Dataset]) -> Iterator[NDArray[np.generic]]:
    """Decode the stored values of each instance in turn.

    Parameters
    ----------
    instances
        As read from their files.

    Yields
    ------
    ndarray, shape (frames, rows, columns)
        Stored values, as integers.

    Raises
    ------
    PixelDataError
        `unreadable_pixels` if they are truncated or broken, or their transfer syntax
        has no decoder.
    MachineTroubleError
        If memory or time run out, or the decoder's process is ended from outside.
    """
    apart = [each for each in instances if _syntax(each) in _ISOLATED]
    decoded_apart = iter(_decode_isolated(apart) if apart else ())
    for instance in instances:
        if _syntax(instance) in _ISOLATED:
            stored = next(decoded_apart)
        else:
            stored = _decode_here(instance)
        yield stored.reshape(-1, *stored.shape[-2:])


def _syntax(instance: Dataset) -> UID:
    return UID(attribute_values.text(instance.file_meta, "TransferSyntaxUID"))


def _unreadable(syntax: UID, why: str) -> PixelDataError:
    text = f"pixel data ({syntax.name or 'no syntax'}) cannot be decoded: {why}"
    return PixelDataError(reason="unreadable_pixels", text=text)


def _decode_here(instance: Dataset) -> NDArray[np.generic]:
    syntax = _syntax(instance)
    try:
        _check_complete(instance, syntax)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            instance.pixel_array_options(
                decoding_plugin=_PLUGINS.get(syntax, ""), correct_unused_bits=False
            )
            stored: NDArray[np.generic] = instance.pixel_array
    except _UNDECODABLE as error:
        raise_for_machine(error)
        raise _unreadable(syntax, type(error).__name__) from error
    return stored


def _check_complete(instance: Dataset, syntax: UID) -> None:
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise _unreadable(syntax, "the transfer syntax is not known")
    if not syntax.is_encapsulated:
        _check_length(instance, syntax)
        return
    if syntax == RLELossless:
        return
    frames = attribute_values.whole(instance, "NumberOfFrames") or 1
    for codestream in generate_frames(instance.PixelData, number_of_frames=frames):
        end = codestream.rfind(_CODESTREAM_END)
        behind = codestream[end + len(_CODESTREAM_END) :].rstrip(b"\0")
        if end < 0 or len(set(behind)) > 1:  # padding is one byte, again and again
            raise _unreadable(syntax, "truncated")
        _check_size(instance, codestream, syntax)


def _check_size(instance: Dataset, codestream: bytes, syntax: UID) -> None:
    """Refuse a code stream of another size before a decoder makes room for it."""
    stated = codestream_size(codestream)
    rows, columns = (
        attribute_values.whole(instance, key) or 0 for key in ("Rows", "Columns")
    )
    if stated is not None and stated != (rows, columns):
        why = f"the code stream is of {stated[0]} x {stated[1]}"
        raise _unreadable(syntax, f"{why}, the header tells {rows} x {columns}")


def _check_length(instance: Dataset, syntax: UID) -> None:
    rows, columns, bits = (
        attribute_values.whole(instance, key) or 0
        for key in ("Rows", "Columns", "BitsAllocated")
    )
    stated = attribute_values.whole(instance, "NumberOfFrames")
    if stated is None and attribute_values.raw(instance, "NumberOfFrames") is not None:
        raise _unreadable(syntax, "Number of Frames is not a number")
    frames = stated or 1
    needed = rows * columns * frames * bits // _BITS_PER_BYTE
    found = len(instance.PixelData)
    if found < needed or frames < 1:
        why = f"{found} bytes are there, {frames} frames of {rows} x {columns} need"
        raise _unreadable(syntax, f"{why} {needed}")


def _decode_isolated(instances: Sequence[Dataset]) -> list[NDArray[np.generic]]:
    """Decode in a child process, which may die of what it reads."""
    syntax = _syntax(instances[0])
    try:
        for instance in instances:
            _check_complete(instance, _syntax(instance))
        child = subprocess.run(  # noqa: S603 - our own script, no shell
            [sys.executable, "-I", decoder_process.__file__, str(os.getpid())],
            input=b"".join(map(_pixel_file, instances)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_ISOLATED_TIMEOUT_S,
            check=True,
        )
        arrays = io.BytesIO(child.stdout)
        return [np.load(arrays, allow_pickle=False) for _ in instances]
    except subprocess.TimeoutExpired as error:
        message = f"the decoder did not end within {_ISOLATED_TIMEOUT_S:.0f} s"
        raise MachineTroubleError(message) from error
    except subprocess.CalledProcessError as error:
        if error.returncode in _ENDED_BY_MACHINE:
            message = f"the decoder was ended from outside ({error.returncode})"
            raise MachineTroubleError(message) from error
        raise _unreadable(syntax, "the decoder gave up") from error
    except _UNDECODABLE as error:
        raise_for_machine(error)
        raise _unreadable(syntax, type(error).__name__) from error


def _pixel_file(instance: Dataset) -> bytes:
    """Return a file of the pixels alone, behind its length.

    Not the file that came: its delimiters may have been set right in memory.
    """
    pixels = Dataset()
    for keyword in _OF_PIXELS:
        if keyword in instance:
            pixels[keyword] = instance[keyword]
    pixels.file_meta = FileMetaDataset()
    pixels.file_meta.TransferSyntaxUID = _syntax(instance)
    content = io.BytesIO()
    pixels.save_as(content)
    return len(content.getbuffer()).to_bytes(8, "little") + content.getvalue()


def rescale(
    stored: NDArray[np.generic], dataset: Dataset, frame: Dataset
) -> NDArray[np.float32]:
    """Apply the Modality LUT of one frame; bright stays bright.

    Parameters
    ----------
    stored : ndarray, shape (rows, columns)
        Stored values.
    dataset
        Its instance.
    frame
        Its functional groups.

    Raises
    ------
    PixelDataError
        `bad_rescale` if slope or intercept are not usable numbers.

    References
    ----------
    PS3.3 C.11.1 (Modality LUT), C.7.6.3.1.2 (MONOCHROME1 shows the minimum white; we
    mirror the stored range, so that values rise with brightness as in MONOCHROME2).
    """
    out = stored.astype(np.float32)
    if attribute_values.text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        out = np.float32(_stored_range_sum(dataset)) - out
    transformation = attribute_values.item(frame, "PixelValueTransformationSequence")
    slope = _factor(transformation, "RescaleSlope", 1.0)
    intercept = _factor(transformation, "RescaleIntercept", 0.0)
    if slope == 0:
        raise PixelDataError(reason="bad_rescale", text="Rescale Slope is 0")
    if (slope, intercept) != (1.0, 0.0):
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks
            out *= np.float32(slope)
            out += np.float32(intercept)
    return out


def _factor(dataset: Dataset, keyword: str, default: float) -> float:
    if attribute_values.raw(dataset, keyword) is None:
        return default
    found = attribute_values.number(dataset, keyword)
    if found is None:
        raise PixelDataError(reason="bad_rescale", text=f"{keyword} is not a number")
    return found


def _stored_range_sum(dataset: Dataset) -> int:
    """Return smallest plus largest stored value that the bits allow."""
    bits = attribute_values.whole(dataset, "BitsStored") or attribute_values.whole(
        dataset, "BitsAllocated"
    )
    signed = attribute_values.whole(dataset, "PixelRepresentation") == 1
    return -1 if signed else 2 ** (bits or 0) - 1

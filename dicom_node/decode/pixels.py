"""Pixel data of one instance → rescaled values."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicom_node.decode import values
from dicom_node.errors import PixelDataError

_UNDECODABLE = (
    *values.UNREADABLE,
    RuntimeError,
    OSError,
    EOFError,
    MemoryError,
)
"""What pydicom and its decoders (GDCM, CharLS, OpenJPEG) raise on broken pixel data."""

_BITS_ALLOCATED = (8, 16)
_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2")


def check_description(dataset: Dataset) -> None:
    """Refuse a dataset whose image pixel attributes cannot be those of MR.

    Raises
    ------
    PixelDataError
        `no_pixel_data`, `unsupported_pixels`.

    References
    ----------
    PS3.3 C.8.3.1.1, MR Image module: one sample, MONOCHROME1 or MONOCHROME2, 16 bits
    allocated; 8 bits occur in derived pictures.
    """
    if "PixelData" not in dataset:
        raise PixelDataError(
            reason="no_pixel_data", text="an instance has no pixel data"
        )
    bits = values.whole(dataset, "BitsAllocated")
    photometric = values.text(dataset, "PhotometricInterpretation")
    samples = values.whole(dataset, "SamplesPerPixel")
    if (
        bits not in _BITS_ALLOCATED
        or photometric not in _PHOTOMETRIC
        or samples not in {None, 1}
    ):
        text = (
            f"pixels are {photometric[:16] or 'of unknown kind'}, {bits} bits, "
            f"{samples} samples; expected MONOCHROME1 or 2, 8 or 16 bits, 1 sample"
        )
        raise PixelDataError(reason="unsupported_pixels", text=text)


def decode(dataset: Dataset) -> NDArray[np.generic]:
    """Decode the stored values of all frames of one instance.

    Returns
    -------
    ndarray, shape (frames, rows, columns)
        Stored values, as integers.

    Raises
    ------
    PixelDataError
        `unreadable_pixels` if they are truncated or broken, or their transfer syntax
        has no decoder.
    """
    syntax = UID(values.text(dataset.file_meta, "TransferSyntaxUID"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored: NDArray[np.generic] = dataset.pixel_array
    except _UNDECODABLE as error:
        text = (
            f"pixel data ({syntax.name}) cannot be decoded: truncated, broken or "
            f"without a decoder here ({type(error).__name__})"
        )
        raise PixelDataError(reason="unreadable_pixels", text=text) from error
    return stored.reshape(-1, *stored.shape[-2:])


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
    if values.text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        out = np.float32(_stored_range_sum(dataset)) - out
    transformation = values.item(frame, "PixelValueTransformationSequence")
    slope = _factor(transformation, "RescaleSlope", 1.0)
    intercept = _factor(transformation, "RescaleIntercept", 0.0)
    if slope == 0:
        raise PixelDataError(reason="bad_rescale", text="Rescale Slope is 0")
    if (slope, intercept) != (1.0, 0.0):
        out *= np.float32(slope)
        out += np.float32(intercept)
    return out


def _factor(dataset: Dataset, keyword: str, default: float) -> float:
    if values.raw(dataset, keyword) is None:
        return default
    found = values.number(dataset, keyword)
    if found is None:
        raise PixelDataError(reason="bad_rescale", text=f"{keyword} is not a number")
    return found


def _stored_range_sum(dataset: Dataset) -> int:
    """Return smallest plus largest stored value that the bits allow."""
    bits = values.whole(dataset, "BitsStored") or values.whole(dataset, "BitsAllocated")
    signed = values.whole(dataset, "PixelRepresentation") == 1
    return -1 if signed else 2 ** (bits or 0) - 1

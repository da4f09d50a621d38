"""How large a picture a code stream announces, before a decoder makes room for it.

References
----------
ISO/IEC 10918-1 B.2.2 (JPEG), 14495-1 C.2.2 (JPEG-LS): SOF holds lines and samples a
line. ISO/IEC 15444-1 A.5.1 (JPEG 2000): SIZ holds the reference grid and its offset.
"""

from __future__ import annotations

import struct

_JPEG_2000 = b"\xff\x4f\xff\x51"
_JPEG = b"\xff\xd8"
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xF7})
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def codestream_size(codestream: bytes) -> tuple[int, int] | None:
    """Return rows and columns; None where no header tells them.

    Parameters
    ----------
    codestream
        JPEG, JPEG-LS or JPEG 2000; a JP2 box before the latter is passed over.
    """
    try:
        if codestream.startswith(_JPEG):
            return _of_jpeg(codestream)
        begin = codestream.find(_JPEG_2000)
        if begin < 0:
            return None
        width, height, left, top = struct.unpack_from(">4I", codestream, begin + 8)
    except struct.error:
        return None
    return height - top, width - left


def _of_jpeg(codestream: bytes) -> tuple[int, int] | None:
    at = len(_JPEG)
    while True:
        marker, kind = struct.unpack_from(">BB", codestream, at)
        if marker != 0xFF:  # noqa: PLR2004 - every marker begins so
            return None
        if kind in _FRAMES:
            rows, columns = struct.unpack_from(">HH", codestream, at + 5)
            return rows, columns
        at += 2
        if kind == 0xFF:  # noqa: PLR2004 - a fill byte before a marker
            at -= 1
        elif kind not in _WITHOUT_LENGTH:
            (length,) = struct.unpack_from(">H", codestream, at)
            at += max(length, 2)

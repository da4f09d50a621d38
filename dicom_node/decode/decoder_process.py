"""Decode pixels in a process of its own: `python -I decoder_process.py < PIXELS`.

GDCM, the only decoder for lossless JPEG under a licence that we can ship, dies of
broken data with the process that it runs in. On standard input DICOM files follow each
other, each behind its length in 8 bytes, little endian; the arrays follow each other on
standard output in NumPy's format. This file imports nothing of the node, so that it
runs as a script.
"""

from __future__ import annotations

import io
import sys
import warnings

import numpy as np
from pydicom import dcmread

PLUGIN = "gdcm"
MACHINE_TROUBLE = 75
"""Exit code for want of memory or disk (EX_TEMPFAIL of sysexits.h)."""


def main() -> None:
    """Write the stored values of every file."""
    warnings.simplefilter("ignore")
    files = sys.stdin.buffer
    while length := files.read(8):
        file = io.BytesIO(files.read(int.from_bytes(length, "little")))
        dataset = dcmread(file, force=True)  # it has no preamble
        dataset.pixel_array_options(decoding_plugin=PLUGIN, correct_unused_bits=False)
        content = (
            io.BytesIO()
        )  # NumPy writes to a file by its position; a pipe has none
        np.save(content, dataset.pixel_array, allow_pickle=False)
        sys.stdout.buffer.write(content.getbuffer())


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        sys.exit(MACHINE_TROUBLE)
    except OSError as error:
        # pydicom raises it without a number on a dataset that breaks off.
        sys.exit(1 if error.errno is None else MACHINE_TROUBLE)

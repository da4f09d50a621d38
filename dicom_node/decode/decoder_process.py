"""Decode pixels in a process of its own: `python -I decoder_process.py PID < PIXELS`.

GDCM, the only decoder for lossless JPEG under a licence that we can ship, dies of
broken data with the process that it runs in. On standard input DICOM files follow each
other, each behind its length in 8 bytes, little endian; the arrays follow each other on
standard output in NumPy's format. It ends with the process PID that started it, for
some broken data keep a decoder busy for ever. This file imports nothing of the node, so
that it runs as a script.
"""

from __future__ import annotations

import ctypes
import io
import os
import signal
import sys
import warnings

import numpy as np
from pydicom import dcmread

PLUGIN = "gdcm"
MACHINE_TROUBLE = 75
"""Exit code for want of memory or disk (EX_TEMPFAIL of sysexits.h)."""

_PR_SET_PDEATHSIG = 1
"""Of prctl(2)."""


def end_with(parent: int) -> None:
    """Let the kernel end this process with the one that waits for it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(MACHINE_TROUBLE)  # it was quicker


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
        end_with(int(sys.argv[1]))
        main()
    except MemoryError:
        sys.exit(MACHINE_TROUBLE)
    except OSError as error:
        # pydicom raises it without a number on a dataset that breaks off.
        sys.exit(1 if error.errno is None else MACHINE_TROUBLE)

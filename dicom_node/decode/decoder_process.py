"""Decode files in a process of its own: `python -I decoder_process.py FILE …`.

GDCM, the only decoder for lossless JPEG under a licence that we can ship, dies of
broken data with the process that it runs in. The arrays follow each other on standard
output in NumPy's format. This file imports nothing of the node, so that it runs as a
script.
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
    """Write the stored values of every file named."""
    warnings.simplefilter("ignore")
    for path in sys.argv[1:]:
        dataset = dcmread(path)
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

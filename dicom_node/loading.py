"""Libraries and networks loaded without a look for garbage every few hundred objects.

Nearly all that an import makes stays until the process ends, and Python looks through
it again and again: a fifth of the time until a worker was ready to measure.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Load what stays; no later look for garbage goes through it either.

    What is garbage by then stays as well: 1,400 objects, less than a megabyte, of all
    that a worker loads.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()

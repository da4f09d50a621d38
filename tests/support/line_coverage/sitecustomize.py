"""Counts the lines that a process runs of our packages, if it is asked to.

Python imports this at the start of each process that has its folder on the path, also
of those that a node starts. SlipCover replaces each line that has been counted often
enough by itself, so that what is counted costs little; a tracer slows down every call,
also those of libraries.
"""

from __future__ import annotations

import os

COUNTS = "LUMBAR_LINE_COUNTS"
"""The folder into which each process writes what it ran, at its end."""
PACKAGES = "LUMBAR_LINES_OF"
"""The folder in which the packages lie; copies elsewhere are not counted."""
OMITTED = "*/analysis/training/*"


def count_lines(folder: str, site: str) -> None:
    """Count from now on, and write the counts when this process ends."""
    import atexit
    import json
    import signal
    import time
    from pathlib import Path

    from slipcover import FileMatcher, ImportManager, Slipcover

    counter = Slipcover(branch=True)
    ours = FileMatcher(
        sources=[Path(site) / "dicom_node", Path(site) / "analysis"], omit=[OMITTED]
    )
    ImportManager(counter, ours).__enter__()
    told = Path(folder) / f"{os.getpid()}-{time.time_ns()}.json"  # ids come again
    end_at_once = os._exit

    def write() -> None:
        # What it has seen and no more: some processes have half a second to end.
        with counter.lock:
            seen = [counter.all_seen, counter._get_newly_seen()]
        lines = [[path, *found] for part in seen for path, found in part.items()]
        told.write_text(json.dumps(lines))

    def write_and_end(status: int) -> None:
        write()
        end_at_once(status)

    def write_and_obey(received: int, _frame: object) -> None:
        write()
        signal.signal(received, signal.SIG_DFL)
        os.kill(os.getpid(), received)

    # Until the process says itself what the signal means.
    signal.signal(signal.SIGTERM, write_and_obey)
    atexit.register(write)
    os._exit = write_and_end  # type: ignore[assignment]


if COUNTS in os.environ:
    count_lines(os.environ[COUNTS], os.environ[PACKAGES])

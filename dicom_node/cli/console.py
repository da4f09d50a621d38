"""What a person at a terminal, or a program behind a pipe, gets to read."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def say(text: str) -> None:
    """Write a line of the answer to standard output."""
    sys.stdout.write(f"{_printable(text)}\n")


def complain(text: str) -> None:
    """Write a line about what went wrong to standard error."""
    sys.stderr.write(f"{_printable(text)}\n")


def _printable(text: str) -> str:
    """Return a text without what would steer a terminal or cannot be encoded.

    UIDs and file names come from whoever sent them.
    """
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def progress(text: str) -> None:
    """Tell what is going on, if a person is watching."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def say_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write an answer for a program."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def say_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows in columns that are as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say("  ".join(cells).rstrip())

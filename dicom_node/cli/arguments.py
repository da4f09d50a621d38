"""What commands share: their help, arguments that several have, types of values."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TypeAlias

from dicom_node.jobs.job_filter import moment

_DEFAULT_CONFIG = Path("config/node.yaml")
MAX_THREADS = 64
_CONFIG_HELP = "settings of the node (default: %(default)s)"
EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 a peer cannot be "
    "reached, 4 no series is suitable."
)
Parser: TypeAlias = argparse.ArgumentParser
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(commands: Commands, name: str, text: str, about: str) -> Parser:
    """Add a command; `text` stands in the list of commands, `about` in its own help."""
    return commands.add_parser(name, help=text, description=about, epilog=EXIT_CODES)


def add_config(command: Parser) -> None:
    """Add the path of the settings."""
    command.add_argument(
        "--config", type=Path, default=_DEFAULT_CONFIG, help=_CONFIG_HELP
    )


def add_json(command: Parser) -> None:
    """Add the choice to print JSON."""
    command.add_argument("--json", action="store_true", help="print JSON, for programs")


def folder(text: str) -> Path:
    """Return a folder; an empty word is none."""
    if not text:  # a shell variable that is not set; `Path("")` is where we stand
        message = "is empty"
        raise argparse.ArgumentTypeError(message)
    return Path(text)


def moment_of(text: str) -> float:
    """Return when a date, a time or a span before now is, in seconds of the clock."""
    try:
        return moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def seconds(text: str) -> float:
    """Return a time in seconds, above 0 and finite."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        message = f"{text} is no time in seconds above 0"
        raise argparse.ArgumentTypeError(message)
    return number


def threads(text: str) -> int:
    """Return a number of threads."""
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= MAX_THREADS:
        message = f"{text} is not 1 to {MAX_THREADS}"
        raise argparse.ArgumentTypeError(message)
    return number

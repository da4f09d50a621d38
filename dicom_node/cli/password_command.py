"""`lumbar-node password USER`: a line for the password file of the page."""

from __future__ import annotations

import argparse
import getpass
import sys

from dicom_node.cli.console import complain, say
from dicom_node.cli.exit_code import ExitCode
from dicom_node.passwords import MOST_CHARS, line_of


def run_password(arguments: argparse.Namespace) -> ExitCode:
    """Ask for a password, twice at a terminal, and print the line of its user."""
    try:
        say(line_of(arguments.user, _asked()))
    except ValueError as error:
        complain(f"lumbar-node: {error}")
        return ExitCode.WRONG_USAGE
    return ExitCode.DONE


def _asked() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline(MOST_CHARS + 2).removesuffix("\n")
    password = getpass.getpass("password: ", sys.stderr)
    if getpass.getpass("the same again: ", sys.stderr) != password:
        message = "the two are not the same"
        raise ValueError(message)
    return password

"""`lumbar-node serve | receive | work`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.load_settings import read
from dicom_node.loading import loading


def run_serve(arguments: argparse.Namespace) -> ExitCode:
    """Run the node until it is told to stop."""
    with loading():
        from dicom_node.node.start import serve

    serve(read(arguments.config), arguments.config)
    return _ended()


def run_part(arguments: argparse.Namespace) -> ExitCode:
    """Run a part of a node on several machines until told to stop."""
    with loading():
        from dicom_node.node.start import receive, work

    run = {"receive": receive, "work": work}[arguments.command]
    run(read(arguments.config), arguments.config, machine=arguments.machine)
    return _ended()


def _ended() -> NoReturn:
    # Everything is closed. A thread that still waits for the answer of a peer would
    # keep the process from ending for as long as that peer's timeout.
    sys.stdout.flush()
    os._exit(ExitCode.DONE)

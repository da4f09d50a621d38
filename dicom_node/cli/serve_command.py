"""`lumbar-node serve`."""

from __future__ import annotations

import argparse
import os
import sys

from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.load_settings import read


def run_serve(arguments: argparse.Namespace) -> ExitCode:
    """Run the node until it is told to stop."""
    from dicom_node.node.supervisor import serve

    serve(read(arguments.config), arguments.config)
    # Everything is closed. A thread that still waits for the answer of a peer would
    # keep the process from ending for as long as that peer's timeout.
    sys.stdout.flush()
    os._exit(ExitCode.DONE)

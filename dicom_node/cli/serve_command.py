"""`lumbar-node serve`."""

from __future__ import annotations

import argparse

from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.load_settings import read


def run_serve(arguments: argparse.Namespace) -> ExitCode:
    """Run the node until it is told to stop."""
    from dicom_node.node.supervisor import serve

    serve(read(arguments.config))
    return ExitCode.DONE

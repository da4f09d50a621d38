"""`lumbar-node backup` and `lumbar-node restore`."""

from __future__ import annotations

import argparse

from dicom_node.cli.console import progress, say
from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.load_settings import read

_MIB = 2**20


def run_backup(arguments: argparse.Namespace) -> ExitCode:
    """Save all that a node owes, while it runs or not."""
    from dicom_node.node.backup import save

    settings = read(arguments.config)
    saved = save(settings, arguments.config, arguments.folder, progress)
    progress("")
    size = f"{saved.size_bytes / _MIB:.1f} MiB"
    say(f"saved {len(saved.files)} files, {size}, in {arguments.folder}")
    return ExitCode.DONE


def run_restore(arguments: argparse.Namespace) -> ExitCode:
    """Lay a backup into the empty spool of a node that is not running."""
    from dicom_node.node.restore import restore

    settings = read(arguments.config)
    owed = restore(arguments.folder, settings, progress)
    progress("")
    say(f"restored into {settings.spool.folder}; {owed} jobs are owed")
    say("start the node, and let no other one run on what was saved")
    return ExitCode.DONE

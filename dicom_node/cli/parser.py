"""The words of the command line: which commands there are, and what each takes."""

from __future__ import annotations

import argparse

from dicom_node import __version__
from dicom_node.cli.arguments import (
    EXIT_CODES,
    MAX_THREADS,
    Commands,
    add_command,
    add_config,
    add_json,
    folder,
    seconds,
    threads,
)
from dicom_node.cli.job_parser import add_jobs
from dicom_node.language import ENGLISH, LANGUAGES


def command_parser() -> argparse.ArgumentParser:
    """Return what reads the command line.

    What it reads has `command`, the name of the command, and `verb` for one of `jobs`.
    """
    parser = argparse.ArgumentParser(
        prog="lumbar-node",
        description="A DICOM node that measures lumbar discs on sagittal T2 MR. "
        "Research use; not for primary diagnosis.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add_services(commands)
    _add_analyse(commands)
    _add_questions(commands)
    _add_peers(commands)

    password = add_command(
        commands,
        "password",
        "print the line of a user for the page's password file",
        "Asks for a password of 12 characters or more, and prints the line that "
        "belongs into the file of ops.page.password_file: the name and a key made of "
        "the password, not the password itself.",
    )
    password.add_argument(
        "user", metavar="USER", help="name that the user logs in with"
    )
    _add_backup(commands)
    add_jobs(commands)
    return parser


def _add_services(commands: Commands) -> None:
    """Add what runs until it is told to stop."""
    serve = add_command(
        commands,
        "serve",
        "receive, analyse and answer",
        "Runs the whole node on this machine until it gets SIGTERM or SIGINT. SIGHUP "
        "reads the settings again. A series that was accepted is taken up again after "
        "any stop or crash.",
    )
    add_config(serve)
    for part, text, about in (
        (
            "receive",
            "receive for a node on several machines, or stand by",
            "Runs the receiving part of a node on several machines, which share a "
            "spool folder and a PostgreSQL database. One of them receives; the others "
            "stand by and take over when it dies.",
        ),
        (
            "work",
            "analyse and answer for a node on several machines",
            "Runs the working part of a node on several machines, which share a spool "
            "folder and a PostgreSQL database. As many may work as the load asks for.",
        ),
    ):
        command = add_command(commands, part, text, about)
        command.add_argument(
            "--machine",
            default="",
            metavar="NAME",
            help="name of this machine, as no other of the node has (the host name)",
        )
        add_config(command)


def _add_analyse(commands: Commands) -> None:
    """Add the command that needs neither a node nor its settings."""
    analyse = add_command(
        commands,
        "analyse",
        "measure a folder, without a PACS",
        "Measures the suitable series of a folder and writes SEG, SR, captures and "
        "report.json. It needs no running node, reads no settings and sends nothing.",
    )
    analyse.add_argument(
        "series_dir",
        type=folder,
        metavar="SERIES_DIR",
        help="folder with the DICOM files; those in folders within it count, too",
    )
    analyse.add_argument(
        "--out",
        type=folder,
        required=True,
        metavar="OUT",
        help="folder for the results; those of an earlier run are replaced",
    )
    analyse.add_argument(
        "--corrected",
        type=folder,
        metavar="SEG.dcm",
        help="measure from the outlines of a SEG, without the network",
    )
    analyse.add_argument(
        "--analysis",
        default="lumbar-mri",
        metavar="NAME",
        help="which analysis (default: %(default)s)",
    )
    analyse.add_argument(
        "--threads",
        type=threads,
        default=2,
        metavar="N",
        help=f"threads of the network, 1 to {MAX_THREADS} (default: %(default)s)",
    )
    analyse.add_argument(
        "--language",
        choices=sorted(LANGUAGES),
        default=ENGLISH,
        help="of captures and words in the report (default: %(default)s)",
    )


def _add_questions(commands: Commands) -> None:
    """Add what tells of this node and changes nothing."""
    check = add_command(
        commands,
        "check",
        "check installation and settings",
        "Checks all that serve needs: installation, settings, spool folder and disk, "
        "certificates, analyses and their weights. It touches no peer, and names "
        "every mistake in the settings with file, line and limit.",
    )
    check.add_argument(
        "--settings-only",
        action="store_true",
        help="read the settings, as a reload does, and look at nothing else",
    )
    add_config(check)
    add_json(check)

    status = add_command(
        commands,
        "status",
        "tell whether the node is ready, and what each check says",
        "Tells what /ready of the running node says; where ops is off, what can be "
        "seen from here. It ends with 0 if the node is ready, with 1 if a check "
        "failed, with 3 if the node answers no C-ECHO.",
    )
    add_config(status)
    add_json(status)

    describe = add_command(
        commands,
        "describe",
        "tell routes, peers and versions",
        "Prints versions, routes, peers, what the node accepts, and the code of "
        "everything that may be wrong with an input, with what to do.",
    )
    add_config(describe)
    add_json(describe)


def _add_peers(commands: Commands) -> None:
    """Add the commands that ask the node or a peer over the network."""
    echo = add_command(
        commands,
        "echo",
        "ask a peer, or the node, for an answer",
        "Asks a peer of any kind (DICOM, DICOMweb, FHIR, HL7) whether it answers.",
    )
    echo.add_argument(
        "peer",
        metavar="PEER",
        nargs="?",
        help="its name in the settings; left out, the node itself is asked",
    )
    add_config(echo)

    probe = add_command(
        commands,
        "probe",
        "tell which results a peer would accept, without sending any",
        "Proposes to an archive all that the routes send to it or ask of it, and "
        "prints what it accepts. Nothing is sent.",
    )
    probe.add_argument("peer", metavar="PEER", help="its name in the settings")
    add_config(probe)
    add_json(probe)

    test = add_command(
        commands,
        "test",
        "send the bundled series through the running node, and time it",
        "Sends the bundled series of a test patient through the running node, takes "
        "the results itself, and prints how long each step took.",
    )
    test.add_argument(
        "--peer",
        metavar="PEER",
        help="send the series and its results there too, as of a test patient",
    )
    test.add_argument(
        "--within",
        type=seconds,
        default=600.0,
        metavar="S",
        help="seconds after which it has failed (default: %(default)g)",
    )
    add_config(test)
    add_json(test)


def _add_backup(commands: Commands) -> None:
    for verb, text, about, what in (
        (
            "backup",
            "save all that the node owes, while it runs",
            "Saves every series that was acknowledged, with the state of its job, and "
            "the settings. The node may run. The backup holds patient data.",
            "folder for the backup, empty or not there yet",
        ),
        (
            "restore",
            "lay a backup into an empty spool",
            "Lays a backup into the empty spool folder and the database that the "
            "settings name. The node must not run.",
            "folder of the backup",
        ),
    ):
        command = add_command(commands, verb, text, about)
        command.add_argument("folder", type=folder, metavar="DIR", help=what)
        add_config(command)

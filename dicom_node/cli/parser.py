"""The words of the command line: which commands there are, and what each takes."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from dicom_node import __version__
from dicom_node.jobs.job_filter import moment
from dicom_node.language import ENGLISH, LANGUAGES
from dicom_node.records import JobState

_DEFAULT_CONFIG = Path("config/node.yaml")
_MAX_THREADS = 64
_CONFIG_HELP = "settings of the node (default: %(default)s)"


def command_parser() -> argparse.ArgumentParser:
    """Return what reads the command line.

    What it reads has `command`, the name of the command, and `verb` for one of `jobs`.
    """
    parser = argparse.ArgumentParser(
        prog="lumbar-node",
        description="A DICOM node that measures lumbar discs on sagittal T2 MR. "
        "Research use; not for primary diagnosis.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    serve = commands.add_parser("serve", help="receive, analyse and answer")
    _add_config(serve)
    _add_roles(commands)

    analyse = commands.add_parser("analyse", help="measure a folder, without a PACS")
    analyse.add_argument("series_dir", type=_folder, metavar="SERIES_DIR")
    analyse.add_argument("--out", type=_folder, required=True, metavar="OUT")
    analyse.add_argument(
        "--corrected",
        type=_folder,
        metavar="SEG.dcm",
        help="measure from the outlines of a SEG, without the network",
    )
    analyse.add_argument("--analysis", default="lumbar-mri", help="(%(default)s)")
    analyse.add_argument("--threads", type=_threads, default=2, help="(%(default)s)")
    analyse.add_argument(
        "--language", choices=sorted(LANGUAGES), default=ENGLISH, help="(%(default)s)"
    )

    check = commands.add_parser("check", help="check installation and settings")
    check.add_argument(
        "--settings-only",
        action="store_true",
        help="read the settings, as a reload does, and look at nothing else",
    )
    _add_config(check)
    _add_json(check)

    status = commands.add_parser(
        "status", help="tell whether the node is ready, and what each check says"
    )
    _add_config(status)
    _add_json(status)

    _add_peers(commands)

    describe = commands.add_parser("describe", help="tell routes, peers and versions")
    _add_config(describe)
    _add_json(describe)

    password = commands.add_parser(
        "password", help="print the line of a user for the page's password file"
    )
    password.add_argument("user", metavar="USER")

    _add_backup(commands)
    _add_jobs(
        commands.add_parser("jobs", help="look at jobs; retry, re-run or cancel them")
    )
    return parser


def _add_roles(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parts of `serve` that several machines of one node run."""
    for part, text in (
        ("receive", "receive for a node on several machines, or stand by"),
        ("work", "analyse and answer for a node on several machines"),
    ):
        command = commands.add_parser(part, help=text)
        how = "name of this machine, as no other of the node has (the host name)"
        command.add_argument("--machine", default="", metavar="NAME", help=how)
        _add_config(command)


def _add_peers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands that ask the node or a peer over the network."""
    echo = commands.add_parser("echo", help="ask a peer, or the node, for an answer")
    echo.add_argument(
        "peer",
        metavar="PEER",
        nargs="?",
        help="its name in the settings; left out, the node itself is asked",
    )
    _add_config(echo)

    probe = commands.add_parser(
        "probe", help="tell which results a peer would accept, without sending any"
    )
    probe.add_argument("peer", metavar="PEER", help="its name in the settings")
    _add_config(probe)
    _add_json(probe)

    test = commands.add_parser(
        "test", help="send the bundled series through the running node, and time it"
    )
    test.add_argument(
        "--peer",
        metavar="PEER",
        help="send the series and its results there too, as of a test patient",
    )
    test.add_argument(
        "--within", type=_seconds, default=600.0, metavar="S", help="(%(default)s)"
    )
    _add_config(test)
    _add_json(test)


def _add_backup(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for verb, text in (
        ("backup", "save all that the node owes, while it runs"),
        ("restore", "lay a backup into an empty spool"),
    ):
        command = commands.add_parser(verb, help=text)
        command.add_argument("folder", type=_folder, metavar="DIR")
        _add_config(command)


def _add_jobs(jobs: argparse.ArgumentParser) -> None:
    commands = jobs.add_subparsers(required=True, metavar="COMMAND", dest="verb")
    for verb, text in (
        ("list", "the jobs accepted last"),
        ("show", "everything about one job"),
        ("retry", "begin again what failed"),
        ("resend", "deliver results once more"),
        ("rerun", "process a series again, as the settings are now"),
        ("cancel", "give up a job"),
        ("export", "the measurements as CSV, a row a disc"),
    ):
        command = commands.add_parser(verb, help=text)
        _add_what(verb, command)
        _add_config(command)
        if verb != "export":
            _add_json(command)


def _add_what(verb: str, command: argparse.ArgumentParser) -> None:
    """Add the arguments by which a command of `jobs` knows which jobs are meant."""
    when = "a date, a time, or a span such as 36h or 7d"
    if verb in {"show", "rerun", "cancel"}:
        command.add_argument("id", metavar="ID", help="or its beginning")
        return
    if verb in {"retry", "resend"}:
        command.add_argument("id", metavar="ID", nargs="?", help="or its beginning")
    else:
        command.add_argument(
            "--since", type=_moment, metavar="WHEN", help=f"accepted since then: {when}"
        )
    if verb == "list":
        command.add_argument("--limit", type=int, default=200, help="(%(default)s)")
        command.add_argument(
            "--state",
            action="append",
            default=[],
            choices=[state.value for state in JobState],
            help="may be given more than once",
        )
        command.add_argument("--peer", metavar="NAME", help="jobs that it gets")
    elif verb == "retry":
        command.add_argument(
            "--failed", action="store_true", help="all jobs that failed, instead"
        )
        command.add_argument(
            "--peer", metavar="NAME", help="all results that it lacks, instead"
        )
    elif verb == "resend":
        command.add_argument("--study", metavar="UID", help="all of a study, instead")
        command.add_argument("--peer", metavar="NAME", help="to this one alone")
    else:
        command.add_argument(
            "--until", type=_moment, metavar="WHEN", help="accepted before then"
        )
        command.add_argument(
            "--out", type=Path, metavar="FILE", help="(standard output)"
        )
        command.add_argument(
            "--pseudonymise",
            action="store_true",
            help="pseudonyms in place of UIDs, and no times",
        )


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", type=Path, default=_DEFAULT_CONFIG, help=_CONFIG_HELP
    )


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON, for programs")


def _folder(text: str) -> Path:
    if not text:  # a shell variable that is not set; `Path("")` is where we stand
        message = "is empty"
        raise argparse.ArgumentTypeError(message)
    return Path(text)


def _moment(text: str) -> float:
    try:
        return moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        message = f"{text} is no time in seconds above 0"
        raise argparse.ArgumentTypeError(message)
    return number


def _threads(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= _MAX_THREADS:
        message = f"{text} is not 1 to {_MAX_THREADS}"
        raise argparse.ArgumentTypeError(message)
    return number

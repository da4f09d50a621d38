"""Arguments to one function; the only place that prints an error and exits."""

from __future__ import annotations

import argparse
import math
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from dicom_node import __version__
from dicom_node.cli.console import complain
from dicom_node.cli.exit_code import ExitCode
from dicom_node.errors import (
    NodeError,
    PeerUnknownError,
    PeerUnreachableError,
    SettingsError,
)
from dicom_node.jobs.job_filter import moment
from dicom_node.language import ENGLISH, LANGUAGES
from dicom_node.records import JobState

_DEFAULT_CONFIG = Path("config/node.yaml")
_DEBUG = "LUMBAR_NODE_DEBUG"
_MAX_THREADS = 64
_CONFIG_HELP = "settings of the node (default: %(default)s)"


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    words
        Those after the program's name; None takes them from the command line.

    Returns
    -------
    int
        The exit code: 0 done, 1 failed, 2 wrong usage or settings, 3 a peer cannot be
        reached, 4 no series is suitable.
    """
    arguments = _parser().parse_args(words)
    try:
        return int(arguments.run(arguments))
    except NodeError as error:
        return _reported(error, str(error), _code(error))
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except KeyboardInterrupt as error:
        return _reported(error, "interrupted", ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - nobody sees a traceback unasked
        text = f"internal error: {type(error).__name__} (set {_DEBUG}=1 to see where)"
        return _reported(error, text, ExitCode.FAILED)


def _code(error: NodeError) -> ExitCode:
    if isinstance(error, SettingsError | PeerUnknownError):
        return ExitCode.WRONG_USAGE
    if isinstance(error, PeerUnreachableError):
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED


def _reported(error: BaseException, text: str, code: ExitCode) -> ExitCode:
    if os.environ.get(_DEBUG):
        traceback.print_exception(error)
    complain(text if isinstance(error, SettingsError) else f"lumbar-node: {text}")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lumbar-node",
        description="A DICOM node that measures lumbar discs on sagittal T2 MR. "
        "Research use; not for primary diagnosis.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="receive, analyse and answer")
    _add_config(serve)
    serve.set_defaults(run=_serve)
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
    analyse.set_defaults(run=_analyse)

    check = commands.add_parser("check", help="check installation and settings")
    check.add_argument(
        "--settings-only",
        action="store_true",
        help="read the settings, as a reload does, and look at nothing else",
    )
    _add_config(check)
    _add_json(check)
    check.set_defaults(run=_check)

    status = commands.add_parser(
        "status", help="tell whether the node is ready, and what each check says"
    )
    _add_config(status)
    _add_json(status)
    status.set_defaults(run=_status)

    _add_peers(commands)

    describe = commands.add_parser("describe", help="tell routes, peers and versions")
    _add_config(describe)
    _add_json(describe)
    describe.set_defaults(run=_describe)

    password = commands.add_parser(
        "password", help="print the line of a user for the page's password file"
    )
    password.add_argument("user", metavar="USER")
    password.set_defaults(run=_password)

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
        command.set_defaults(run=_part, part=part)


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
    echo.set_defaults(run=_echo)

    probe = commands.add_parser(
        "probe", help="tell which results a peer would accept, without sending any"
    )
    probe.add_argument("peer", metavar="PEER", help="its name in the settings")
    _add_config(probe)
    _add_json(probe)
    probe.set_defaults(run=_probe)

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
    test.set_defaults(run=_test)


def _add_backup(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for verb, text, run in (
        ("backup", "save all that the node owes, while it runs", _backup),
        ("restore", "lay a backup into an empty spool", _restore),
    ):
        command = commands.add_parser(verb, help=text)
        command.add_argument("folder", type=_folder, metavar="DIR")
        _add_config(command)
        command.set_defaults(run=run)


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
        command.set_defaults(run=_jobs)


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


# Each command imports its own, so that `--help` and `jobs list` start quickly.


def _serve(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.serve_command import run_serve

    return run_serve(arguments)


def _part(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.serve_command import run_part

    return run_part(arguments)


def _analyse(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.analyse_command import run_analyse

    return run_analyse(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.setup_commands import run_check

    return run_check(arguments)


def _status(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.status_command import run_status

    return run_status(arguments)


def _echo(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.setup_commands import run_echo

    return run_echo(arguments)


def _probe(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.probe_command import run_probe

    return run_probe(arguments)


def _test(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.test_command import run_test

    return run_test(arguments)


def _describe(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.setup_commands import run_describe

    return run_describe(arguments)


def _password(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.password_command import run_password

    return run_password(arguments)


def _backup(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.backup_commands import run_backup

    return run_backup(arguments)


def _restore(arguments: argparse.Namespace) -> int:
    from dicom_node.cli.backup_commands import run_restore

    return run_restore(arguments)


def _jobs(arguments: argparse.Namespace) -> int:
    from dicom_node.cli import job_commands as jobs

    verbs = {
        "list": jobs.run_list,
        "show": jobs.run_show,
        "retry": jobs.run_retry,
        "resend": jobs.run_resend,
        "rerun": jobs.run_rerun,
        "cancel": jobs.run_cancel,
        "export": jobs.run_export,
    }
    return verbs[arguments.verb](arguments)

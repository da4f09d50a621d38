"""Arguments to one function; the only place that prints an error and exits."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from dicom_node.cli.console import complain
from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.parser import command_parser
from dicom_node.errors import (
    NodeError,
    PeerUnknownError,
    PeerUnreachableError,
    SettingsError,
)

_DEBUG = "LUMBAR_NODE_DEBUG"


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
    arguments = command_parser().parse_args(words)
    try:
        return int(_COMMANDS[arguments.command](arguments))
    except NodeError as error:
        return _reported(error, str(error), _code(error))
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except OSError as error:
        return _reported(error, _of_a_file(error), ExitCode.FAILED)
    except KeyboardInterrupt as error:
        return _reported(error, "interrupted", ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - nobody sees a traceback unasked
        return _reported(error, _bug_text(error), ExitCode.FAILED)


def _of_a_file(error: OSError) -> str:
    """Name the file that could not be read or written, such as one of an argument."""
    if error.filename is None or error.strerror is None:
        return _bug_text(error)
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


def _bug_text(error: Exception) -> str:
    return f"internal error: {type(error).__name__} (set {_DEBUG}=1 to see where)"


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


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "receive": _part,
    "work": _part,
    "analyse": _analyse,
    "check": _check,
    "status": _status,
    "echo": _echo,
    "probe": _probe,
    "test": _test,
    "describe": _describe,
    "password": _password,
    "backup": _backup,
    "restore": _restore,
    "jobs": _jobs,
}

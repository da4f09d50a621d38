"""The words of `lumbar-node jobs`."""

from __future__ import annotations

from pathlib import Path

from dicom_node.cli.arguments import (
    Commands,
    Parser,
    add_command,
    add_config,
    add_json,
    moment_of,
)
from dicom_node.records import JobState

_VERBS = (
    ("list", "the jobs accepted last", "Prints jobs, the latest first."),
    (
        "show",
        "everything about one job",
        "Prints the way of a job from arrival to stored: steps, attempts, warnings, "
        "what each peer answered, and what to do.",
    ),
    (
        "retry",
        "begin again what failed",
        "Begins again what failed, once its cause is mended: one job, all that failed "
        "(--failed), or all that a peer lacks (--peer).",
    ),
    (
        "resend",
        "deliver results once more",
        "Delivers all results of a job, or of a study (--study), once more under the "
        "UIDs that they have.",
    ),
    (
        "rerun",
        "process a series again, as the settings are now",
        "Chooses the route of a series anew, analyses it and delivers its results.",
    ),
    (
        "cancel",
        "give up a job",
        "Gives up a job: no result of it is sent from then on.",
    ),
    (
        "export",
        "the measurements as CSV, a row a disc",
        "Writes a row for each disc of the last result of each series that is still in "
        "the spool. There are no patient data in it but UIDs and times, and with "
        "--pseudonymise not these either.",
    ),
)


def add_jobs(commands: Commands) -> None:
    """Add `jobs` with a command for each thing to ask or do."""
    jobs = add_command(
        commands,
        "jobs",
        "look at jobs; retry, re-run or cancel them",
        "A job is what the node owes for a series: to analyse it and to deliver its "
        "results to each peer of its route.",
    )
    verbs = jobs.add_subparsers(required=True, metavar="COMMAND", dest="verb")
    for verb, text, about in _VERBS:
        command = add_command(verbs, verb, text, about)
        _add_what(verb, command)
        add_config(command)
        if verb != "export":
            add_json(command)


def _add_what(verb: str, command: Parser) -> None:
    """Add the arguments by which a command of `jobs` knows which jobs are meant."""
    when = "a date, a time, or a span such as 36h or 7d"
    which = "of the job; its beginning is enough"
    if verb in {"show", "rerun", "cancel"}:
        command.add_argument("id", metavar="ID", help=which)
        return
    if verb in {"retry", "resend"}:
        command.add_argument("id", metavar="ID", nargs="?", help=which)
    else:
        command.add_argument(
            "--since",
            type=moment_of,
            metavar="WHEN",
            help=f"accepted since then: {when}",
        )
    if verb == "list":
        command.add_argument(
            "--limit",
            type=int,
            default=200,
            metavar="N",
            help="how many at most (default: %(default)s)",
        )
        command.add_argument(
            "--state",
            action="append",
            default=[],
            choices=[state.value for state in JobState],
            help="only these; may be given more than once",
        )
        command.add_argument(
            "--peer", metavar="NAME", help="only jobs whose results this peer gets"
        )
    elif verb == "retry":
        command.add_argument(
            "--failed", action="store_true", help="all jobs that failed, instead of one"
        )
        command.add_argument(
            "--peer",
            metavar="NAME",
            help="all results that this peer lacks, instead of one job",
        )
    elif verb == "resend":
        command.add_argument(
            "--study", metavar="UID", help="all results of a study, instead of one job"
        )
        command.add_argument("--peer", metavar="NAME", help="to this peer alone")
    else:
        command.add_argument(
            "--until", type=moment_of, metavar="WHEN", help="accepted before then"
        )
        command.add_argument(
            "--out",
            type=Path,
            metavar="FILE",
            help="file to write (default: standard output)",
        )
        command.add_argument(
            "--pseudonymise",
            action="store_true",
            help="pseudonyms in place of UIDs, and no times",
        )

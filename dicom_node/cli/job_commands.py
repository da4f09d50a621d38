"""`lumbar-node jobs list | show | retry | rerun | cancel`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dicom_node.cli.console import complain, say, say_json, say_table
from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.load_settings import read
from dicom_node.errors import StartError
from dicom_node.records import JobRow

if TYPE_CHECKING:
    from dicom_node.jobs.queue import JobQueue
    from dicom_node.settings.sections import Settings

_ID_DIGITS = 12
_REASON_CHARS = 60


def run_list(arguments: argparse.Namespace) -> ExitCode:
    """Tell the jobs accepted last, the latest first."""
    settings = read(arguments.config)
    with _open(settings) as queue:
        rows = queue.list(limit=arguments.limit)
    if arguments.json:
        say_json([plain(row) for row in rows])
        return ExitCode.DONE
    if not rows:
        say("no jobs")
        return ExitCode.DONE
    say_table(
        ("JOB", "STATE", "ACCEPTED", "FROM", "INSTANCES", "ROUTE", "REASON"),
        [
            (
                row.id[:_ID_DIGITS],
                row.state.value,
                _local(row.accepted_at_s),
                row.calling_ae,
                str(row.instances),
                row.route or "-",
                _shortened(row.reason),
            )
            for row in rows
        ],
    )
    return ExitCode.DONE


def run_show(arguments: argparse.Namespace) -> ExitCode:
    """Tell everything about one job."""
    settings = read(arguments.config)
    with _open(settings) as queue:
        row = queue.show(arguments.id)
    _say_row(row, arguments)
    return ExitCode.DONE


def run_retry(arguments: argparse.Namespace) -> ExitCode:
    """Begin again what failed: one job, or all that a peer lacks."""
    settings = read(arguments.config)
    if (arguments.id is None) == (arguments.peer is None):
        complain("lumbar-node: retry takes the ID of a job, or --peer NAME")
        return ExitCode.WRONG_USAGE
    if arguments.peer is not None:
        return _retry_peer(settings, arguments)
    with _open(settings) as queue:
        row = _retry(queue, queue.show(arguments.id).id, settings)
    _say_row(row, arguments)
    return ExitCode.DONE


def _retry_peer(settings: Settings, arguments: argparse.Namespace) -> ExitCode:
    name = arguments.peer
    if name not in settings.peers:
        names = ", ".join(sorted(settings.peers)) or "none"
        complain(f"lumbar-node: no peer is named {name} (peers: {names})")
        return ExitCode.WRONG_USAGE
    with _open(settings) as queue:
        rows = [
            _retry(queue, row.id, settings, peer=name) for row in queue.lacking(name)
        ]
    if arguments.json:
        say_json([plain(row) for row in rows])
        return ExitCode.DONE
    for row in rows:
        say(f"{row.id[:_ID_DIGITS]}  {row.state.value}")
    say(f"{len(rows)} jobs are delivered to {name} again")
    return ExitCode.DONE


def _retry(
    queue: JobQueue, job_id: str, settings: Settings, *, peer: str | None = None
) -> JobRow:
    from dicom_node.spool_layout import SpoolLayout
    from dicom_node.work.result_files import deliverable

    outbox = SpoolLayout(settings.spool.folder).job_outbox(job_id)
    return queue.retry(job_id, results_kept=bool(deliverable(outbox)), peer=peer)


def run_rerun(arguments: argparse.Namespace) -> ExitCode:
    """Process the series of a settled job again, as the settings are now."""
    settings = read(arguments.config)
    with _open(settings) as queue:
        row = queue.rerun(arguments.id)
    _say_row(row, arguments)
    return ExitCode.DONE


def run_cancel(arguments: argparse.Namespace) -> ExitCode:
    """Give up a job."""
    settings = read(arguments.config)
    with _open(settings) as queue:
        row = queue.cancel(arguments.id)
    _say_row(row, arguments)
    return ExitCode.DONE


def _open(settings: Settings) -> JobQueue:
    from pathlib import Path

    from dicom_node.jobs.queue import JobQueue

    url = settings.database_url
    if (
        url.startswith("sqlite:///")
        and not Path(url.removeprefix("sqlite:///")).exists()
    ):
        text = "there are no jobs yet: the node has never run with these settings"
        raise StartError(text)
    return JobQueue(url)


def _say_row(row: JobRow, arguments: argparse.Namespace) -> None:
    if arguments.json:
        say_json(plain(row))
        return
    settled = "-" if row.settled_at_s is None else _local(row.settled_at_s)
    for name, value in (
        ("job", row.id),
        ("state", row.state.value),
        ("reason", row.reason or "-"),
        ("route", row.route or "-"),
        ("study", row.study_uid),
        ("series", row.series_uid),
        *((("corrects", row.corrects),) if row.corrects else ()),
        ("revision", str(row.revision)),
        ("instances", str(row.instances)),
        ("from", row.calling_ae),
        ("accepted", _local(row.accepted_at_s)),
        ("settled", settled),
        *((f"to {peer}", state) for peer, state in row.deliveries),
    ):
        say(f"{name + ':':<12}{value}")


def plain(row: JobRow) -> dict[str, Any]:
    """Return a job as `--json` prints it."""
    return {**asdict(row), "state": row.state.value, "deliveries": dict(row.deliveries)}


def _local(posix_s: float) -> str:
    return datetime.fromtimestamp(posix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _shortened(text: str) -> str:
    if len(text) <= _REASON_CHARS:
        return text
    return f"{text[: _REASON_CHARS - 3]}..."

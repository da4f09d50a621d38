"""`lumbar-node jobs list | show | retry | resend | rerun | cancel | export`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dicom_node.cli.console import complain, say, say_json, say_table
from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.load_settings import read, receiver_named
from dicom_node.errors import StartError
from dicom_node.jobs.job_filter import JobFilter
from dicom_node.jobs.job_verbs import SHORT_ID, Verb
from dicom_node.records import JobRow, JobState
from dicom_node.spool_layout import EXPORT_KEY

if TYPE_CHECKING:
    from dicom_node.jobs.job_actions import JobActions
    from dicom_node.jobs.queue import JobQueue
    from dicom_node.settings.sections import Settings

_REASON_CHARS = 60
_ON_THE_WAY = frozenset({"waiting", "sending", "proving"})


def run_list(arguments: argparse.Namespace) -> ExitCode:
    """Tell the jobs accepted last, the latest first."""
    if arguments.limit < 1:
        complain(f"lumbar-node: --limit {arguments.limit} is no number of jobs from 1")
        return ExitCode.WRONG_USAGE
    settings = read(arguments.config)
    wanted = JobFilter(
        states=tuple(arguments.state),
        peer=arguments.peer or "",
        since_s=arguments.since,
    )
    with _open(settings) as queue:
        rows = (
            queue.list(limit=arguments.limit)
            if wanted.asks_for_all
            else wanted.of(queue.all_rows())[: arguments.limit]
        )
    if arguments.json:
        say_json([plain(row) for row in rows])
        return ExitCode.DONE
    if not rows:
        peer = arguments.peer
        is_known = peer is None or peer in settings.receivers
        say("no jobs" if is_known else f"no jobs: no peer is named {peer}")
        return ExitCode.DONE
    say_table(
        ("JOB", "STATE", "ACCEPTED", "FROM", "INSTANCES", "ROUTE", "REASON"),
        [
            (
                row.id[:SHORT_ID],
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
    if not arguments.json and row.state is JobState.DELIVERING:
        _say_attempts(settings, row)
    return ExitCode.DONE


def _say_attempts(settings: Settings, row: JobRow) -> None:
    """Tell why the last attempt for each peer failed, and when the next is due."""
    from dicom_node.jobs.job_reader import JobReader

    with JobReader(settings.database_url) as reader:
        story = reader.story(row.id)
    last = {stage.peer: stage for stage in story.stages if stage.peer}
    due = dict(story.due)
    for peer, _ in row.deliveries:
        if peer in last and last[peer].code:
            stage = last[peer]
            said = f"{_local(stage.ended_s)} {stage.code}: {stage.text}"
            _say_field(f"last {peer}", said)
        if peer in due:
            _say_field(f"next {peer}", _local(due[peer]))


def run_retry(arguments: argparse.Namespace) -> ExitCode:
    """Begin again what failed: one job, all that failed, or all that a peer lacks."""
    settings = read(arguments.config)
    is_of_many = arguments.failed or arguments.peer is not None
    if (arguments.id is None) != is_of_many:
        complain("lumbar-node: retry takes the ID of a job, or --failed, --peer NAME")
        return ExitCode.WRONG_USAGE
    if is_of_many:
        return _retry_many(settings, arguments)
    with _open(settings) as queue:
        row = _actions(queue, settings).do(Verb.RETRY, arguments.id)
    _say_row(row, arguments)
    return ExitCode.DONE


def _retry_many(settings: Settings, arguments: argparse.Namespace) -> ExitCode:
    peer = arguments.peer
    if peer is not None:
        receiver_named(peer, settings)
    with _open(settings) as queue:
        actions = _actions(queue, settings)
        rows = actions.retry_all(is_failed=arguments.failed, peer=peer)
        others = _on_their_way(queue, peer, rows)
    what = "begin" if peer is None else f"are delivered to {peer}"
    text = f"{len(rows)} jobs {what} again"
    if others:
        text += (
            f"; {others} others are still tried without it: "
            f"`jobs list --peer {peer} --state delivering`"
        )
    _say_rows(rows, arguments, text)
    return ExitCode.DONE


def _on_their_way(queue: JobQueue, peer: str | None, retried: Sequence[JobRow]) -> int:
    """Count the jobs that a peer lacks and that nobody has given up."""
    if peer is None:
        return 0
    wanted = JobFilter(states=(JobState.DELIVERING.value,), peer=peer)
    retried_ids = {row.id for row in retried}
    return sum(
        dict(row.deliveries)[peer] in _ON_THE_WAY and row.id not in retried_ids
        for row in wanted.of(queue.all_rows())
    )


def run_resend(arguments: argparse.Namespace) -> ExitCode:
    """Deliver the results of a job, or of a study, once more."""
    settings = read(arguments.config)
    if (arguments.id is None) == (arguments.study is None):
        complain("lumbar-node: resend takes the ID of a job, or --study UID")
        return ExitCode.WRONG_USAGE
    if arguments.peer is not None:
        receiver_named(arguments.peer, settings)
    with _open(settings) as queue:
        if arguments.study is None:
            jobs = [queue.show(arguments.id)]
        else:
            wanted = JobFilter(study_uid=arguments.study)
            jobs = [row for row in wanted.of(queue.all_rows()) if row.deliveries]
        rows = _actions(queue, settings).resend(jobs, peer=arguments.peer)
    _say_rows(rows, arguments, f"the results of {len(rows)} jobs are sent again")
    return ExitCode.DONE


def run_export(arguments: argparse.Namespace) -> ExitCode:
    """Write the measurements of a period as CSV."""
    from dicom_node.cli.export_measurements import Pseudonyms, export
    from dicom_node.settings.self_test import TEST_TITLE
    from dicom_node.spool_layout import SpoolLayout

    settings = read(arguments.config)
    layout = SpoolLayout(settings.spool.folder)
    wanted = JobFilter(since_s=arguments.since, until_s=arguments.until)
    with _open(settings) as queue:
        rows = [
            row for row in wanted.of(queue.all_rows()) if row.calling_ae != TEST_TITLE
        ]
    secret = settings.spool.folder / EXPORT_KEY
    pseudonyms = Pseudonyms(secret) if arguments.pseudonymise else None
    with (
        nullcontext(sys.stdout)
        if arguments.out is None
        else arguments.out.open("w", newline="", encoding="utf-8")
    ) as out:
        done = export(rows, layout, out, pseudonyms=pseudonyms)
    text = f"{done.rows} discs of {done.series} series"
    if done.without_report:
        text += f"; {done.without_report} jobs have no measurements, or none any more"
    complain(text)  # beside the table, which may go to standard output
    return ExitCode.DONE


def _actions(queue: JobQueue, settings: Settings) -> JobActions:
    from dicom_node.jobs.job_actions import JobActions
    from dicom_node.spool_layout import SpoolLayout

    return JobActions(queue, SpoolLayout(settings.spool.folder))


def run_rerun(arguments: argparse.Namespace) -> ExitCode:
    """Process the series of a settled job again, as the settings are now."""
    settings = read(arguments.config)
    with _open(settings) as queue:
        row = _actions(queue, settings).do(Verb.RERUN, arguments.id)
    _say_row(row, arguments)
    return ExitCode.DONE


def run_cancel(arguments: argparse.Namespace) -> ExitCode:
    """Give up a job."""
    settings = read(arguments.config)
    with _open(settings) as queue:
        row = _actions(queue, settings).do(Verb.CANCEL, arguments.id)
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


def _say_rows(
    rows: Sequence[JobRow], arguments: argparse.Namespace, summary: str
) -> None:
    if arguments.json:
        say_json([plain(row) for row in rows])
        return
    for row in rows:
        say(f"{row.id[:SHORT_ID]}  {row.state.value}")
    say(summary)


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
        *((("worker", row.worker),) if row.worker else ()),
        *((f"to {peer}", state) for peer, state in row.deliveries),
        *((f"at {peer}", f"{uid} {proof}") for peer, uid, proof in row.proofs),
    ):
        _say_field(name, value)


def _say_field(name: str, value: str) -> None:
    say(f"{name + ':':<11} {value}")


def plain(row: JobRow) -> dict[str, Any]:
    """Return a job as `--json` prints it."""
    proofs: dict[str, dict[str, str]] = {}
    for peer, uid, proof in row.proofs:
        proofs.setdefault(peer, {})[uid] = proof
    return {
        **asdict(row),
        "state": row.state.value,
        "deliveries": dict(row.deliveries),
        "proofs": proofs,
    }


def _local(posix_s: float) -> str:
    return datetime.fromtimestamp(posix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _shortened(text: str) -> str:
    if len(text) <= _REASON_CHARS:
        return text
    return f"{text[: _REASON_CHARS - 3]}..."

"""What a job costs in the engine: `python -m tests.benchmarks.engine`.

PostgreSQL, workers whose work is to append a line, two peers a job: what is left is
the engine. Finished jobs are rows copied in SQL from some that the workers have done
before, with their inputs, outputs and steps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import sqlalchemy as sa

from dicom_node.jobs.job_numbers import JobNumbersReader
from dicom_node.jobs.machines import engine_for
from dicom_node.jobs.queue import JobQueue
from dicom_node.records import JobState
from tests.support.postgresql import programs, server
from tests.support.toy_worker import Toy, toy_job

_COPIED = 20
_WORKERS = (1, 2, 4)
_FINISHED = (0, 10_000, 100_000)
_IDLE_S = 5.0
_TABLES = ("workflow_status", "workflow_input", "workflow_output", "operation_outputs")


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engine")
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--finished", type=int, nargs="+", default=_FINISHED)
    chosen = parser.parse_args(arguments)
    jobs = chosen.jobs
    found = programs()
    if found is None:
        print("POSTGRESQL MISSING: no initdb on this machine")
        return 1
    print("| finished jobs | workers | s a job | processor ms a job, workers | "
          "PostgreSQL | idle, ms/s a worker | PostgreSQL |")  # fmt: skip
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    with server(found) as url, tempfile.TemporaryDirectory() as folder:
        filled = 0
        for finished in chosen.finished:
            for workers in _WORKERS:
                with _running(url, Path(folder), workers) as toys:
                    if not filled and finished:
                        filled = _COPIED
                    filled += _fill(url, toys, finished - filled)
                    row = _measured(toys, jobs)
                print(f"| {finished:,} | {workers} | {row} |", flush=True)
        print()
        print(_questions(url))
    return 0


@contextmanager
def _running(url: str, folder: Path, workers: int) -> Iterator[list[Toy]]:
    toys = [Toy(folder, url=url, slot=slot, machine="bench") for slot in range(workers)]
    try:
        for toy in toys:
            toy.start()
        _done(toys, [_enqueued(toys[0]) for _ in range(workers)])
        yield toys
    finally:
        for toy in toys:
            toy.close()


def _enqueued(toy: Toy) -> str:
    job = toy_job(f"job{uuid4().hex}")
    toy.queue.enqueue(job)
    return job.id


def _done(toys: Sequence[Toy], ids: Sequence[str]) -> None:
    """Return once all of these jobs are done."""
    for job_id in ids:
        while toys[0].queue.show(job_id).state is not JobState.DONE:
            _rest(toys)


def _rest(toys: Sequence[Toy]) -> None:
    """Wait a little, and listen to the workers, whose pipes would fill up else."""
    for toy in toys:
        toy.worker.receive()
    time.sleep(0.05)


def _measured(toys: Sequence[Toy], jobs: int) -> str:
    rested = _processor_s(toys)
    end_s = time.monotonic() + _IDLE_S
    while time.monotonic() < end_s:
        _rest(toys)
    idle = [b - a for a, b in zip(rested, _processor_s(toys), strict=True)]
    before, began_s = _processor_s(toys), time.monotonic()
    ids = [_enqueued(toys[0]) for _ in range(jobs)]
    _wait_lines(toys, ids)
    took_s = time.monotonic() - began_s
    _done(toys, ids)
    after = _processor_s(toys)
    # What waiting costs is no cost of these jobs.
    spent = [
        (b - a) - resting * took_s / _IDLE_S
        for a, b, resting in zip(before, after, idle, strict=True)
    ]
    each = len(toys) * _IDLE_S / 1000
    return " | ".join(
        f"{number:.{digits}f}"
        for number, digits in (
            (took_s / jobs, 3),
            (spent[0] / jobs * 1000, 0),
            (spent[1] / jobs * 1000, 0),
            (idle[0] / each, 0),
            (idle[1] / each, 0),
        )
    )


def _wait_lines(toys: Sequence[Toy], ids: Sequence[str]) -> None:
    """Return once both peers have everything: a look at a file, and at no database."""
    wanted = {f"stored {job_id} {peer}" for job_id in ids for peer in ("alpha", "beta")}
    while wanted - toys[0].done().keys():
        _rest(toys)


def _server_pid(url: str) -> int:
    folder = Path(url.partition("host=")[2])
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def _processor_s(toys: Sequence[Toy]) -> tuple[float, float]:
    """Return what workers and the server have spent so far."""
    pids = [toy.worker.child.pid for toy in toys]
    workers = [psutil.Process(pid) for pid in pids if pid is not None]
    server = psutil.Process(_server_pid(toys[0].url))
    return _sum_s(workers), _sum_s([server, *server.children()])


def _sum_s(processes: Sequence[psutil.Process]) -> float:
    total_s = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total_s += times.user + times.system + times.children_user
        total_s += times.children_system
    return total_s


def _fill(url: str, toys: Sequence[Toy], jobs: int) -> int:
    """Copy some jobs that were done so often that there are so many more."""
    if jobs <= 0:
        return 0
    ids = [_enqueued(toys[0]) for _ in range(_COPIED)]
    _done(toys, ids)
    engine = engine_for(url)
    with engine.begin() as connection:
        for table in _TABLES:
            connection.execute(
                sa.text(_copy_of(connection, table)),
                {"ids": ids, "last": jobs // _COPIED},
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as bare:
        bare.execute(sa.text("ANALYZE"))
    engine.dispose()
    return jobs


def _copy_of(connection: sa.Connection, table: str) -> str:
    """Return the statement that copies the rows of jobs and their deliveries."""
    names = [
        str(name)
        for name in connection.execute(
            sa.text(
                "SELECT column_name FROM information_schema.columns WHERE "
                "table_schema = 'dbos' AND table_name = :table AND is_generated = "
                "'NEVER' AND is_identity = 'NO'"
            ),
            {"table": table},
        ).scalars()
    ]
    keyed = {
        # Ids are hexadecimal digits, as evenly distributed as ours.
        "workflow_uuid": "md5(n || split_part(workflow_uuid, ':', 1)) || "
        "substr(workflow_uuid, strpos(workflow_uuid || ':', ':'))",
        "parent_workflow_id": "NULL",
        "child_workflow_id": "NULL",
    }
    values = ", ".join(keyed.get(name, f'"{name}"') for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    return (
        f"INSERT INTO dbos.{table} ({columns}) SELECT {values} FROM dbos.{table}, "
        "generate_series(1, :last) AS n WHERE split_part(workflow_uuid, ':', 1) "
        "= ANY(:ids)"
    )


def _questions(url: str) -> str:
    """Return how long the questions take that nobody waits for."""
    lines = [
        "| question, with all of these jobs | s | processor s | longest step, s |",
        "| --- | ---: | ---: | ---: |",
    ]
    with JobQueue(url) as queue, JobNumbersReader(url) as numbers:
        for name, ask in (
            ("`jobs list`", _whole(queue.list)),
            ("numbers for `/metrics` and `/ready`, first look", _whole(numbers.read)),
            ("the same, later", _whole(numbers.read)),
            ("what is not settled (housekeeping)", _whole(queue.unsettled)),
            ("where contents stand (housekeeping), first look", queue.contents.refresh),
            ("the same, later", queue.contents.refresh),
            ("forget old jobs, of which there is none", _forget_none(queue)),
            ("every job (`jobs list` with a filter)", _whole(queue.all_rows)),
        ):
            lines.append(f"| {name} | {_asked(ask)} |")
    return "\n".join(lines)


def _whole(ask: Callable[[], object]) -> Callable[[], Iterator[object]]:
    return lambda: (ask() for _ in range(1))


def _forget_none(queue: JobQueue) -> Callable[[], Iterator[object]]:
    return lambda: queue.prune(settled_before_s=1.0)


def _asked(ask: Callable[[], Iterator[object]]) -> str:
    began_s = step_s = time.monotonic()
    spent_s, longest_s = time.process_time(), 0.0
    for _ in ask():
        now_s = time.monotonic()
        longest_s, step_s = max(longest_s, now_s - step_s), now_s
    now_s = time.monotonic()
    longest_s = max(longest_s, now_s - step_s)
    spent_s = time.process_time() - spent_s
    return f"{now_s - began_s:.2f} | {spent_s:.2f} | {longest_s:.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

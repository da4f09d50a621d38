"""What `ops` loads, and how it meets what does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.job_numbers import JobNumbers
from dicom_node.node.ops_child import OpsChild
from dicom_node.node.tally import Tally
from dicom_node.node_report import ChildReport, Counted, NodeReport, Timed
from dicom_node.ops.ask import NoAnswerError, ask_ready
from dicom_node.ops.checks import Seen
from dicom_node.ops.exposition import exposition
from dicom_node.ops.probe import Probe, Trouble
from dicom_node.ops.verification import echo, itself
from tests.support.ops_plan import plan_for
from tests.support.peers import HOST, WITHIN_S, wait_until


def test_the_process_loads_nothing_large() -> None:
    heavy = (
        "dbos", "pydantic", "yaml", "pydicom", "pynetdicom", "numpy", "analysis",
        "apprise", "requests",
    )  # fmt: skip
    code = (
        "import sys, dicom_node.ops.ops_process\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """Yield a port at which each read is answered by the next bytes, then silence."""
    with socket.create_server((HOST, 0)) as listener:
        over = threading.Event()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                for one in answers:
                    connection.recv(65536)
                    connection.sendall(one)
                over.wait(WITHIN_S)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    ("answers", "what", "within_s"),
    [
        ((), "timed out", 0.3),
        ((b"\x02\0\0\0\0\0",), "timed out", 0.3),
        ((b"\x03\0\0\0\0\4\0\1\1\7",), "called AE title not recognised", WITHIN_S),
        ((b"\x06\0\0\0\0\0",), "type 0x06", WITHIN_S),
        ((b"HTTP/1.1 400\r\n",), "PDU type 0x48", WITHIN_S),
        (
            (b"\x02\0\0\0\0\0", b"\x04\0\0\0\0\0"),
            "C-ECHO was answered",
            WITHIN_S,
        ),
    ],
    ids=["silent", "silent-later", "rejects", "releases", "rubbish", "no-status"],
)
def test_an_acceptor_that_does_not_answer_is_told(
    answers: tuple[bytes, ...], what: str, within_s: float
) -> None:
    with (
        answering(*answers) as port,
        pytest.raises(OSError, match=what),
    ):
        echo(itself(plan_for(node_port=port)), within_s)


def test_a_question_that_hangs_is_asked_once_and_waited_for_briefly() -> None:
    asked: list[int] = []
    over = threading.Event()

    def hang() -> int:
        asked.append(1)
        over.wait(WITHIN_S)
        return 1

    async def ask() -> list[int | Trouble]:
        with ThreadPoolExecutor(1) as threads:
            probe = Probe(hang, threads, every_s=0.0, within_s=0.05)
            first = await asyncio.gather(*(probe.answer() for _ in range(50)))
            assert len(asked) == 1
            over.set()
            while isinstance(answer := await probe.answer(), Trouble):
                pass
            return [*first, answer]

    *first, last = asyncio.run(ask())
    assert first == [Trouble("no answer within 0.05 s")] * 50
    assert last == 1


def test_an_answer_is_given_again_for_a_while_and_an_error_is_one() -> None:
    answers: Iterator[int | Exception] = iter(
        [1, JobDatabaseError("locked"), OSError(5, "I/O error"), 2]
    )

    def ask() -> int:
        answer: int | Exception = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def asked(every_s: float, times: int) -> list[int | Trouble]:
        with ThreadPoolExecutor(1) as threads:
            probe = Probe(ask, threads, every_s=every_s, within_s=5, rest=0)
            return [await probe.answer() for _ in range(times)]

    assert asyncio.run(asked(60.0, 3)) == [1, 1, 1]
    assert asyncio.run(asked(0.0, 3)) == [Trouble("locked"), Trouble("I/O error"), 2]


def test_a_thousand_codes_of_reasons_make_a_hundred_labels() -> None:
    numbers = JobNumbers(
        states={("failed", f"code-{number}"): 1 for number in range(1000)},
        deliveries={},
        oldest_unsettled_s=None,
        oldest_undelivered_s=900.0,
    )
    seen = Seen(
        report=None,
        is_told=True,
        monotonic_s=0.0,
        posix_s=1000.0,
        echo_s=Trouble(""),
        numbers=numbers,
        disk=Trouble(""),
        valid_until_s={},
    )
    text = exposition(seen, plan_for()).decode()
    samples = {
        (one.name, one.labels.get("reason")): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
    jobs = [value for (name, _), value in samples.items() if name == "lumbar_node_jobs"]
    assert len(jobs) == 101
    assert samples["lumbar_node_jobs", "other"] == 900
    assert samples["lumbar_node_oldest_undelivered_seconds", None] == 100


def test_counters_and_buckets_are_told_as_prometheus_expects_them(
    tmp_path: Path,
) -> None:
    tally = Tally()
    tally.count(Counted.INSTANCES, 'A "q" \\ one', by=3)
    for seconds in (0.2, 0.2, 7.0):
        tally.time(Timed.STEP, seconds, "analyse")
    children = (
        ChildReport(
            name="worker-0", pid=os.getpid(), starts=3, deaths=1, heard_at_s=90.0
        ),
        ChildReport(name="acceptor-0", pid=None, starts=1, deaths=0),
    )
    report = NodeReport(
        turned_at_s=99.0,
        children=children,
        counts=tally.counts(),
        times=tally.times(),
        analyses=(("lumbar-mri", "1.2"),),
    )
    seen = Seen(
        report=report,
        is_told=True,
        monotonic_s=100.0,
        posix_s=1000.0,
        echo_s=Trouble(""),
        numbers=Trouble("locked"),
        disk=(5, 9),
        valid_until_s={"node.tls": 2e9},
    )
    text = exposition(seen, plan_for(spool_folder=tmp_path)).decode()
    for line in (
        'lumbar_node_instances_received_total{calling_ae="A \\"q\\" \\\\ one"} 3.0',
        'lumbar_node_step_seconds_bucket{le="0.1",step="analyse"} 0.0',
        'lumbar_node_step_seconds_bucket{le="0.25",step="analyse"} 2.0',
        'lumbar_node_step_seconds_bucket{le="10.0",step="analyse"} 3.0',
        'lumbar_node_step_seconds_bucket{le="+Inf",step="analyse"} 3.0',
        'lumbar_node_step_seconds_count{step="analyse"} 3.0',
        'lumbar_node_process_starts_total{process="worker-0"} 3.0',
        'lumbar_node_process_deaths_total{process="worker-0"} 1.0',
        'lumbar_node_worker_heartbeat_age_seconds{process="worker-0"} 10.0',
        'lumbar_node_analysis_info{analysis="lumbar-mri",version="1.2"} 1.0',
        "lumbar_node_supervisor_turn_age_seconds 1.0",
        "lumbar_node_database_up 0.0",
        "lumbar_node_disk_free_bytes 5.0",
        "lumbar_node_disk_limit_bytes 1000.0",
        'lumbar_node_certificate_expiry_timestamp_seconds{setting="node.tls"} 2e+09',
    ):
        assert f"{line}\n" in text
    assert 'lumbar_node_process_resident_bytes{process="worker-0"}' in text
    assert 'lumbar_node_process_resident_bytes{process="acceptor-0"}' not in text
    assert "lumbar_node_jobs" not in text


@pytest.mark.parametrize(
    ("head", "body", "told"),
    [
        ("200 OK", b'{"ready": true}', {"ready": True}),
        ("503 Service Unavailable", b'{"ready": false}', {"ready": False}),
        ("400 Bad Request", b'{"ready": true}', None),
        ("200 OK", b"[]", None),
        ("200 OK", b"<html>", None),
        ("200 OK", b"", None),
        ("200 OK", b'{"ready": ' + b"\xff" * 9, None),
    ],
)
def test_only_an_answer_of_ready_counts(
    head: str, body: bytes, told: dict[str, bool] | None
) -> None:
    answer = f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with answering(answer + body) as port:
        try:
            assert ask_ready(plan_for(port=port)) == told
        except NoAnswerError:
            assert told is None


def test_a_port_that_is_taken_is_tried_again_and_holds_up_nobody(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server((HOST, 0)) as taken:
        plan = plan_for(port=taken.getsockname()[1], spool_folder=tmp_path)
        ops = OpsChild(plan, Tally(), list)

        def has_died() -> bool:
            started_s = time.monotonic()
            ops.turn(started_s)
            assert time.monotonic() - started_s < 1
            return ops.child.deaths > 0

        wait_until(has_died, what="it gives up")
        assert ops.child.exit_code == 1
        assert "ops_not_listening" in capfd.readouterr().out
    ops.child.end(0)


def test_a_process_that_speaks_is_ended_and_one_that_is_frozen_is_waited_for_by_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dicom_node.node.ops_child._REPORT_EVERY_S", 0.0)
    ops = OpsChild(plan_for(), Tally(), list)
    monkeypatch.setattr(ops.child, "_entry", f"{__name__}:frozen_and_talking")
    ops.child.start()
    assert ops.child.pipe is not None
    assert ops.child.pipe.poll(WITHIN_S)
    ops.child.tend(time.monotonic())
    longest_s = 0.0
    for _ in range(2000):
        started_s = time.monotonic()
        ops.child.send(b"x" * 60_000)
        longest_s = max(longest_s, time.monotonic() - started_s)
    assert longest_s < WITHIN_S / 2  # the process sleeps on for longer
    ops.turn(time.monotonic())
    wait_until(lambda: not ops.child.is_alive, what="it is killed")
    ops.turn(time.monotonic())
    assert ops.child.exit_code == -signal.SIGKILL


def frozen_and_talking(pipe: object, _plan: object) -> None:
    pipe.send("a word")  # type: ignore[attr-defined]
    time.sleep(WITHIN_S)

"""Each check of `/ready`, at its limit and beyond."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dicom_node.jobs.job_numbers import JobNumbers
from dicom_node.node_report import ChildReport, NodeReport
from dicom_node.ops.checks import Seen, State, checks_of, is_ready, plain
from dicom_node.ops.exposition import exposition
from dicom_node.ops.probe import Counting, Trouble
from dicom_node.tls import TlsFiles
from tests.support.ops_plan import plan_for

NOW_S = 5000.0
NO_FILES = TlsFiles(certificate=None, key=None, authorities=None)
NONE_OWED = JobNumbers(
    states={("done", ""): 7},
    deliveries={},
    oldest_unsettled_s=None,
    oldest_undelivered_s=None,
)


def child(name: str, **changes: Any) -> ChildReport:
    plain = ChildReport(name=name, pid=1, starts=1, deaths=0, heard_at_s=None)
    return replace(plain, **changes)


def report(*children: ChildReport, turned_at_s: float = NOW_S - 1.0) -> NodeReport:
    return NodeReport(turned_at_s=turned_at_s, children=children, counts={}, times={})


WELL = Seen(
    report=report(child("acceptor-0"), child("worker-0", heard_at_s=NOW_S - 5)),
    is_told=True,
    monotonic_s=NOW_S,
    posix_s=1e9,
    echo_s=0.002,
    numbers=NONE_OWED,
    disk=(1001, 2000),
    valid_until_s={"node.tls": 1e9 + 86400, "peers.pacs.tls": 1e9 + 2 * 86400},
)


def states(**changes: Any) -> dict[str, State]:
    checks = checks_of(replace(WELL, **changes), plan_for())
    return {check.name: check.state for check in checks}


@pytest.mark.parametrize(
    ("until_s", "state", "days"),
    [(1e9 + 36 * 3600, "ok", 1.5), (1e9 - 86400, "failed", -1.0)],
)
def test_the_certificate_that_expires_first_is_told(
    until_s: float, state: str, days: float
) -> None:
    plan = plan_for(certificates={"node.tls": NO_FILES, "peers.pacs.tls": NO_FILES})
    dates = {"node.tls": 2e9, "peers.pacs.tls": until_s}
    *_, check = checks_of(replace(WELL, valid_until_s=dates), plan)
    assert (check.name, check.state, check.value) == ("certificates", state, days)
    assert check.text == "until the certificate of peers.pacs.tls expires"
    *_, check = checks_of(replace(WELL, valid_until_s=Trouble("no such file")), plan)
    assert (check.state, check.text) == (State.FAILED, "no such file")


def test_a_node_that_is_well_is_ready() -> None:
    assert set(states().values()) == {State.OK}
    assert plain(checks_of(WELL, plan_for()))["ready"] is True


@pytest.mark.parametrize(
    ("failed", "changes"),
    [
        ("supervisor", {"report": report(turned_at_s=NOW_S - 30.1)}),
        ("supervisor", {"report": None}),
        ("acceptors", {"echo_s": Trouble("refused")}),
        ("acceptors", {"report": report(child("acceptor-1", pid=None))}),
        ("workers", {"report": report(child("worker-0", heard_at_s=NOW_S - 60.1))}),
        ("database", {"numbers": Trouble("locked")}),
        ("disk", {"disk": (1000, 2000)}),
        ("disk", {"disk": Trouble("Input/output error")}),
        ("jobs", {"numbers": replace(NONE_OWED, oldest_unsettled_s=1e9 - 3601)}),
    ],
)
def test_what_fails_is_named_and_makes_the_node_unready(
    failed: str, changes: dict[str, Any]
) -> None:
    told = states(**changes)
    assert told[failed] is State.FAILED
    others = {name for name, state in told.items() if state is State.FAILED}
    assert others - {failed} <= {"workers"}
    assert not is_ready(checks_of(replace(WELL, **changes), plan_for()))


@pytest.mark.parametrize(
    "changes",
    [
        {"report": report(turned_at_s=NOW_S - 29.9)},
        {"report": report(child("worker-0", heard_at_s=NOW_S - 59.9))},
        {"report": report(child("counter", pid=None))},
        {"numbers": replace(NONE_OWED, oldest_unsettled_s=1e9 - 3599)},
    ],
)
def test_what_is_within_its_limit_does_not(changes: dict[str, Any]) -> None:
    assert set(states(**changes).values()) == {State.OK}


def test_what_cannot_be_told_from_here_makes_nothing_unready() -> None:
    told = states(report=None, is_told=False)
    assert told["supervisor"] is told["workers"] is State.UNKNOWN
    assert is_ready(checks_of(replace(WELL, report=None, is_told=False), plan_for()))


def test_a_database_that_is_counted_for_the_first_time_leaves_the_node_ready() -> None:
    seen = replace(WELL, numbers=Counting("its jobs are being counted"))
    checks = checks_of(seen, plan_for())
    assert plain(checks)["ready"] is True
    found = {check.name: check.state for check in checks}
    assert (found["database"], found["jobs"]) == (State.OK, State.UNKNOWN)
    assert b"lumbar_node_database_up 1.0" in exposition(seen, plan_for())

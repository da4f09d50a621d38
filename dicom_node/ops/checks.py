"""What `/ready` and `lumbar-node status` check, each with its value and its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from dicom_node import __version__
from dicom_node.jobs.job_numbers import JobNumbers
from dicom_node.node_report import NodeReport, OpsPlan
from dicom_node.ops.probe import Counting, Trouble

TURN_LIMIT_S = 30.0
"""The supervisor turns at least once a second, but may wait some seconds for a database
that is locked."""
HEARTBEAT_LIMIT_S = 60.0
"""A worker sends a heartbeat every 5 s, and is ended after so long without one."""
ECHO_LIMIT_S = 5.0
_DAY_S = 86400.0
_ACCEPTOR = "acceptor-"
_WORKER = "worker-"


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It cannot be told from here; this does not make the node unready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    value, limit
        In `unit`; None where there is none.
    text
        One sentence for people.
    """

    name: str
    state: State
    text: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that was looked at.

    Parameters
    ----------
    report
        The supervisor's last one; None if there was none yet.
    is_told
        Whether the supervisor reports to us at all.
    monotonic_s, posix_s
        Now.
    echo_s, numbers, disk
        What was asked; free and all bytes of the disk.
    valid_until_s
        POSIX times, by the setting that names a certificate of ours.
    audit_waiting
        How many audit messages wait to be sent.
    """

    report: NodeReport | None
    is_told: bool
    monotonic_s: float
    posix_s: float
    echo_s: float | Trouble
    numbers: JobNumbers | Trouble
    disk: tuple[int, int] | Trouble
    valid_until_s: Mapping[str, float] | Trouble
    audit_waiting: int | Trouble = 0


def checks_of(seen: Seen, plan: OpsPlan) -> tuple[Check, ...]:
    """Return every check."""
    found = (
        supervisor_check(seen),
        *((_acceptors(seen),) if plan.receives else ()),
        _workers(seen),
        _database(seen),
        _disk(seen, plan),
        _jobs(seen, plan),
    )
    return (*found, _certificates(seen)) if plan.certificates else found


def is_ready(checks: Sequence[Check]) -> bool:
    """Tell whether nothing failed."""
    return all(check.state is not State.FAILED for check in checks)


def plain(checks: Sequence[Check]) -> dict[str, Any]:
    """Return checks as `/ready` and `status --json` tell them."""
    return {
        "ready": is_ready(checks),
        "version": __version__,
        "checks": [asdict(check) for check in checks],
    }


def supervisor_check(seen: Seen) -> Check:
    """Return whether the supervisor turns."""
    if seen.report is None:
        return _untold("supervisor", seen)
    age_s = seen.monotonic_s - seen.report.turned_at_s
    return Check(
        name="supervisor",
        state=_ok(age_s <= TURN_LIMIT_S),
        value=round(age_s, 3),
        limit=TURN_LIMIT_S,
        unit="s",
        text="since the supervisor's last turn",
    )


def _acceptors(seen: Seen) -> Check:
    name = "acceptors"
    if isinstance(seen.echo_s, Trouble):
        text = f"no answer to C-ECHO: {seen.echo_s.text}"
        return Check(
            name=name, state=State.FAILED, limit=ECHO_LIMIT_S, unit="s", text=text
        )
    children = () if seen.report is None else seen.report.children
    down = [one.name for one in children if one.pid is None]
    dead = [one for one in down if one.startswith(_ACCEPTOR)]
    return Check(
        name=name,
        state=_ok(not dead),
        value=round(seen.echo_s, 3),
        limit=ECHO_LIMIT_S,
        unit="s",
        text=f"{', '.join(dead)} does not run" if dead else "to answer a C-ECHO",
    )


def _workers(seen: Seen) -> Check:
    if seen.report is None:
        return _untold("workers", seen)
    silent_s = {
        one.name: seen.monotonic_s - one.heard_at_s
        for one in seen.report.children
        if one.name.startswith(_WORKER) and one.heard_at_s is not None
    }
    longest_s = max(silent_s.values(), default=0.0)
    silent = [name for name, age_s in silent_s.items() if age_s > HEARTBEAT_LIMIT_S]
    return Check(
        name="workers",
        state=_ok(not silent),
        value=round(longest_s, 3),
        limit=HEARTBEAT_LIMIT_S,
        unit="s",
        text=f"{', '.join(silent)} gives no sign of life"
        if silent
        else "since the oldest of the workers' last heartbeats",
    )


def _database(seen: Seen) -> Check:
    if isinstance(seen.numbers, Counting):
        return Check(name="database", state=State.OK, text=seen.numbers.text)
    if isinstance(seen.numbers, Trouble):
        return Check(name="database", state=State.FAILED, text=seen.numbers.text)
    count = sum(seen.numbers.states.values())
    text = "jobs in the database, which can be read"
    return Check(name="database", state=State.OK, value=count, unit="jobs", text=text)


def _disk(seen: Seen, plan: OpsPlan) -> Check:
    limit = float(plan.min_free_bytes)
    if isinstance(seen.disk, Trouble):
        text = f"{plan.spool_folder}: {seen.disk.text}"
        return Check(
            name="disk", state=State.FAILED, limit=limit, unit="bytes", text=text
        )
    free, _ = seen.disk
    return Check(
        name="disk",
        state=_ok(free > limit),
        value=float(free),
        limit=limit,
        unit="bytes",
        text="free for the spool; below the limit a C-STORE is answered 0xA700",
    )


def _jobs(seen: Seen, plan: OpsPlan) -> Check:
    limit_s = plan.oldest_job_s
    if isinstance(seen.numbers, Trouble):
        text = "the job database cannot be read"
        if isinstance(seen.numbers, Counting):
            text = seen.numbers.text
        return Check(
            name="jobs", state=State.UNKNOWN, limit=limit_s, unit="s", text=text
        )
    oldest_s = seen.numbers.oldest_unsettled_s
    age_s = 0.0 if oldest_s is None else max(seen.posix_s - oldest_s, 0.0)
    return Check(
        name="jobs",
        state=_ok(age_s <= limit_s),
        value=round(age_s),
        limit=limit_s,
        unit="s",
        text="age of the oldest job that is not settled",
    )


def _certificates(seen: Seen) -> Check:
    name = "certificates"
    if isinstance(seen.valid_until_s, Trouble):
        return Check(name=name, state=State.FAILED, text=seen.valid_until_s.text)
    first, until_s = min(seen.valid_until_s.items(), key=lambda item: item[1])
    days = (until_s - seen.posix_s) / _DAY_S
    return Check(
        name=name,
        state=_ok(days > 0),
        value=round(days, 1),
        limit=0.0,
        unit="d",
        text=f"until the certificate of {first} expires",
    )


def _untold(name: str, seen: Seen) -> Check:
    if seen.is_told:
        text = "the supervisor has not reported yet"
        return Check(name=name, state=State.FAILED, text=text)
    text = "only `ops` knows, which is off or does not answer"
    return Check(name=name, state=State.UNKNOWN, text=text)


def _ok(is_good: bool) -> State:  # noqa: FBT001 - the one thing it is about
    return State.OK if is_good else State.FAILED

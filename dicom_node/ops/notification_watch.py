"""Finds what a person shall know of, in what the node tells of itself anyway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dicom_node.audit.spool import AuditSpool
from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.job_troubles import JobTroublesReader
from dicom_node.node_report import Counted
from dicom_node.ops.notification import Kind, Problem
from dicom_node.ops.notification_state import FROM, TO
from dicom_node.ops.spool_disk import spool_disk
from dicom_node.ops.working_time import worked_s

if TYPE_CHECKING:
    from dicom_node.node_report import NodeReport, NotifyPlan, OpsPlan
    from dicom_node.ops.notification_state import Memory

_GIB = 2**30
_OVER = 1.1
"""The disk is called well again when so much more than the limit is free."""
_MANY_WAIT = 0.5
"""Of the audit messages that may wait: there is time to mend the repository."""
_SUPERVISOR = "supervisor"
_DONE = ("done",)
_OF_JOBS = frozenset({Kind.JOB, Kind.PEER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found at one look.

    Parameters
    ----------
    problems
        By their key.
    unknown
        Kinds of which nothing could be learned.
    """

    problems: dict[str, Problem]
    unknown: frozenset[Kind]


class NotificationWatch:
    """Looks at the jobs, the disk and the senders; `memory` holds what takes time."""

    def __init__(self, plan: OpsPlan, notify: NotifyPlan, memory: Memory) -> None:
        self._plan = plan
        self._notify = notify
        self._memory = memory
        self._reader = JobTroublesReader(plan.database_url)
        self._is_disk_low = False

    def look(self, report: NodeReport | None, now_s: float) -> Found:
        """Return what is wrong now.

        Parameters
        ----------
        report
            The supervisor's last one.
        now_s
            POSIX time.
        """
        problems: list[Problem] = []
        unknown: set[Kind] = set()
        if report is not None:
            self._memory.counted(_counts(report), _pid(report), now_s)
        try:
            problems += self._of_jobs(now_s)
        except JobDatabaseError:
            unknown |= _OF_JOBS
        problems += self._of_disk()
        try:
            problems += self._of_audit()
        except OSError:
            unknown.add(Kind.AUDIT)
        if report is None:
            unknown.add(Kind.SENDER)
        else:
            problems += self._of_senders(now_s)
        return Found(
            problems={one.key: one for one in problems}, unknown=frozenset(unknown)
        )

    def _of_jobs(self, now_s: float) -> list[Problem]:
        troubles = self._reader.read()
        problems = [
            Problem(kind=Kind.JOB, name=job_id, text=code)
            for job_id, code in troubles.failed.items()
            if self._notify.failed_jobs
        ]
        since_s = self._memory.kept_waiting(troubles.kept_waiting, now_s)
        for peer, first_s in since_s.items():
            if now_s - first_s >= self._notify.unreachable_s:
                code = troubles.kept_waiting[peer]
                text = (
                    f"{peer} has taken no results since {self._clock(first_s)} "
                    f"({code}). They wait and are tried again; "
                    f"`lumbar-node echo {peer}` asks it"
                )
                problems.append(Problem(kind=Kind.PEER, name=peer, text=text))
        return problems

    def _of_disk(self) -> Iterator[Problem]:
        try:
            free, _ = spool_disk(self._plan.spool_folder)
        except OSError as error:
            text = (
                f"the disk of the spool takes nothing ({error.strerror}): senders are "
                "refused"
            )
            yield Problem(kind=Kind.DISK, name="", text=text)
            return
        limit = self._notify.disk_below_bytes
        self._is_disk_low = free < limit * (_OVER if self._is_disk_low else 1.0)
        if self._is_disk_low:
            text = (
                f"the disk of the spool has {free / _GIB:.1f} GiB free, less than "
                f"{limit / _GIB:.1f}; below {self._plan.min_free_bytes / _GIB:.1f} "
                "senders are refused"
            )
            yield Problem(kind=Kind.DISK, name="", text=text)

    def _of_audit(self) -> Iterator[Problem]:
        audit = self._plan.audit
        if audit is None:
            return
        waiting = AuditSpool(audit.folder, most=audit.most).count()
        if waiting > _MANY_WAIT * audit.most:
            text = (
                f"{waiting} audit messages wait, and further ones are lost when "
                f"{audit.most} do: {audit.host}:{audit.port} does not take them"
            )
            yield Problem(kind=Kind.AUDIT, name="", text=text)

    def _of_senders(self, now_s: float) -> Iterator[Problem]:
        silent = self._notify.silent
        if silent is None:
            return
        heard_s = self._memory.heard(silent.senders, now_s)
        for title, last_s in heard_s.items():
            if worked_s(last_s, now_s, silent.working_time) < silent.after_s:
                continue
            text = (
                f"{title} ({silent.senders[title]}) has sent nothing for "
                f"{silent.after_s / 3600:g} hours of working time, not since "
                f"{self._clock(last_s)}"
            )
            yield Problem(kind=Kind.SENDER, name=title, text=text)

    def _clock(self, posix_s: float) -> str:
        moment = datetime.fromtimestamp(posix_s, self._notify.zone)
        return moment.strftime("%Y-%m-%d %H:%M")


def _pid(report: NodeReport) -> int:
    pids = [one.pid for one in report.children if one.name == _SUPERVISOR]
    return next(iter(pids), None) or 0


def _counts(report: NodeReport) -> dict[str, int]:
    """Return what tells that a sender sends and that a peer takes results."""
    stored = report.counts.get(Counted.INSTANCES, {})
    delivered = report.counts.get(Counted.DELIVERIES, {})
    taken = {key[0]: count for key, count in delivered.items() if key[1:] == _DONE}
    return {
        **{FROM + key[0]: count for key, count in stored.items()},
        **{TO + peer: count for peer, count in taken.items()},
    }

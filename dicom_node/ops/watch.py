"""Looks at the node from outside, and keeps what its supervisor reports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from dicom_node.audit.spool import AuditSpool
from dicom_node.jobs.job_numbers import JobNumbers, JobNumbersReader
from dicom_node.node_report import NodeReport, OpsPlan
from dicom_node.ops.checks import ECHO_LIMIT_S, Check, Seen, checks_of
from dicom_node.ops.probe import Counting, Probe, Trouble
from dicom_node.ops.spool_disk import spool_disk
from dicom_node.ops.verification import echo, itself
from dicom_node.tls import valid_until_s

_EVERY_S = 5.0
_WITHIN_S = 6.0
"""A little longer than the C-ECHO and a lock of the database may take."""
_PROBES = 5
_CERTIFICATES_EVERY_S = 600.0
_COUNTING = "the database answers; its jobs are being counted for the first time"
_NOT_ASKED = Trouble("not asked")


class Watch:
    """What can be told of the node now.

    Parameters
    ----------
    is_told
        Whether the supervisor reports, by setting `report`.
    """

    def __init__(self, plan: OpsPlan, *, is_told: bool) -> None:
        self.plan = plan
        self.report: NodeReport | None = None
        self._is_told = is_told
        # One for each probe, of which each asks one question at a time.
        threads = ThreadPoolExecutor(_PROBES, thread_name_prefix="probe")
        self._echo = Probe(
            lambda: echo(itself(plan), ECHO_LIMIT_S),
            threads,
            every_s=_EVERY_S,
            within_s=_WITHIN_S,
        )
        self._reader = JobNumbersReader(plan.database_url)
        self._numbers: Probe[JobNumbers] = Probe(
            self._reader.read, threads, every_s=_EVERY_S, within_s=_WITHIN_S
        )
        self._disk = Probe(
            lambda: spool_disk(plan.spool_folder),
            threads,
            every_s=1.0,
            within_s=_WITHIN_S,
        )
        self._certificates: Probe[Mapping[str, float]] = Probe(
            self._read_certificates,
            threads,
            every_s=_CERTIFICATES_EVERY_S,
            within_s=_WITHIN_S,
        )

        self._audit = Probe(
            self._count_audit, threads, every_s=_EVERY_S, within_s=_WITHIN_S
        )

    async def look(self, *, with_echo: bool) -> Seen:
        """Look at everything; a C-ECHO leaves a line in the log of the node."""
        echo_s, numbers, disk, certificates, audit_waiting = await asyncio.gather(
            self._echo.answer() if with_echo and self.plan.receives else _not_asked(),
            self._numbers.answer(),
            self._disk.answer(),
            self._certificates.answer(),
            self._audit.answer(),
        )
        if isinstance(numbers, Trouble) and self._reader.is_counting:
            numbers = Counting(_COUNTING)
        return Seen(
            report=self.report,
            is_told=self._is_told,
            monotonic_s=time.monotonic(),
            posix_s=time.time(),
            echo_s=echo_s,
            numbers=numbers,
            disk=disk,
            valid_until_s=certificates,
            audit_waiting=audit_waiting,
        )

    async def checks(self) -> tuple[Check, ...]:
        """Return every check of `/ready`."""
        return checks_of(await self.look(with_echo=True), self.plan)

    def _count_audit(self) -> int:
        plan = self.plan.audit
        return 0 if plan is None else AuditSpool(plan.folder, most=plan.most).count()

    def _read_certificates(self) -> dict[str, float]:
        return {
            name: valid_until_s(files) for name, files in self.plan.certificates.items()
        }


async def _not_asked() -> Trouble:
    return _NOT_ASKED

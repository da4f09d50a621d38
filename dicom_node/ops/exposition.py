"""Metrics in the text format of Prometheus; no patient data and no UID in a label.

Every label takes few values: what comes from outside, as calling AE titles, was bounded
by the supervisor's tally, and codes of reasons are bounded here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from dicom_node import __version__
from dicom_node.jobs.job_numbers import JobNumbers
from dicom_node.node_report import (
    BOUNDS_S,
    Counted,
    Labels,
    NodeReport,
    OpsPlan,
    Timed,
)
from dicom_node.ops.checks import Seen
from dicom_node.ops.probe import Counting, Trouble

_MOST_LABELS = 100
_OTHER = "other"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_COUNTERS: Mapping[Counted, tuple[str, str, Labels]] = {
    Counted.INSTANCES: (
        "lumbar_node_instances_received",
        "Instances stored on disk.",
        ("calling_ae",),
    ),
    Counted.BYTES: (
        "lumbar_node_received_bytes",
        "Bytes of these instances.",
        ("calling_ae",),
    ),
    Counted.REJECTED_ASSOCIATIONS: (
        "lumbar_node_associations_rejected",
        "Associations rejected.",
        ("reason",),
    ),
    Counted.SERIES: (
        "lumbar_node_series_completed",
        "Series whose triage was queued, by the evidence that they are complete.",
        ("evidence",),
    ),
    Counted.STEPS: (
        "lumbar_node_steps",
        "Steps of jobs that have ended, by their verdict.",
        ("step", "verdict"),
    ),
    Counted.DELIVERIES: (
        "lumbar_node_delivery_attempts",
        "Attempts to deliver, by their verdict.",
        ("peer", "outcome"),
    ),
    Counted.RELOADS: (
        "lumbar_node_settings_reloads",
        "Requests to read the settings again, by what became of them.",
        ("outcome",),
    ),
}
_HISTOGRAMS: Mapping[Timed, tuple[str, str, Labels]] = {
    Timed.STEP: ("lumbar_node_step_seconds", "Time of a step of a job.", ("step",)),
    Timed.TURN: (
        "lumbar_node_supervisor_turn_seconds",
        "Time of a turn of the supervisor.",
        (),
    ),
    Timed.HOUSEKEEPING: (
        "lumbar_node_housekeeping_seconds",
        "Time of a turn for which housekeeping held the supervisor.",
        (),
    ),
}


def exposition(seen: Seen, plan: OpsPlan) -> bytes:
    """Return all metrics of this moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(tuple(_metrics(seen, plan))))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _metrics(seen: Seen, plan: OpsPlan) -> Iterator[Metric]:
    yield _gauge("info", "Version of the node.", ("version",), {(__version__,): 1})
    if seen.report is not None:
        yield from _told(seen.report, seen.monotonic_s)
    is_up = not isinstance(seen.numbers, Trouble) or isinstance(seen.numbers, Counting)
    yield _gauge("database_up", "Whether the job database can be read.", (), is_up)
    if not isinstance(seen.numbers, Trouble):
        yield from _of_jobs(seen.numbers, seen.posix_s)
    if not isinstance(seen.disk, Trouble):
        free, size = seen.disk
        yield _gauge("disk_free_bytes", "Free on the disk of the spool.", (), free)
        yield _gauge("disk_size_bytes", "Size of the disk of the spool.", (), size)
    if plan.audit is not None and not isinstance(seen.audit_waiting, Trouble):
        text = "Audit messages that wait to be sent."
        yield _gauge("audit_waiting_messages", text, (), float(seen.audit_waiting))
        text = "So many audit messages wait at most; further ones are lost."
        yield _gauge("audit_waiting_limit_messages", text, (), float(plan.audit.most))
    if not isinstance(seen.valid_until_s, Trouble):
        text = "POSIX time until which a certificate of ours is valid."
        dates: dict[Labels, float] = {
            (name,): date for name, date in seen.valid_until_s.items()
        }
        yield _gauge("certificate_expiry_timestamp_seconds", text, ("setting",), dates)
    limit = plan.min_free_bytes
    yield _gauge("disk_limit_bytes", "Less free: C-STORE is refused.", (), limit)


def _told(report: NodeReport, now_s: float) -> Iterator[Metric]:
    for what, (name, text, labels) in _COUNTERS.items():
        counter = CounterMetricFamily(name, text, labels=labels)
        for key, value in report.counts.get(what, {}).items():
            counter.add_metric(key, value)
        yield counter
    for timed, (name, text, labels) in _HISTOGRAMS.items():
        yield _histogram(report, timed, name, text, labels)
    age_s = max(now_s - report.turned_at_s, 0.0)
    yield _gauge("supervisor_turn_age_seconds", "Since its last turn.", (), age_s)
    versions: dict[Labels, float] = dict.fromkeys(report.analyses, 1)
    text = "Version of an analysis, its model included, that a worker has loaded."
    yield _gauge("analysis_info", text, ("analysis", "version"), versions)
    yield from _of_processes(report, now_s)


def _of_processes(report: NodeReport, now_s: float) -> Iterator[Metric]:
    label = ("process",)
    starts = CounterMetricFamily(
        "lumbar_node_process_starts", "Starts of a process.", labels=label
    )
    deaths = CounterMetricFamily(
        "lumbar_node_process_deaths", "Ends by a signal or an error.", labels=label
    )
    memory: dict[Labels, float] = {}
    silent_s: dict[Labels, float] = {}
    for child in report.children:
        starts.add_metric((child.name,), child.starts)
        deaths.add_metric((child.name,), child.deaths)
        resident = None if child.pid is None else _resident_bytes(child.pid)
        if resident is not None:
            memory[child.name,] = resident
        if child.heard_at_s is not None:
            silent_s[child.name,] = max(now_s - child.heard_at_s, 0.0)
    yield starts
    yield deaths
    text = "Memory of a process that is in use, what it shares included."
    yield _gauge("process_resident_bytes", text, label, memory)
    text = "Since a worker's last heartbeat."
    yield _gauge("worker_heartbeat_age_seconds", text, label, silent_s)


def _of_jobs(numbers: JobNumbers, now_s: float) -> Iterator[Metric]:
    text = "Jobs that are known, by state and code of the reason."
    states = _bounded(numbers.states)
    yield _gauge("jobs", text, ("state", "reason"), states)
    text = "Deliveries that are known, by the state of the last attempt."
    deliveries = _bounded(numbers.deliveries)
    yield _gauge("deliveries", text, ("peer", "state"), deliveries)
    for name, text, since_s in (
        ("oldest_unsettled_job", "that is not settled", numbers.oldest_unsettled_s),
        ("oldest_undelivered", "that a peer lacks", numbers.oldest_undelivered_s),
    ):
        age_s = 0.0 if since_s is None else max(now_s - since_s, 0.0)
        what = f"Age of the oldest job {text}; 0 if there is none."
        yield _gauge(f"{name}_seconds", what, (), age_s)


def _gauge(
    name: str, text: str, labels: Labels, values: Mapping[Labels, float] | float
) -> Metric:
    gauge = GaugeMetricFamily(f"lumbar_node_{name}", text, labels=labels)
    table = values if isinstance(values, Mapping) else {(): float(values)}
    for key, value in table.items():
        gauge.add_metric(key, value)
    return gauge


def _histogram(
    report: NodeReport, timed: Timed, name: str, text: str, labels: Labels
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    bounds = [*map(str, BOUNDS_S[timed]), "+Inf"]
    for key, histogram in report.times.get(timed, {}).items():
        buckets = zip(bounds, accumulate(histogram.counts), strict=True)
        family.add_metric(key, list(buckets), sum_value=histogram.sum_s)
    return family


def _bounded(table: Mapping[tuple[str, str], int]) -> Mapping[Labels, float]:
    """Return the largest values, and the sum of all others under one name."""
    kept: dict[Labels, float] = {}
    for (first, second), value in sorted(
        table.items(), key=lambda item: item[1], reverse=True
    ):
        key = (first, second) if len(kept) < _MOST_LABELS else (_OTHER, _OTHER)
        kept[key] = kept.get(key, 0) + value
    return kept


def _resident_bytes(pid: int) -> int | None:
    """Return the memory of a process in use; None if it has ended (proc(5), statm)."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    except OSError:
        return None
    return int(fields[1]) * _PAGE_BYTES

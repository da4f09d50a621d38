"""What became of each series that was acknowledged, asked of the peers themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset

from tests.chaos.senders import SentSeries, Way
from tests.support.peers import referenced_instances

_FAILED = {"failed", "rejected"}
_SETTLED = {"done", "cancelled"} | _FAILED
PROVING = frozenset({"orthanc"})
"""Peers that are asked to commit to what they have stored."""
_LENGTH_CODE = "PHANTOM-LENGTH"

_LEAST_RESULTS = 2
"""SEG and SR."""

Job = Mapping[str, Any]
"""A row of `jobs list --json`."""


@dataclass
class Tally:
    """Counts over all batches.

    Parameters
    ----------
    committed
        Instances to which a peer has committed, by its name.
    named
        Reasons of series that ended in a failure which `jobs list` shows.
    faults
        How often each fault was brought about.
    failed_starts
        Starts that the node gave up, as with a full disk; it was started again.
    losses, twins, ends
        A sentence for each: a result that is missing, a result that came as two, a
        node that ended by itself while it served.
    """

    rounds: int = 0
    series: int = 0
    instances: int = 0
    failed_starts: int = 0
    result_sets: Counter[str] = field(default_factory=Counter)
    committed: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    @property
    def gone_wrong(self) -> int:
        """How often something was lost, came twice, or a node ended by itself."""
        return len(self.losses) + len(self.twins) + len(self.ends)

    @property
    def is_clean(self) -> bool:
        """Whether there was no fault."""
        return self.gone_wrong == 0


@dataclass(frozen=True)
class ResultSet:
    """A report with its segmentation, as a peer holds them.

    Parameters
    ----------
    length_mm
        What the phantom measured: it tells one content of a series from another.
    sources
        SOP instance UIDs of the source instances.
    """

    length_mm: float
    sources: frozenset[str]


@dataclass
class Held:
    """What one peer holds of one study."""

    result_sets: list[ResultSet] = field(default_factory=list)
    reports: int = 0
    segmentations: int = 0
    captures: int = 0


def held_by_study(objects: Iterable[Dataset]) -> Mapping[str, Held]:
    """Sort what a peer holds by study, and put reports and segmentations together."""
    by_study: dict[str, dict[str, Dataset]] = defaultdict(dict)
    for found in objects:
        by_study[str(found.StudyInstanceUID)][str(found.SOPInstanceUID)] = found
    return {uid: _held(list(found.values())) for uid, found in by_study.items()}


def _held(objects: list[Dataset]) -> Held:
    segmentations = {
        str(one.SOPInstanceUID): _sources(one)
        for one in objects
        if one.Modality == "SEG"
    }
    reports = [one for one in objects if one.Modality == "SR"]
    sets = [
        ResultSet(_length_mm(report), segmentations[uid])
        for report in reports
        for uid in referenced_instances(report) & segmentations.keys()
    ]
    return Held(
        result_sets=sets,
        reports=len(reports),
        segmentations=len(segmentations),
        captures=sum(one.Modality not in {"SEG", "SR"} for one in objects),
    )


def _sources(segmentation: Dataset) -> frozenset[str]:
    return frozenset(
        str(one.ReferencedSOPInstanceUID)
        for series in segmentation.ReferencedSeriesSequence
        for one in series.ReferencedInstanceSequence
    )


def _length_mm(report: Dataset) -> float:
    for item in _items(report):
        name = item.get("ConceptNameCodeSequence")
        if name and name[0].CodeValue == _LENGTH_CODE:
            return float(item.MeasuredValueSequence[0].NumericValue)
    return float("nan")


def _items(parent: Dataset) -> Iterator[Dataset]:
    """Yield the content items of a report, from the root down."""
    for item in parent.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def settled_well(series: SentSeries, jobs: list[Job]) -> bool:
    """Tell whether the jobs of a series have all ended, the last with all of it."""
    if not series.acknowledged:
        return True
    if not jobs or any(job["state"] not in _SETTLED for job in jobs):
        return False
    return bool(_latest(jobs)["instances"] >= len(series.acknowledged))


def _latest(jobs: list[Job]) -> Job:
    return max(jobs, key=lambda job: job["revision"])


def judge(
    series: SentSeries,
    jobs: list[Job],
    held: Mapping[str, Held],
    tally: Tally,
) -> None:
    """Look for the results of one series at every peer.

    Parameters
    ----------
    jobs
        Those of the series, as `jobs list` shows them.
    held
        What each peer holds of the study, by its name.
    """
    if not series.acknowledged:
        return
    tally.series += 1
    tally.instances += len(series.acknowledged)
    where = f"series {series.number} ({series.way})"
    if not jobs:
        tally.losses.append(f"{where}: no job")
        return
    latest = _latest(jobs)
    if not settled_well(series, jobs):
        states = ", ".join(f"{job['state']} of {job['instances']}" for job in jobs)
        tally.losses.append(f"{where}: {states}, {len(series.acknowledged)} sent")
        return
    if latest["state"] == "rejected" and series.way is not Way.ABANDONED:
        # What is sent can be analysed; only a part of it may not.
        tally.losses.append(f"{where}: rejected, {latest['reason']}")
    if latest["state"] in _FAILED:
        # Of a peer, and why it lacks them; no UIDs and no times.
        tally.named[": ".join(str(latest["reason"]).split(": ")[:2])] += 1
    for peer, found in held.items():
        _judge_twins(f"{where} at {peer}", found, len(jobs), tally)
        if latest["state"] in _FAILED:
            continue
        if peer in PROVING and latest["state"] == "done":
            _judge_proof(f"{where} at {peer}", peer, latest, tally)
        wanted = [one for one in found.result_sets if _is_wanted(one, series)]
        if wanted:
            tally.result_sets[peer] += 1
        else:
            tally.losses.append(
                f"{where} at {peer}: {latest['state']}, but of {found.segmentations} "
                f"SEG, {found.reports} SR none is of what was sent last"
            )


def _judge_proof(where: str, peer: str, job: Job, tally: Tally) -> None:
    """Look whether a job that is done says that its peer has committed to all."""
    proofs = job["proofs"].get(peer, {})
    committed = [uid for uid, proof in proofs.items() if proof == "committed"]
    tally.committed[peer] += len(committed)
    told = job["deliveries"].get(peer)
    if told != "committed" or len(committed) < max(len(proofs), _LEAST_RESULTS):
        tally.losses.append(
            f"{where}: done, {told}, {len(committed)} of {len(proofs)} committed"
        )


def _is_wanted(found: ResultSet, series: SentSeries) -> bool:
    return (
        abs(found.length_mm - series.lengths_mm[-1]) < 1e-3
        and found.sources >= series.acknowledged
    )


def _judge_twins(where: str, held: Held, jobs: int, tally: Tally) -> None:
    for one, count in Counter(held.result_sets).items():
        if count > 1:
            tally.twins.append(
                f"{where}: {count} results of {len(one.sources)} instances"
            )
    most = max(held.segmentations, held.reports, held.captures)
    if most > jobs:
        tally.twins.append(f"{where}: {most} results of a kind, {jobs} jobs")

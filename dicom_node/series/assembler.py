"""Instances become complete series: by release and quiet, by count, or by time.

Pure logic: no socket, no disk, no thread, and the clock comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dicom_node.identifiers import digest
from dicom_node.receive.events import (
    AssociationClosed,
    AssociationOpened,
    InstanceStored,
    SpoolEvent,
)
from dicom_node.records import Completion, ReceivedSeries, StoredInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRules:
    """When a series is complete.

    Parameters
    ----------
    quiet_s
        Time without an instance of the series, once every association that brought
        one is closed.
    max_wait_s
        Since the first instance; then the series is complete with what is there.
    count_interval_s
        Least time between two questions to a peer about one series.
    """

    quiet_s: float
    max_wait_s: float
    count_interval_s: float = 1.0


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """Names a series; both UIDs, since a series UID may be shared by two studies."""

    study_uid: str
    series_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CountQuestion:
    """Asks how many instances a series has in the eyes of the AE that sent it."""

    key: SeriesKey
    calling_ae: str


@dataclass(slots=True)
class _Arrival:
    """One series: all that came, and the round of collecting that is open, if any.

    Parameters
    ----------
    versions
        By SOP instance UID, the contents that came, the last one last.
    opened_at_s
        When the first instance of this round came; None if nothing is open.
    """

    key: SeriesKey
    versions: dict[str, dict[str, StoredInstance]] = field(default_factory=dict)
    associations: set[str] = field(default_factory=set)
    opened_at_s: float | None = None
    last_at_s: float = 0.0
    counted_at_s: float = float("-inf")
    is_confirmed: bool = False
    completed: list[ReceivedSeries] = field(default_factory=list)

    def add(self, instance: StoredInstance) -> bool:
        """Take an instance; tell whether what the series now holds has changed."""
        versions = self.versions.setdefault(instance.sop_instance_uid, {})
        was_last = bool(versions) and next(reversed(versions)) == instance.sha256
        versions.pop(instance.sha256, None)
        versions[instance.sha256] = instance
        return not was_last

    def instances(self) -> tuple[StoredInstance, ...]:
        """Return the last version of each instance, in the order of their UIDs."""
        return tuple(
            versions[next(reversed(versions))]
            for _, versions in sorted(self.versions.items())
        )

    def is_known(self) -> bool:
        """Tell whether the series holds what it held when it was last complete."""
        if not self.completed:
            return False
        return _content(self.completed[-1].instances) == _content(self.instances())

    def close(self, completion: Completion) -> ReceivedSeries | None:
        """End the round; None if the content is the one that was complete before."""
        self.opened_at_s = None
        self.is_confirmed = False
        if self.is_known():
            return None
        instances = self.instances()
        latest = max(instances, key=lambda instance: instance.received_at_s)
        series = ReceivedSeries(
            study_uid=self.key.study_uid,
            series_uid=self.key.series_uid,
            calling_ae=latest.calling_ae,
            instances=instances,
            digest=self._digest(),
            completion=completion,
            revision=self.completed[-1].revision + 1 if self.completed else 1,
            conflicts=tuple(
                uid
                for uid, versions in sorted(self.versions.items())
                if len(versions) > 1
            ),
        )
        self.completed.append(series)
        return series

    def _digest(self) -> str:
        """Return the digest under which what the series now holds is owed.

        A content that comes back after another one must be owed again, or the results
        of the other would stay the latest. So its digest names its predecessor too.
        """
        content = _content(self.instances())
        if all(_content(earlier.instances) != content for earlier in self.completed):
            return content
        return digest(content, self.completed[-1].digest)


class Assembler:
    """Follows what arrives and says which series are complete.

    Parameters
    ----------
    ask
        Called with a question whose answer shall come to `counted`; must not block.
        None if no peer is to be asked.
    """

    def __init__(
        self,
        rules: CompletionRules,
        *,
        ask: Callable[[CountQuestion], None] | None = None,
    ) -> None:
        self._rules = rules
        self._ask = ask
        self._series: dict[SeriesKey, _Arrival] = {}
        self._open_associations: set[str] = set()

    def apply(self, event: SpoolEvent, now_s: float) -> None:
        """Take note of one event; those of one association come in order."""
        if isinstance(event, AssociationOpened):
            self._open_associations.add(event.association_id)
        elif isinstance(event, InstanceStored):
            self._stored(event, now_s)
        elif isinstance(event, AssociationClosed):
            self._open_associations.discard(event.association_id)

    def acceptor_lost(self, name: str) -> None:
        """Count all associations of an acceptor process as closed: it has died."""
        prefix = f"{name}-"
        self._open_associations = {
            association_id
            for association_id in self._open_associations
            if not association_id.startswith(prefix)
        }

    def counted(self, question: CountQuestion, count: int | None) -> None:
        """Take the answer to a question; None if the peer gave none."""
        arrival = self._series.get(question.key)
        if arrival is not None and arrival.opened_at_s is not None:
            arrival.is_confirmed = count == len(arrival.versions)

    def tick(self, now_s: float) -> list[ReceivedSeries]:
        """Return the series that have become complete, and ask where that may help."""
        complete: list[ReceivedSeries] = []
        for arrival in self._series.values():
            if arrival.opened_at_s is None:
                continue
            completion = self._completion(arrival, now_s)
            if completion is None:
                self._question(arrival, now_s)
                continue
            series = arrival.close(completion)
            if series is not None:
                complete.append(series)
        return complete

    def restore(
        self,
        instances: Iterable[StoredInstance],
        completed: Iterable[ReceivedSeries],
        now_s: float,
    ) -> None:
        """Take up what lies on the disk and no event told of.

        That is everything when the node starts, and what an acceptor that died had
        stored last. A series whose content was never called complete is collecting
        again: quiet since now, for its sender may be about to go on.
        """
        for instance in sorted(instances, key=lambda item: item.received_at_s):
            arrival = self._arrival(instance)
            arrival.add(instance)
            arrival.last_at_s = now_s
            if arrival.opened_at_s is None:
                arrival.opened_at_s = now_s
        for series in sorted(completed, key=lambda item: item.revision):
            key = SeriesKey(series.study_uid, series.series_uid)
            if key in self._series:
                self._series[key].completed.append(series)
        for arrival in self._series.values():
            if arrival.is_known():
                arrival.opened_at_s = None

    def forget(self, key: SeriesKey) -> None:
        """Drop a series that was deleted from the disk."""
        self._series.pop(key, None)

    @property
    def collecting(self) -> int:
        """How many series are not yet complete."""
        return sum(a.opened_at_s is not None for a in self._series.values())

    def holds(self, key: SeriesKey) -> bool:
        """Tell whether a series is in the spool."""
        return key in self._series

    def is_collecting(self, key: SeriesKey) -> bool:
        """Tell whether a series is not yet complete."""
        arrival = self._series.get(key)
        return arrival is not None and arrival.opened_at_s is not None

    def _arrival(self, instance: StoredInstance) -> _Arrival:
        key = SeriesKey(instance.study_uid, instance.series_uid)
        return self._series.setdefault(key, _Arrival(key))

    def _stored(self, event: InstanceStored, now_s: float) -> None:
        arrival = self._arrival(event.instance)
        has_changed = arrival.add(event.instance)
        if arrival.opened_at_s is None:
            if not has_changed:
                return  # a second send of what is complete owes nothing
            arrival.opened_at_s = now_s
            arrival.associations.clear()
        if event.association_id in self._open_associations:
            arrival.associations.add(event.association_id)
        arrival.last_at_s = now_s
        if has_changed:
            arrival.is_confirmed = False
            arrival.counted_at_s = float("-inf")

    def _completion(self, arrival: _Arrival, now_s: float) -> Completion | None:
        arrival.associations &= self._open_associations
        opened_at_s = arrival.opened_at_s
        if opened_at_s is None:
            return None
        if not arrival.associations:
            if arrival.is_confirmed:
                return Completion.COUNT_CONFIRMED
            if now_s - arrival.last_at_s >= self._rules.quiet_s:
                return Completion.RELEASED_AND_QUIET
        if now_s - opened_at_s >= self._rules.max_wait_s:
            return Completion.MAX_WAIT
        return None

    def _question(self, arrival: _Arrival, now_s: float) -> None:
        if self._ask is None or arrival.associations:
            return
        if now_s - arrival.counted_at_s < self._rules.count_interval_s:
            return
        arrival.counted_at_s = now_s
        latest = max(arrival.instances(), key=lambda item: item.received_at_s)
        self._ask(CountQuestion(key=arrival.key, calling_ae=latest.calling_ae))


def _content(instances: Iterable[StoredInstance]) -> str:
    """Return the digest of what instances, in the order of their UIDs, hold."""
    return digest(
        *(part for one in instances for part in (one.sop_instance_uid, one.sha256))
    )

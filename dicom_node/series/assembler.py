"""Instances become complete series: by release and quiet, by count, or by time.

Pure logic: no socket, no disk, no thread, and the clock comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from dicom_node.receive.events import (
    AssociationClosed,
    AssociationOpened,
    InstanceStored,
    SpoolEvent,
)
from dicom_node.records import Completion, ReceivedSeries, StoredInstance
from dicom_node.series.arriving_series import (
    ArrivingSeries,
    SeriesCount,
    SeriesKey,
    order_of_arrival,
)
from dicom_node.series.released_series import ReleasedSeries

_LONGEST_QUESTION_INTERVAL_S = 60.0
_LEAD_S = 10.0
"""Most series are measured within that; nothing is gained by an earlier beginning."""
_WORTH_FORESEEING_S = 2.0
"""A node that waits for a shorter silence has no time to gain."""
_WORTH_S = 1.0
"""Little is gained by work that begins later than that before a series is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRules:
    """When a series is complete.

    Parameters
    ----------
    quiet_s
        Time without an instance of the series, once every association that brought
        one was released. A count that is the same for as long is believed.
    max_wait_s
        Since the first instance; then the series is complete with what is there.
    question_interval_s
        Time between the first two questions to a peer about one series; it doubles
        from each to the next.
    """

    quiet_s: float
    max_wait_s: float
    question_interval_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CountQuestion:
    """Asks how many instances a series has in the eyes of the AE that sent it.

    Parameters
    ----------
    asked_at_s
        On the clock of the assembler.
    """

    key: SeriesKey
    calling_ae: str
    asked_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CountAnswer:
    """What came of a question; None if the peer gave no count."""

    question: CountQuestion
    count: SeriesCount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeseenSeries:
    """A series that seems to be whole, and is not yet complete.

    Parameters
    ----------
    until_s
        When it may be complete, on the clock of the assembler.
    """

    instances: tuple[StoredInstance, ...]
    until_s: float


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
        self._series: dict[SeriesKey, ArrivingSeries] = {}
        self._collecting: dict[SeriesKey, ArrivingSeries] = {}
        self._sent_again: dict[SeriesKey, float] = {}
        self._open_associations: set[str] = set()

    def follow(
        self, rules: CompletionRules, ask: Callable[[CountQuestion], None] | None
    ) -> None:
        """Go by other rules, and ask someone else, from now on."""
        self._rules = rules
        self._ask = ask

    def apply(self, event: SpoolEvent, now_s: float) -> None:
        """Take note of one event; those of one association come in order."""
        if isinstance(event, AssociationOpened):
            self._open_associations.add(event.association_id)
        elif isinstance(event, InstanceStored):
            self._stored(event, now_s)
        elif isinstance(event, AssociationClosed):
            self._closed(event.association_id, is_release=event.ending.is_release)

    def acceptor_lost(self, name: str) -> None:
        """Count all associations of an acceptor process as broken: it has died."""
        prefix = f"{name}-"
        for association_id in tuple(self._open_associations):
            if association_id.startswith(prefix):
                self._closed(association_id, is_release=False)

    def counted(self, answer: CountAnswer) -> None:
        """Take the answer to a question."""
        asked = answer.question
        series = self._collecting.get(asked.key)
        if series is not None and answer.count is not None:
            series.counted(
                answer.count, asked_at_s=asked.asked_at_s, quiet_s=self._rules.quiet_s
            )

    def tick(self, now_s: float) -> list[ReceivedSeries]:
        """Return the series that have become complete, and ask where that may help."""
        complete: list[ReceivedSeries] = []
        for key, arriving in tuple(self._collecting.items()):
            completion = self._completion(arriving, now_s)
            if completion is None:
                self._question(arriving, now_s)
                continue
            del self._collecting[key]
            series = arriving.close(completion)
            if series is not None:
                complete.append(series)
        return complete

    def sent_again(self, now_s: float) -> list[ReceivedSeries]:
        """Return complete series of which instances came again, and none since long.

        They hold what they held, in files that are as young as the repetition. Whether
        anything is owed for them after settings have changed is for others to say.
        """
        quiet = [
            key
            for key, last_s in self._sent_again.items()
            if now_s - last_s >= self._rules.quiet_s and key not in self._collecting
        ]
        for key in quiet:
            del self._sent_again[key]
        return [self._series[key].note_repetition() for key in quiet]

    def foreseen(self, now_s: float) -> list[ForeseenSeries]:
        """Return series that seem to be whole, each once for each silence.

        Nobody may rely on it: whether a series is complete is told by `tick`.
        """
        found: list[ForeseenSeries] = []
        if self._rules.quiet_s < _WORTH_FORESEEING_S:
            return found
        for arriving in self._collecting.values():
            now = arriving.round
            if now is None or now.is_foreseen or now.is_interrupted:
                continue
            if now_s - now.last_at_s < now.silence_s:
                continue
            until_s = now.last_at_s + self._rules.quiet_s
            if now.associations:
                # Its sender may go on with other series, or keep the line for a while.
                until_s = max(until_s, now_s + _LEAD_S)
            if not _WORTH_S <= until_s - now_s <= _LEAD_S:
                continue
            now.foresee()
            if not arriving.is_known():
                instances = arriving.instances()
                found.append(ForeseenSeries(instances=instances, until_s=until_s))
        return found

    def released(self) -> Iterator[ReleasedSeries]:
        """Yield the series that are collecting, and wait for nothing but quiet."""
        for key, arriving in self._collecting.items():
            now = arriving.round
            if now is not None and not now.associations and not now.is_interrupted:
                yield _released(key, arriving)

    def restore(
        self,
        instances: Iterable[StoredInstance],
        completed: Iterable[ReceivedSeries],
        now_s: float,
        released: Collection[ReleasedSeries] = (),
    ) -> None:
        """Take up what lies on the disk and no event told of.

        That is everything when the node starts, and what an acceptor that died had
        stored last. A series whose content was never called complete is collecting
        again. The association that brought it broke when the process died, as far as
        anyone knows: it waits for its sender to repeat it, unless it is among those
        that were `released` and nothing has come since. A complete series that was
        sent again, and not yet called so, is as if that had happened now.
        """
        found: set[SeriesKey] = set()
        for instance in sorted(instances, key=order_of_arrival):
            arriving = self._arriving(instance)
            found.add(arriving.key)
            if arriving.add(instance):
                self._collect(arriving, now_s)
        for series in sorted(completed, key=lambda item: item.revision):
            key = SeriesKey(series.study_uid, series.series_uid)
            if key in self._series:
                self._series[key].completed.append(series)
        for key, arriving in tuple(self._collecting.items()):
            if arriving.is_known():
                arriving.round = None
                del self._collecting[key]
            elif arriving.round is not None and _released(key, arriving) in released:
                arriving.round.is_interrupted = False
        for key in found - self._collecting.keys():
            if self._series[key].came_again():
                self._sent_again[key] = now_s

    def forget(self, key: SeriesKey) -> None:
        """Drop a series that was deleted from the disk."""
        self._series.pop(key, None)
        self._collecting.pop(key, None)
        self._sent_again.pop(key, None)

    def instances(self) -> Iterator[StoredInstance]:
        """Yield every version of every instance."""
        for arriving in self._series.values():
            for versions in arriving.versions.values():
                yield from versions.values()

    @property
    def collecting(self) -> int:
        """How many series are not yet complete."""
        return len(self._collecting)

    def holds(self, key: SeriesKey) -> bool:
        """Tell whether a series is in the spool."""
        return key in self._series

    def is_collecting(self, key: SeriesKey) -> bool:
        """Tell whether a series is not yet complete."""
        return key in self._collecting

    def _arriving(self, instance: StoredInstance) -> ArrivingSeries:
        key = SeriesKey(instance.study_uid, instance.series_uid)
        return self._series.setdefault(key, ArrivingSeries(key))

    def _collect(self, arriving: ArrivingSeries, now_s: float) -> None:
        arriving.arrive(now_s).is_interrupted = True
        self._collecting[arriving.key] = arriving

    def _stored(self, event: InstanceStored, now_s: float) -> None:
        arriving = self._arriving(event.instance)
        has_changed = arriving.add(event.instance)
        if arriving.round is None and not has_changed:
            self._sent_again[arriving.key] = now_s
            return
        self._sent_again.pop(arriving.key, None)
        now = arriving.arrive(now_s)
        self._collecting[arriving.key] = arriving
        if event.association_id in self._open_associations:
            now.associations.add(event.association_id)
            if now.is_interrupted:
                now.repeating.add(event.association_id)
        if has_changed:
            now.is_confirmed = False
            now.asked_at_s = float("-inf")

    def _closed(self, association_id: str, *, is_release: bool) -> None:
        self._open_associations.discard(association_id)
        for arriving in self._collecting.values():
            arriving.end_association(association_id, is_release=is_release)

    def _completion(self, arriving: ArrivingSeries, now_s: float) -> Completion | None:
        now = arriving.round
        if now is None:
            return None
        if not now.associations:
            if now.is_confirmed:
                return Completion.COUNT_CONFIRMED
            is_quiet = now_s - now.last_at_s >= self._rules.quiet_s
            if is_quiet and not now.is_interrupted:
                return Completion.RELEASED_AND_QUIET
        if now_s - now.opened_at_s >= self._rules.max_wait_s:
            return Completion.MAX_WAIT
        return None

    def _question(self, arriving: ArrivingSeries, now_s: float) -> None:
        now = arriving.round
        if self._ask is None or now is None or now.associations:
            return
        is_first = now.asked_at_s == float("-inf")
        if not is_first and now_s - now.asked_at_s < now.question_interval_s:
            return
        now.question_interval_s = (
            self._rules.question_interval_s
            if is_first
            else min(2 * now.question_interval_s, _LONGEST_QUESTION_INTERVAL_S)
        )
        now.asked_at_s = now_s
        self._ask(
            CountQuestion(
                key=arriving.key,
                calling_ae=arriving.latest().calling_ae,
                asked_at_s=now_s,
            )
        )


def _released(key: SeriesKey, arriving: ArrivingSeries) -> ReleasedSeries:
    return ReleasedSeries(
        study_uid=key.study_uid,
        series_uid=key.series_uid,
        generation=arriving.latest().generation,
    )

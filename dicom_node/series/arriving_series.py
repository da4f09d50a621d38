"""One series and what came of it: all contents, and the round of collecting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dicom_node.identifiers import digest
from dicom_node.records import Completion, ReceivedSeries, StoredInstance

_FIRST_SILENCE_S = 1.0
"""A sender that is still sending a series is seldom silent for so long."""


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """Names a series; both UIDs, since a series UID may be shared by two studies."""

    study_uid: str
    series_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCount:
    """How many instances a series has in the eyes of a peer.

    Parameters
    ----------
    is_final
        The study is so old that the peer itself receives nothing more of it.
    """

    instances: int
    is_final: bool = False


@dataclass(slots=True)
class _Round:
    """The time from the first instance until the series is called complete.

    Parameters
    ----------
    associations
        Those that are open and have brought an instance in this round.
    repeating
        Those of them that have brought one after another was interrupted.
    is_interrupted
        An association ended without a release, and none that came after it has been
        released.
    earlier_count
        The count that the peer gave first since it last changed, and when it was asked.
    question_interval_s
        Least time between the last question and the next one.
    silence_s
        After how long a silence the series is next taken to be whole.
    is_foreseen
        It has been taken to be whole since its last instance came.
    """

    opened_at_s: float
    last_at_s: float
    associations: set[str] = field(default_factory=set)
    repeating: set[str] = field(default_factory=set)
    is_interrupted: bool = False
    earlier_count: tuple[int, float] | None = None
    is_confirmed: bool = False
    asked_at_s: float = float("-inf")
    question_interval_s: float = 0.0
    silence_s: float = _FIRST_SILENCE_S
    is_foreseen: bool = False

    def foresee(self) -> None:
        """Take the series to be whole; if it is not, next after a longer silence."""
        self.is_foreseen = True
        self.silence_s *= 2


@dataclass(slots=True)
class ArrivingSeries:
    """All that came of a series, and the round of collecting that is open, if any.

    Parameters
    ----------
    versions
        By SOP instance UID, the contents that came, by their SHA-256; the one that
        came last is the last.
    """

    key: SeriesKey
    versions: dict[str, dict[str, StoredInstance]] = field(default_factory=dict)
    completed: list[ReceivedSeries] = field(default_factory=list)
    round: _Round | None = None

    def add(self, instance: StoredInstance) -> bool:
        """Take an instance; tell whether what the series now holds has changed."""
        versions = self.versions.get(instance.sop_instance_uid, {})
        was_last = next(reversed(versions), None)
        # Acceptors report on their own: what one stored first may be known last.
        latest: dict[str, StoredInstance] = {}
        for one in sorted((*versions.values(), instance), key=order_of_arrival):
            latest.pop(one.sha256, None)
            latest[one.sha256] = one
        self.versions[instance.sop_instance_uid] = latest
        return next(reversed(latest)) != was_last

    def arrive(self, now_s: float) -> _Round:
        """Note that an instance came, which opens a round if none is open."""
        if self.round is None:
            self.round = _Round(opened_at_s=now_s, last_at_s=now_s)
        self.round.last_at_s = now_s
        self.round.is_foreseen = False
        return self.round

    def end_association(self, association_id: str, *, is_release: bool) -> None:
        """Note that an association has ended, if it brought any of this series."""
        now = self.round
        if now is None or association_id not in now.associations:
            return
        now.associations.discard(association_id)
        if not is_release:
            now.is_interrupted = True
        elif association_id in now.repeating:
            now.is_interrupted = False

    def counted(self, count: SeriesCount, *, asked_at_s: float, quiet_s: float) -> None:
        """Take the peer's count, and judge whether it is believed.

        A peer that forwards while it receives counts what it has so far. So a count
        is believed if it was the same a quiet time ago, or if it is final.
        """
        now = self.round
        if now is None:
            return
        if now.earlier_count is None or now.earlier_count[0] != count.instances:
            now.earlier_count = (count.instances, asked_at_s)
        is_steady = asked_at_s - now.earlier_count[1] >= quiet_s
        is_all_here = count.instances == len(self.versions)
        now.is_confirmed = is_all_here and (count.is_final or is_steady)

    def instances(self) -> tuple[StoredInstance, ...]:
        """Return the last version of each instance, in the order of their UIDs."""
        return tuple(
            versions[next(reversed(versions))]
            for _, versions in sorted(self.versions.items())
        )

    def latest(self) -> StoredInstance:
        """Return the instance that came last."""
        return max(self.instances(), key=order_of_arrival)

    def is_known(self) -> bool:
        """Tell whether the series holds what it held when it was last complete."""
        if not self.completed:
            return False
        return _content(self.completed[-1].instances) == _content(self.instances())

    def came_again(self) -> bool:
        """Tell whether what was complete was sent again, and is not noted as such."""
        return self.is_known() and _generation(self.instances()) > _generation(
            self.completed[-1].instances
        )

    def note_repetition(self) -> ReceivedSeries:
        """Return what was complete, with its instances as they were sent again."""
        self.completed[-1] = replace(self.completed[-1], instances=self.instances())
        return self.completed[-1]

    def close(self, completion: Completion) -> ReceivedSeries | None:
        """End the round; None if the content is the one that was complete before."""
        was_interrupted = self.round is not None and self.round.is_interrupted
        self.round = None
        if self.is_known():
            return None
        series = ReceivedSeries(
            study_uid=self.key.study_uid,
            series_uid=self.key.series_uid,
            calling_ae=self.latest().calling_ae,
            instances=self.instances(),
            digest=self._digest(),
            completion=completion,
            revision=self.completed[-1].revision + 1 if self.completed else 1,
            conflicts=tuple(
                uid
                for uid, versions in sorted(self.versions.items())
                if len(versions) > 1
            ),
            transfer_interrupted=was_interrupted,
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


def order_of_arrival(instance: StoredInstance) -> tuple[int, float]:
    """Return what is greater for an instance that came later.

    The clock decides only between instances that version 0.1.0 has stored: they are
    all of generation 0.
    """
    return instance.generation, instance.received_at_s


def _generation(instances: Iterable[StoredInstance]) -> int:
    return max(one.generation for one in instances)


def _content(instances: Iterable[StoredInstance]) -> str:
    """Return the digest of what instances, in the order of their UIDs, hold."""
    return digest(
        *(part for one in instances for part in (one.sop_instance_uid, one.sha256))
    )

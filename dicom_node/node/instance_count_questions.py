"""Questions to peers about counts; another process puts them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dicom_node.node.children import Child
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.assembler import CountAnswer, CountQuestion
from dicom_node.settings.sections import Settings

_COUNTER = "dicom_node.work.instance_count_process:answer_questions"


def peer_counts(settings: Settings) -> PeerCounts | None:
    """Return who asks, or None if no peer is to be asked."""
    is_answered = any(
        peer.answers_c_find and peer.may_send for peer in settings.peers.values()
    )
    if not is_answered or not settings.series.confirm_by_c_find:
        return None
    return PeerCounts(settings)


class PeerCounts:
    """Puts questions to the process that asks peers, and takes its answers.

    Attributes
    ----------
    child
        That process: to be started, tended and ended like any other.
    """

    def __init__(self, settings: Settings) -> None:
        settings_json = settings.model_dump_json()

        def arguments(_start: int) -> tuple[Any, ...]:
            return (settings_json,)

        self.child = Child("counter", _COUNTER, arguments)
        self._asked: set[SeriesKey] = set()

    def ask(self, question: CountQuestion) -> None:
        """Ask, unless the last question about this series is still out."""
        if question.key not in self._asked and self.child.send(question):
            self._asked.add(question.key)

    def answers(self) -> Iterator[CountAnswer]:
        """Yield the answers that have come; never waits."""
        for answer in self.child.messages(CountAnswer):
            self._asked.discard(answer.question.key)
            yield answer

    def tend(self, now_s: float) -> None:
        """Start the process again if it has died; what it was asked is asked anew.

        Parameters
        ----------
        now_s
            Monotonic time.
        """
        if self.child.tend(now_s):
            self._asked.clear()

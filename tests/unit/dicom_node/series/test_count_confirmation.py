"""Questions about counts are asked beside everything else."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dicom_node.errors import PeerUnreachableError
from dicom_node.series.arriving_series import SeriesCount, SeriesKey
from dicom_node.series.assembler import CountQuestion
from dicom_node.series.count_confirmation import CountConfirmer
from tests.support.peers import WITHIN_S, wait_until

SEVEN = SeriesCount(instances=7)
_DOWN = PeerUnreachableError("pacs", host="h", port=1, why="refused")


def _question(series: str) -> CountQuestion:
    return CountQuestion(key=SeriesKey("ST", series), calling_ae="PACS", asked_at_s=0.0)


class Peer:
    """A peer that answers when it is let."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = 0

    def count(self, question: CountQuestion) -> SeriesCount | None:
        self.asked += 1
        if question.key.series_uid == "slow":
            self.may_answer.wait(WITHIN_S)
        if question.key.series_uid == "down":
            raise _DOWN
        return SEVEN


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.may_answer.set()


def _answers(confirmer: CountConfirmer, count: int) -> dict[str, SeriesCount | None]:
    found: dict[str, SeriesCount | None] = {}

    def has_all() -> bool:
        found.update(
            {one.question.key.series_uid: one.count for one in confirmer.answers()}
        )
        return len(found) >= count

    wait_until(has_all)
    return found


def test_a_slow_peer_keeps_no_other_answer_back(peer: Peer) -> None:
    confirmer = CountConfirmer(peer.count)
    confirmer.ask(_question("slow"))
    confirmer.ask(_question("quick"))
    assert _answers(confirmer, 1) == {"quick": SEVEN}
    peer.may_answer.set()
    assert _answers(confirmer, 1) == {"slow": SEVEN}
    confirmer.close()


def test_one_question_about_a_series_is_out_at_a_time(peer: Peer) -> None:
    confirmer = CountConfirmer(peer.count)
    for _ in range(5):
        confirmer.ask(_question("slow"))
    wait_until(lambda: peer.asked == 1)
    peer.may_answer.set()
    _answers(confirmer, 1)
    confirmer.ask(_question("slow"))
    _answers(confirmer, 1)
    assert peer.asked == 2
    confirmer.close()


def test_a_peer_that_is_down_is_an_answer_without_a_count(peer: Peer) -> None:
    confirmer = CountConfirmer(peer.count)
    confirmer.ask(_question("down"))
    assert _answers(confirmer, 1) == {"down": None}
    confirmer.close()

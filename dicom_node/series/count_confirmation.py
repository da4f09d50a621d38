"""Questions about counts, asked in threads, so that a slow peer stalls nobody."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from dicom_node import log
from dicom_node.errors import NodeError
from dicom_node.series.arriving_series import SeriesCount, SeriesKey
from dicom_node.series.assembler import CountAnswer, CountQuestion

_THREADS = 4


class CountConfirmer:
    """Asks peers how many instances a series has.

    Parameters
    ----------
    count
        Asks one peer; may block. None if the peer does not say.
    """

    def __init__(self, count: Callable[[CountQuestion], SeriesCount | None]) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="count")
        self._answers: queue.SimpleQueue[CountAnswer] = queue.SimpleQueue()
        self._asked: set[SeriesKey] = set()

    @property
    def is_asking(self) -> bool:
        """Whether the answer to a question is still to be had."""
        return bool(self._asked)

    def ask(self, question: CountQuestion) -> None:
        """Ask, unless the last question about this series is still out."""
        if question.key not in self._asked:
            self._asked.add(question.key)
            self._pool.submit(self._run, question)

    def answers(self) -> Iterator[CountAnswer]:
        """Yield the answers that have come; never waits."""
        while not self._answers.empty():
            answer = self._answers.get()
            self._asked.discard(answer.question.key)
            yield answer

    def close(self) -> None:
        """Ask nothing more; questions that are out are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, question: CountQuestion) -> None:
        count: SeriesCount | None = None
        try:
            count = self._count(question)
        except NodeError as error:
            log.warning(
                "count_not_answered",
                calling_ae=question.calling_ae,
                series_uid=question.key.series_uid,
                error_code=error.code,
                reason=str(error),
            )
        finally:
            self._answers.put(CountAnswer(question=question, count=count))

"""The same promises on PostgreSQL, by changing one URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.model import JobState
from tests.support.postgresql import programs, server
from tests.support.toy_worker import Toy, toy_job


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    found = programs()
    if found is None:
        pytest.skip("POSTGRESQL MISSING: no initdb on this machine")
    with server(found) as url:
        yield url


def test_a_job_survives_kill_9_and_a_peer_that_is_down(
    url: str, tmp_path: Path
) -> None:
    toy = Toy(tmp_path, url=url)
    try:
        toy.has("slow-one")
        toy.has("down-beta-one")
        toy.queue.enqueue(toy_job("one"))
        toy.start()
        toy.wait_done("analyse one")
        toy.kill()
        toy.has_not("slow-one")
        toy.start()
        assert toy.settled("one").state is JobState.FAILED
        toy.has_not("down-beta-one")
        toy.queue.retry("one", results_kept=True)
        assert toy.settled("one").state is JobState.DONE
        assert toy.done()["encode one"] == 1
        assert [row.id for row in toy.queue.list()] == ["one"]
    finally:
        toy.close()

"""What is read by parts and removed in pages is what reading all rows would give."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicom_node.jobs import dbos_setup
from dicom_node.jobs.job_numbers import JobNumbersReader
from dicom_node.jobs.job_state import lacking_peers, word_of
from dicom_node.jobs.job_troubles import JobTroublesReader
from dicom_node.records import JobState
from tests.support.job_database import (
    AGAIN,
    AWAY,
    BROKEN,
    OUTCOME,
    REJECTED,
    JobDatabase,
)
from tests.support.postgresql import programs, server

STATUSES = ("SUCCESS",) * 6 + ("ENQUEUED", "PENDING", "DELAYED", "ERROR", "CANCELLED")
FOUND = {**OUTCOME, "proof": "found", "proven": ["1.2"]}
OUTCOMES = (OUTCOME, OUTCOME, REJECTED, BROKEN, AWAY, FOUND)
ROUNDS = 3


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobDatabase]:
    with ExitStack() as stack:
        url = None
        if request.param == "postgresql":
            found = programs()
            if found is None:
                pytest.skip("POSTGRESQL MISSING: no initdb on this machine")
            url = stack.enter_context(server(found))
        database = JobDatabase(tmp_path, url)
        stack.callback(database.close)
        yield database


def changed(database: JobDatabase, dice: random.Random, known: list[str]) -> None:
    """Let jobs, deliveries and triages of all kinds come, change and go."""
    client = dbos_setup.open_client(database.url)
    for _ in range(9):
        job = f"{dice.getrandbits(128):032x}"
        known.append(job)
        database.job(job, dice.choice(STATUSES), dice.choice(OUTCOMES))
        for peer in ("pacs", "other"):
            for number in range(1, dice.choice((1, 2, 4))):
                status, outcome = dice.choice(STATUSES), dice.choice(OUTCOMES)
                database.delivery(job, status, outcome, number=number, peer=peer)
        if dice.random() < 0.2:
            client.update_workflow_attributes(job, {"discarded": True})
    for job in dice.sample(known, 4):
        database.set(job, dice.choice(STATUSES), dice.choice(OUTCOMES))
    gone = known.pop(dice.randrange(len(known)))
    client.delete_workflows([gone])
    made = [{**OUTCOME, "job_id": one} for one in known]
    for _ in range(6):
        database.triage(
            f"series {dice.randrange(8)}",
            dice.choice(("SUCCESS", "SUCCESS", "SUCCESS", "ERROR", "CANCELLED")),
            dice.choice((BROKEN, *made[:4])),
            occasion=dice.choice(("", "again")),
            attempt=dice.choice((1, 1, 2)),
        )
    # Of a content that waits, there is no triage after it.
    waiting = dice.choice((("ENQUEUED", None), ("DELAYED", None), ("SUCCESS", AGAIN)))
    database.triage(f"waits {len(known)}", *waiting)
    client.destroy()


def test_what_is_kept_of_the_parts_is_what_all_rows_say(
    database: JobDatabase,
) -> None:
    dice = random.Random(16)
    known: list[str] = []
    contents = database.queue.contents
    with JobNumbersReader(database.url) as kept, JobTroublesReader(database.url) as bad:
        for _ in range(ROUNDS):
            changed(database, dice, known)
            rows = database.queue.all_rows()
            with JobNumbersReader(database.url) as fresh:
                assert kept.read() == fresh.read()
            numbers = kept.read()
            states: Counter[str] = Counter()
            for (state, _), count in numbers.states.items():
                states[state] += count
            assert states == Counter(row.state.value for row in rows)
            deliveries = [one for row in rows for one in row.deliveries]
            assert numbers.deliveries == Counter(
                (peer, word_of(told)) for peer, told in deliveries
            )
            failed = {row.id for row in rows if row.state is JobState.FAILED}
            assert bad.read().failed.keys() == failed
            for _ in contents.refresh():
                pass
            for digest in {row.digest for row in rows}:
                assert contents.states_of(digest) == {
                    row.state for row in rows if row.digest == digest
                }
            lacking = {row.id: lacking_peers(row) for row in rows}
            assert contents.lacking() == {
                job: peers for job, peers in lacking.items() if peers
            }


def test_what_is_forgotten_in_pages_is_what_was_settled_before(
    database: JobDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.jobs.old_jobs._JOBS_A_PAGE", 2)
    monkeypatch.setattr("dicom_node.jobs.old_jobs._TRIAGES_A_PAGE", 3)
    dice = random.Random(17)
    known: list[str] = []
    for _ in range(ROUNDS):
        changed(database, dice, known)
    rows = database.queue.all_rows()
    jobs = {row.id: row.settled_at_s for row in rows if row.route}
    settled = sorted(one for one in jobs.values() if one is not None)
    limit_s = settled[-2]
    old = {job for job, at_s in jobs.items() if at_s is not None and at_s < limit_s}
    keep = set(sorted(old)[:2])
    pages = [
        [row.id for row in page]
        for page in database.queue.prune(settled_before_s=limit_s, keep=keep)
    ]
    assert max(map(len, pages)) <= 2 < len(old) - len(keep)
    assert {job for page in pages for job in page} == old - keep
    left = {row.id for row in database.queue.all_rows() if row.route}
    assert left == jobs.keys() - (old - keep)

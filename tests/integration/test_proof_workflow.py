"""The waits for a proof are durable, and end in one word for an operator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicom_node.jobs.job_state import lacking_peers
from dicom_node.jobs.job_verbs import Verb, verbs_for
from dicom_node.records import JobState
from tests.support.peers import wait_until
from tests.support.toy_worker import Toy, toy_job


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """One worker for all tests; each has its own job."""
    made = Toy(tmp_path_factory.mktemp("toy"))
    made.has("proving-beta")
    made.start()
    yield made
    made.close()


def test_a_delivery_is_proven_once_and_the_job_says_by_what(toy: Toy) -> None:
    toy.queue.enqueue(toy_job("one"))
    row = toy.settled("one")
    assert row.state is JobState.DONE
    assert dict(row.deliveries) == {"alpha": "stored", "beta": "committed"}
    assert set(row.proofs) == {
        ("alpha", "1.1", "stored"),
        ("alpha", "1.2", "stored"),
        ("beta", "1.1", "committed"),
        ("beta", "1.2", "committed"),
    }
    assert toy.done()["prove one beta 1.1,1.2"] == 1
    assert toy.done()["deliver one beta"] == 1
    (settled,) = (
        one
        for one in toy.events("delivery_settled")
        if (one["job_id"], one["peer"]) == ("one", "beta")
    )
    assert (settled["state"], settled["proof"]) == ("done", "committed")
    jobs = [one for one in toy.events("job_settled") if one["job_id"] == "one"]
    assert [one["state"] for one in jobs] == ["done"]


def test_what_a_peer_has_lost_is_sent_once_more_and_then_an_operator_is_asked(
    toy: Toy,
) -> None:
    toy.has("losing-beta-lost")
    toy.queue.enqueue(toy_job("lost"))
    row = toy.settled("lost")
    assert row.state is JobState.FAILED
    assert row.reason == "beta: commitment-failed: lost 1.2"
    assert dict(row.deliveries)["beta"] == "unproven commitment-failed: lost 1.2"
    assert [one for one in row.proofs if one[0] == "beta"] == [
        ("beta", "1.1", "committed")
    ]
    assert toy.done()["deliver lost beta"] == 2
    assert toy.done()["stored lost beta 1.1"] == 1
    assert lacking_peers(row) == ("beta",)
    assert {Verb.RETRY, Verb.CANCEL, Verb.RESEND} <= set(verbs_for(row))
    toy.has_not("losing-beta-lost")
    toy.queue.retry("lost", results_kept=True)
    row = toy.reaches("lost", JobState.DONE)
    assert dict(row.deliveries)["beta"] == "committed"
    # The first try, what it lost, and what it lost again.
    assert toy.done()["stored lost beta 1.1"] == 2
    assert toy.done()["deliver lost alpha"] == 1


def test_a_proof_that_never_comes_ends_at_an_age_and_leaves_the_delivery_stored(
    toy: Toy,
) -> None:
    toy.has("deaf-beta-deaf")
    toy.queue.enqueue(toy_job("deaf"))
    toy.wait_done("prove deaf beta 1.1,1.2", times=2)
    toy.has("aged-beta-deaf")
    row = toy.settled("deaf")
    assert row.state is JobState.FAILED
    assert row.reason.startswith("beta: commitment-not-reported: given up after ")
    assert dict(row.deliveries)["beta"].startswith("unproven commitment-not-reported")
    assert {proof for peer, _, proof in row.proofs if peer == "beta"} == {"stored"}
    assert toy.done()["deliver deaf beta"] == 1
    # The attempt that stored all, and the last ones: no hundreds of them.
    assert len(toy.attempts("deaf", "beta")) <= 3
    assert "deaf:beta:1" in toy.attempts("deaf", "beta")
    toy.has_not("deaf-beta-deaf")
    toy.has_not("aged-beta-deaf")
    toy.queue.retry("deaf", results_kept=True)
    assert dict(toy.reaches("deaf", JobState.DONE).deliveries)["beta"] == "committed"


def test_a_job_whose_proof_is_awaited_can_be_cancelled(toy: Toy) -> None:
    toy.has("deaf-beta-given-up")
    toy.queue.enqueue(toy_job("given-up"))
    toy.wait_done("prove given-up beta 1.1,1.2")
    assert toy.queue.cancel("given-up").state is JobState.CANCELLED
    wait_until(lambda: toy.queue.unsettled() == {}, what="nothing is owed")


def test_a_worker_killed_while_a_proof_is_awaited_sends_nothing_again(
    toy: Toy,
) -> None:
    toy.has("deaf-beta-killed")
    toy.queue.enqueue(toy_job("killed"))
    toy.wait_done("prove killed beta 1.1,1.2", times=2)
    assert dict(toy.queue.show("killed").deliveries)["beta"] == "proving"
    assert toy.queue.show("killed").state is JobState.DELIVERING
    toy.kill()
    toy.has_not("deaf-beta-killed")
    toy.start()
    assert toy.settled("killed").state is JobState.DONE
    assert toy.done()["deliver killed beta"] == 1

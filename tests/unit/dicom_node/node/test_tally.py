"""What the supervisor counts stays small, whoever calls."""

from __future__ import annotations

import pickle

import pytest

from dicom_node.node.ops_child import OpsChild, report_of
from dicom_node.node.tally import MOST_LABELS, OTHER, Tally
from dicom_node.node_report import BOUNDS_S, Counted, OpsPlan, Timed
from tests.support.ops_plan import plan_for

WITHOUT_WAITING_BYTES = 64 * 1024
"""A socket pair has room for three times as much when it says that it has room."""


def test_ten_thousand_calling_titles_make_a_hundred_counters_and_the_known_one() -> (
    None
):
    tally = Tally()
    tally.expect(Counted.INSTANCES, "PACS")
    for number in range(10_000):
        tally.count(Counted.INSTANCES, f"STRANGER{number}")
    tally.count(Counted.INSTANCES, "PACS")
    table = tally.counts()[Counted.INSTANCES]
    assert len(table) == MOST_LABELS + 1
    assert table["PACS",] == 1
    assert table[OTHER,] == 10_000 - MOST_LABELS + 1
    assert sum(table.values()) == 10_001


def test_a_label_is_printable_and_short() -> None:
    tally = Tally()
    tally.count(Counted.INSTANCES, 'A"\n\x1b\xe9' + "B" * 100)
    ((title,),) = tally.counts()[Counted.INSTANCES]
    assert title == 'A"???' + "B" * 59


def test_a_time_falls_into_the_bucket_that_it_does_not_exceed() -> None:
    tally = Tally()
    first = BOUNDS_S[Timed.STEP][0]
    for seconds in (first, first * 1.01, 1e6):
        tally.time(Timed.STEP, seconds, "analyse")
    histogram = tally.times()[Timed.STEP]["analyse",]
    assert histogram.counts[:2] == (1, 1)
    assert histogram.counts[-1] == 1
    assert sum(histogram.counts) == 3
    assert histogram.sum_s == pytest.approx(1e6 + 2.01 * first)


def test_the_largest_report_fits_into_the_pipe(
    plan: OpsPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = Tally()
    for number in range(2 * MOST_LABELS):
        label = f"{number:064}"
        for what in Counted:
            tally.count(what, label, by=2**60)
        tally.loaded([(label, label)])
        for kind in range(8):
            tally.time(Timed.STEP, 1.0, str(kind))
    sent: list[object] = []
    ops = OpsChild(plan, tally, lambda: [report_of(ops.child)] * 64)
    monkeypatch.setattr(ops.child, "start", lambda: None)
    monkeypatch.setattr(ops.child, "send", sent.append)
    ops.turn(0.0)
    ops.turn(0.5)
    ops.turn(1.0)
    assert len(sent) == 2
    assert len(pickle.dumps(sent[0])) < WITHOUT_WAITING_BYTES


@pytest.fixture
def plan() -> OpsPlan:
    return plan_for()

"""When a series is complete, told as events and moments."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.receive.events import (
    AssociationClosed,
    AssociationEnding,
    AssociationOpened,
    InstanceStored,
)
from dicom_node.records import Completion, ReceivedSeries, StoredInstance
from dicom_node.series.arriving_series import SeriesCount, SeriesKey
from dicom_node.series.assembler import (
    Assembler,
    CompletionRules,
    CountAnswer,
    CountQuestion,
)
from dicom_node.series.released_series import take_released, write_released
from dicom_node.spool_layout import SpoolLayout

RULES = CompletionRules(quiet_s=5, max_wait_s=60)


def instance(
    uid: str = "1",
    *,
    series: str = "S",
    study: str = "ST",
    content: str = "",
    at_s: float = 0,
    generation: int = 0,
) -> StoredInstance:
    sha256 = hashlib.sha256(f"{uid}{content}".encode()).hexdigest()
    return StoredInstance(
        path=Path(sha256),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        sop_instance_uid=uid,
        study_uid=study,
        series_uid=series,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="PACS",
        sha256=sha256,
        size_bytes=1,
        received_at_s=at_s,
        generation=generation,
    )


class Desk:
    """An assembler, and what it asked."""

    def __init__(self, *, asks: bool = False, rules: CompletionRules = RULES) -> None:
        self.asked: list[CountQuestion] = []
        self.assembler = Assembler(rules, ask=self.asked.append if asks else None)

    def open(self, association: str, now_s: float) -> None:
        self.assembler.apply(AssociationOpened(association, "PACS"), now_s)

    def store(self, association: str, now_s: float, found: StoredInstance) -> None:
        self.assembler.apply(InstanceStored(association, found), now_s)

    def close(
        self,
        association: str,
        now_s: float,
        ending: AssociationEnding = AssociationEnding.RELEASED,
    ) -> None:
        self.assembler.apply(AssociationClosed(association, ending), now_s)

    def answer(self, count: int, *, is_final: bool = False) -> None:
        """Answer the last question."""
        found = SeriesCount(instances=count, is_final=is_final)
        self.assembler.counted(CountAnswer(question=self.asked[-1], count=found))

    def tick(self, now_s: float) -> list[ReceivedSeries]:
        return self.assembler.tick(now_s)

    def sent(self, now_s: float, *instances: StoredInstance) -> None:
        """Send instances by an association that is opened and released at once."""
        self.open(f"at-{now_s}", now_s)
        for found in instances:
            self.store(f"at-{now_s}", now_s, found)
        self.close(f"at-{now_s}", now_s)


def test_a_series_is_complete_when_released_and_quiet() -> None:
    desk = Desk()
    desk.sent(0, instance("1"), instance("2"))
    assert desk.tick(4.9) == []
    (series,) = desk.tick(5)
    assert series.completion is Completion.RELEASED_AND_QUIET
    assert [found.sop_instance_uid for found in series.instances] == ["1", "2"]
    assert series.revision == 1
    assert desk.tick(1000) == []


def test_an_open_association_keeps_the_series_open_however_quiet_it_is() -> None:
    desk = Desk()
    desk.open("a", 0)
    desk.store("a", 0, instance())
    assert desk.tick(59) == []
    desk.close("a", 59)
    assert len(desk.tick(59)) == 1


def test_an_association_that_brought_nothing_of_it_does_not_matter() -> None:
    desk = Desk()
    desk.open("other", 0)
    desk.sent(0, instance())
    assert len(desk.tick(5)) == 1


def test_quiet_begins_anew_with_each_instance() -> None:
    desk = Desk()
    for moment in (0, 4, 8):
        desk.sent(moment, instance(str(moment)))
        assert desk.tick(moment + 4) == []
    (series,) = desk.tick(13)
    assert len(series.instances) == 3


def test_two_associations_must_both_be_released() -> None:
    desk = Desk()
    for name in ("a", "b"):
        desk.open(name, 0)
        desk.store(name, 0, instance(name))
    desk.close("a", 1)
    assert desk.tick(30) == []
    desk.close("b", 30)
    (series,) = desk.tick(30)
    assert len(series.instances) == 2


def test_waiting_has_an_end() -> None:
    desk = Desk()
    desk.open("a", 0)
    desk.store("a", 0, instance("1"))
    desk.store("a", 59, instance("2"))
    assert desk.tick(59.9) == []
    (series,) = desk.tick(60)
    assert series.completion is Completion.MAX_WAIT
    assert len(series.instances) == 2


def test_a_dead_acceptor_has_released_nothing() -> None:
    desk = Desk()
    desk.open("acceptor-0-1", 0)
    desk.store("acceptor-0-1", 0, instance(series="X"))
    desk.open("acceptor-01-1", 0)
    desk.store("acceptor-01-1", 0, instance(series="Y"))
    desk.assembler.acceptor_lost("acceptor-0")
    desk.close("acceptor-01-1", 0)
    (other,) = desk.tick(5)
    assert (other.series_uid, other.transfer_interrupted) == ("Y", False)
    (series,) = desk.tick(60)
    assert (series.series_uid, series.transfer_interrupted) == ("X", True)


@pytest.mark.parametrize(
    "ending", [one for one in AssociationEnding if not one.is_release]
)
def test_an_association_that_is_not_released_makes_the_series_wait_to_the_end(
    ending: AssociationEnding,
) -> None:
    desk = Desk()
    desk.open("a", 0)
    for number in range(9):
        desk.store("a", 0, instance(str(number)))
    desk.close("a", 1, ending)
    assert desk.tick(59) == []
    (series,) = desk.tick(60)
    assert series.completion is Completion.MAX_WAIT
    assert series.transfer_interrupted
    assert len(series.instances) == 9


def test_a_transfer_that_is_repeated_and_released_was_not_interrupted() -> None:
    desk = Desk()
    desk.open("a", 0)
    desk.store("a", 0, instance("1"))
    desk.close("a", 1, AssociationEnding.ABORTED)
    desk.sent(10, instance("1"), instance("2"))
    (series,) = desk.tick(15)
    assert series.completion is Completion.RELEASED_AND_QUIET
    assert not series.transfer_interrupted
    assert len(series.instances) == 2


def test_an_association_beside_the_broken_one_repeats_nothing() -> None:
    desk = Desk()
    for name in ("a", "b"):
        desk.open(name, 0)
        desk.store(name, 0, instance(name))
    desk.close("a", 1, AssociationEnding.LOST)
    desk.close("b", 2)
    assert desk.tick(20) == []
    (series,) = desk.tick(60)
    assert series.transfer_interrupted


def test_a_transfer_that_breaks_again_is_waited_for_again() -> None:
    desk = Desk()
    for name in ("a", "b"):
        desk.open(name, 0)
        desk.store(name, 0, instance("1"))
        desk.close(name, 1, AssociationEnding.ABORTED)
    assert desk.tick(20) == []


def test_a_count_is_believed_when_it_was_the_same_a_quiet_time_ago() -> None:
    desk = Desk(asks=True)
    desk.open("a", 0)
    desk.store("a", 0, instance("1"))
    desk.tick(0)
    assert desk.asked == []  # not while the association is open
    desk.close("a", 1, AssociationEnding.ABORTED)
    desk.tick(1)
    key = SeriesKey("ST", "S")
    assert desk.asked == [CountQuestion(key=key, calling_ae="PACS", asked_at_s=1)]
    desk.answer(1)
    assert desk.tick(2) == []
    desk.answer(1)
    desk.tick(6)
    desk.answer(1)
    (series,) = desk.tick(6.1)
    assert series.completion is Completion.COUNT_CONFIRMED
    assert series.transfer_interrupted


def test_a_count_that_grows_while_the_sender_itself_receives_is_not_believed() -> None:
    # The PACS holds and has forwarded 9 of 18, aborts, and goes on later.
    desk = Desk(asks=True)
    desk.open("a", 0)
    for number in range(9):
        desk.store("a", 0, instance(str(number)))
    desk.close("a", 0, AssociationEnding.ABORTED)
    for now_s, count in ((0, 9), (4, 12), (8, 18), (12, 9)):
        assert desk.tick(now_s) == []
        desk.answer(count)
        assert desk.tick(now_s + 0.5) == []


def test_the_count_of_an_old_study_completes_at_once() -> None:
    desk = Desk(asks=True)
    desk.sent(0, instance("1"))
    desk.tick(0)
    desk.answer(1, is_final=True)
    (series,) = desk.tick(0.1)
    assert series.completion is Completion.COUNT_CONFIRMED


def test_another_count_or_none_changes_nothing() -> None:
    desk = Desk(asks=True)
    desk.sent(0, instance("1"))
    desk.tick(0)
    for answer in (2, 0):
        desk.answer(answer, is_final=True)
        assert desk.tick(1) == []
    desk.assembler.counted(CountAnswer(question=desk.asked[0], count=None))
    assert desk.tick(5)[0].completion is Completion.RELEASED_AND_QUIET


def test_a_count_that_was_right_is_forgotten_with_the_next_instance() -> None:
    desk = Desk(asks=True)
    desk.sent(0, instance("1"))
    desk.tick(0)
    desk.answer(1, is_final=True)
    desk.sent(0, instance("2"))
    assert desk.tick(0.1) == []


def test_a_peer_is_asked_less_and_less_often_about_a_series() -> None:
    desk = Desk(asks=True)
    desk.open("a", 0)
    desk.store("a", 0, instance("1"))
    desk.close("a", 0, AssociationEnding.LOST)
    for tenth in range(599):
        desk.tick(tenth / 10)
    assert [round(one.asked_at_s) for one in desk.asked] == [0, 1, 3, 7, 15, 31]


def test_a_late_instance_makes_a_revision_that_holds_all() -> None:
    desk = Desk()
    desk.sent(0, instance("1"), instance("2"))
    (first,) = desk.tick(5)
    desk.sent(100, instance("3"))
    assert desk.tick(104) == []
    (second,) = desk.tick(105)
    assert second.revision == 2
    assert set(first.instances) < set(second.instances)
    assert second.digest != first.digest


def test_what_is_sent_a_second_time_owes_nothing() -> None:
    desk = Desk()
    desk.sent(0, instance("1"), instance("2"))
    desk.tick(5)
    desk.sent(100, instance("1"), instance("2"))
    assert desk.assembler.collecting == 0
    assert desk.tick(200) == []


def test_what_is_sent_a_second_time_is_told_once_it_is_quiet() -> None:
    desk = Desk()
    desk.sent(0, instance("1"), instance("2"))
    (first,) = desk.tick(5)
    assert desk.assembler.sent_again(50) == []
    again = instance("1", generation=3), instance("2", generation=4)
    desk.sent(100, again[0])
    desk.sent(103, again[1])
    assert desk.assembler.sent_again(107) == []
    assert desk.assembler.sent_again(108) == [replace(first, instances=again)]
    assert desk.assembler.sent_again(200) == []


def test_what_was_sent_a_second_time_is_told_though_the_node_died_meanwhile() -> None:
    first, again = instance("1", generation=1), instance("1", generation=2)
    before = Desk()
    before.sent(0, first)
    (complete,) = before.tick(5)
    after = Desk()
    after.assembler.restore([again], [complete], 100)
    assert after.assembler.collecting == 0
    assert after.assembler.sent_again(104) == []
    (told,) = after.assembler.sent_again(105)
    assert told == replace(complete, instances=(again,))
    noted = Desk()
    noted.assembler.restore([again], [told], 200)
    assert noted.assembler.sent_again(300) == []


def test_what_a_dead_acceptor_stored_a_second_time_and_left_unsaid_is_told() -> None:
    desk = Desk()
    desk.sent(0, instance("1", generation=1))
    (complete,) = desk.tick(5)
    again = instance("1", generation=2)
    desk.assembler.restore([again], (), 100)
    assert desk.tick(105) == []
    assert desk.assembler.sent_again(105) == [replace(complete, instances=(again,))]


def test_what_a_dead_acceptor_left_unsaid_is_no_later_than_what_another_stored() -> (
    None
):
    desk = Desk()
    later = instance("1", content="later", generation=2)
    desk.sent(0, later)
    earlier = instance("1", content="earlier", generation=1)
    desk.assembler.restore([earlier], (), 1)
    (complete,) = desk.tick(120)
    assert complete.instances == (later,)


def test_content_that_came_last_stays_the_last_whoever_reports_its_first_copy() -> None:
    desk = Desk()
    last = instance("1", content="a", generation=3)
    desk.sent(0, instance("1", content="b", generation=2))
    desk.sent(0, last)
    desk.sent(0, instance("1", content="a", generation=1))
    (complete,) = desk.tick(5)
    assert complete.instances == (last,)


def test_what_brings_new_content_is_not_told_as_sent_again() -> None:
    desk = Desk()
    desk.sent(0, instance("1"), instance("2"))
    desk.tick(5)
    desk.sent(100, instance("1"), instance("2"), instance("3"))
    assert len(desk.tick(105)) == 1
    assert desk.assembler.sent_again(200) == []


def test_the_digest_is_of_the_content_not_of_the_order() -> None:
    one, two = Desk(), Desk()
    one.sent(0, instance("1"), instance("2"))
    two.sent(0, instance("2", at_s=9), instance("1"))
    assert one.tick(5)[0].digest == two.tick(5)[0].digest


def test_other_content_under_the_same_uid_is_a_conflict_and_the_last_counts() -> None:
    desk = Desk()
    new = instance("1", content="new")
    desk.sent(0, instance("1"), new, instance("2"))
    (series,) = desk.tick(5)
    assert series.conflicts == ("1",)
    assert series.instances == (new, instance("2"))


def test_one_series_uid_in_two_studies_is_never_mixed() -> None:
    desk = Desk()
    desk.sent(0, instance("1", study="A"), instance("2", study="B"))
    series = desk.tick(5)
    assert sorted(found.study_uid for found in series) == ["A", "B"]
    assert all(len(found.instances) == 1 for found in series)


def test_after_a_restart_what_was_not_complete_waits_for_its_sender() -> None:
    desk = Desk()
    desk.assembler.restore([instance("1"), instance("2")], [], 100)
    assert desk.tick(159) == []
    (series,) = desk.tick(160)
    assert len(series.instances) == 2
    assert series.transfer_interrupted


def test_after_a_planned_stop_what_was_released_waits_for_quiet_alone(
    tmp_path: Path,
) -> None:
    layout, desk = SpoolLayout(tmp_path), Desk()
    whole, more = instance("1", study="A"), instance("2", study="B")
    desk.sent(0, whole, more)
    desk.open("open", 1)
    desk.store("open", 1, instance("3", study="C"))
    write_released(layout, desk.assembler.released())
    released = take_released(layout)
    assert {one.study_uid for one in released} == {"A", "B"}
    again = Desk()
    later = instance("4", study="B", generation=more.generation + 7)
    again.assembler.restore([whole, more, later], [], 100, released)
    (series,) = again.tick(105)
    assert (series.study_uid, series.transfer_interrupted) == ("A", False)
    (series,) = again.tick(160)
    assert series.transfer_interrupted
    assert take_released(layout) == frozenset()


@pytest.mark.parametrize("content", ["", "{", "[1]", '[{"study_uid": "1"}]', "\x00"])
def test_a_note_of_a_stop_that_cannot_be_read_says_nothing(
    tmp_path: Path, content: str
) -> None:
    layout = SpoolLayout(tmp_path)
    layout.released.write_text(content)
    assert take_released(layout) == frozenset()
    assert not layout.released.exists()


def test_after_a_restart_the_repeated_transfer_completes_what_had_come() -> None:
    desk = Desk()
    desk.assembler.restore([instance("1"), instance("2")], [], 100)
    desk.sent(101, instance("3"))
    (series,) = desk.tick(106)
    assert len(series.instances) == 3
    assert not series.transfer_interrupted


def test_what_an_acceptor_had_told_before_it_died_does_not_delay_the_series() -> None:
    desk = Desk()
    desk.sent(0, instance("1"))
    desk.assembler.acceptor_lost("acceptor-0-1")
    desk.assembler.restore([instance("1")], [], 4)
    assert len(desk.tick(5)) == 1


def test_a_restart_does_not_owe_again_what_was_complete() -> None:
    before = Desk()
    before.sent(0, instance("1"))
    (series,) = before.tick(5)
    after = Desk()
    after.assembler.restore([instance("1")], [series], 100)
    assert after.assembler.collecting == 0
    after.sent(101, instance("2"))
    (late,) = after.tick(106)
    assert late.revision == 2
    assert len(late.instances) == 2


def test_an_instance_that_came_after_completion_survives_a_restart() -> None:
    before = Desk()
    before.sent(0, instance("1"))
    (series,) = before.tick(5)
    after = Desk()
    after.assembler.restore([instance("1"), instance("2", at_s=6)], [series], 100)
    (late,) = after.tick(160)
    assert late.revision == 2


def test_a_restart_knows_which_version_came_last() -> None:
    desk = Desk()
    # The clock was set back by an hour in between.
    old = instance("1", at_s=3600, generation=7)
    new = instance("1", content="new", at_s=0, generation=8)
    desk.assembler.restore([new, old], [], 0)
    assert desk.tick(60)[0].instances == (new,)


def test_what_the_first_release_stored_is_in_the_order_of_the_clock() -> None:
    desk = Desk()
    older, old = instance("1", at_s=1), instance("1", content="old", at_s=2)
    desk.assembler.restore([old, older], [], 0)
    assert desk.tick(60)[0].instances == (old,)


def test_content_that_comes_back_after_another_is_complete_anew() -> None:
    desk = Desk()
    digests = []
    for number, content in enumerate(("a", "b", "a", "b", "b"), start=1):
        desk.sent(100 * number, instance("1", content=content))
        complete = desk.tick(100 * number + 5)
        digests += [(series.revision, series.digest) for series in complete]
    assert [revision for revision, _ in digests] == [1, 2, 3, 4]
    assert len({found for _, found in digests}) == 4


def test_a_restart_gives_content_that_comes_back_the_same_digest_and_number() -> None:
    first, second = instance("1", content="a"), instance("1", content="b", at_s=1)
    back = instance("1", content="a", at_s=2)
    desk = Desk()
    completed = []
    for now_s, found in ((0, first), (100, second), (200, back)):
        desk.sent(now_s, found)
        completed += desk.tick(now_s + 5)
    killed_before_the_manifest = Desk()
    killed_before_the_manifest.assembler.restore([second, back], completed[:2], 300)
    (again,) = killed_before_the_manifest.tick(360)
    assert (again.revision, again.digest) == (3, completed[2].digest)
    killed_after_it = Desk()
    killed_after_it.assembler.restore([second, back], completed, 300)
    assert killed_after_it.tick(360) == []
    killed_after_it.sent(400, instance("1", content="b", at_s=3))
    (fourth,) = killed_after_it.tick(405)
    assert fourth.revision == 4


def test_what_was_deleted_from_the_disk_begins_anew() -> None:
    desk = Desk()
    desk.sent(0, instance("1"))
    desk.tick(5)
    desk.assembler.forget(SeriesKey("ST", "S"))
    desk.sent(100, instance("1"))
    (series,) = desk.tick(105)
    assert series.revision == 1


ENDINGS = {"release": AssociationEnding.RELEASED, "abort": AssociationEnding.ABORTED}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "store", "tick", *ENDINGS]),
        st.integers(0, 2),  # association
        st.integers(0, 3),  # instance
        st.integers(0, 1),  # series
        st.floats(0, 10),  # seconds until this step
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_happens_the_last_revision_holds_every_instance(
    steps: list[tuple[str, int, int, int, float]],
) -> None:
    desk, now_s = Desk(), 0.0
    stored: dict[str, set[str]] = {}
    last: dict[str, ReceivedSeries] = {}
    for kind, association, uid, series, pause_s in steps:
        now_s += pause_s
        name = str(association)
        if kind == "open":
            desk.open(name, now_s)
        elif kind in ENDINGS:
            desk.close(name, now_s, ENDINGS[kind])
        elif kind == "store":
            desk.store(name, now_s, instance(str(uid), series=str(series)))
            stored.setdefault(str(series), set()).add(str(uid))
        else:
            last |= {found.series_uid: found for found in desk.tick(now_s)}
    last |= {found.series_uid: found for found in desk.tick(now_s + 61)}
    held = {
        series: {found.sop_instance_uid for found in last[series].instances}
        for series in stored
    }
    assert held == stored
    assert desk.assembler.collecting == 0


def foreseen(desk: Desk, now_s: float) -> list[tuple[int, float]]:
    """Return how many instances each series has that seems whole, and until when."""
    found = desk.assembler.foreseen(now_s)
    return [(len(one.instances), one.until_s) for one in found]


def test_a_silent_series_is_foreseen_once_as_it_will_be_complete() -> None:
    desk = Desk()
    desk.sent(0, instance("2"), instance("1"))
    assert foreseen(desk, 0.9) == []
    (whole,) = desk.assembler.foreseen(1)
    assert whole.until_s == 5
    assert foreseen(desk, 2.5) == []
    (series,) = desk.tick(5)
    assert series.instances == whole.instances
    assert foreseen(desk, 100) == []


def test_a_series_that_was_not_whole_is_foreseen_after_a_longer_silence() -> None:
    desk = Desk()
    desk.sent(0, instance("1"))
    assert foreseen(desk, 1) == [(1, 5)]
    desk.sent(1.5, instance("2"))
    assert foreseen(desk, 3.4) == []
    assert foreseen(desk, 3.5) == [(2, 6.5)]


def test_a_series_is_foreseen_shortly_before_it_is_quiet() -> None:
    patient = Desk(rules=CompletionRules(quiet_s=30, max_wait_s=60))
    patient.sent(0, instance())
    assert foreseen(patient, 19.9) == []
    assert foreseen(patient, 20) == [(1, 30)]
    hasty = Desk(rules=CompletionRules(quiet_s=1.5, max_wait_s=60))
    hasty.open("a", 0)
    hasty.store("a", 0, instance())
    assert foreseen(hasty, 1) == []


def test_a_series_is_foreseen_while_its_sender_goes_on_with_another() -> None:
    desk = Desk()
    desk.open("a", 0)
    desk.store("a", 0, instance("1", series="first"))
    for moment in (1, 2, 3):
        desk.store("a", moment, instance(str(moment), series="second"))
    assert foreseen(desk, 3) == [(1, 13)]
    assert foreseen(desk, 4) == [(3, 14)]


def test_what_a_broken_association_brought_is_not_foreseen() -> None:
    desk = Desk()
    desk.open("a", 0)
    desk.store("a", 0, instance())
    desk.close("a", 0, AssociationEnding.ABORTED)
    assert foreseen(desk, 2) == []


def test_a_series_that_holds_what_it_held_is_not_foreseen() -> None:
    desk = Desk()
    desk.sent(0, instance("1"))
    assert len(desk.tick(5)) == 1
    desk.sent(10, instance("1", content="other"))
    desk.sent(10.1, instance("1", generation=1))
    assert foreseen(desk, 12) == []

"""What came later has a greater number."""

from __future__ import annotations

from dicom_node.receive.arrival_number import Generations


def test_a_later_instance_has_a_greater_generation() -> None:
    generations = Generations.after(0)
    numbers = [generations.next() for _ in range(100)]
    assert numbers == sorted(numbers)
    assert numbers[0] > 0


def test_after_a_restart_of_the_machine_the_numbers_go_on() -> None:
    # The monotonic clock begins with the machine, so it was greater before.
    before = Generations(first=1, started_ns=0).next(lambda: 10**18)
    assert Generations(first=before + 1, started_ns=5).next(lambda: 5) > before

"""A short run of `python -m tests.fuzz`: a node goes on whatever comes."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import copied_attributes
from tests.fuzz.cases import Kind, make_case
from tests.fuzz.run import Plan, run

CASES = 300
MOST_MIB = 1536


def test_a_node_goes_on_and_serves_whatever_comes(tmp_path: Path) -> None:
    told: list[int] = []
    plan = Plan(
        seed="suite", numbers=range(CASES), good_every=150, progress=told.append
    )
    outcome = run(tmp_path, plan)
    assert (outcome.wrong, outcome.ended, outcome.unserved) == ({}, [], [])
    assert sum(told) == CASES
    assert outcome.kinds.keys() == set(Kind)
    assert outcome.good == 3
    assert outcome.replies["status 0x0000"] > 0
    assert 0 < outcome.peak_mib < MOST_MIB


def test_a_case_is_made_of_the_seed_and_its_number_alone() -> None:
    cases = [make_case("seed", number) for number in range(50)]
    assert cases == [make_case("seed", number) for number in range(50)]
    assert make_case("seed", 49) == cases[49]
    assert cases != [make_case("other", number) for number in range(50)]


def test_spoilt_attributes_that_are_only_copied_cost_no_result() -> None:
    assert copied_attributes.main(["--cases", "3", "--seed", "suite"]) == 0

"""Training of what tells a displaced disc, on discs that are made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.lumbar.judge.displacement.signs import SIGNS
from analysis.training.displacement.__main__ import area, left_out
from analysis.training.displacement.discs import NamedDisc
from analysis.training.displacement.settings import DEFAULT_SETTINGS, read_settings

SETTINGS = read_settings()


def made_up(patients: int, *, told_by: str | None) -> list[NamedDisc]:
    """Return discs, every other one displaced; one sign tells it, or none does."""
    chance = np.random.default_rng(0)
    discs = []
    for number in range(patients * len(SETTINGS.levels)):
        signs = chance.normal(size=len(SIGNS))
        is_displaced = number % 2 == 0
        if told_by is not None:
            signs[SIGNS.index(told_by)] += 3.0 * is_displaced
        discs.append(
            NamedDisc(
                patient=f"patient {number // len(SETTINGS.levels)}",
                level=SETTINGS.levels[number % len(SETTINGS.levels)],
                classes=frozenset({"v3" if is_displaced else "v1"}),
                signs=signs,
            )
        )
    return discs


def area_left_out(discs: list[NamedDisc]) -> float:
    truth = np.array([disc.is_displaced(SETTINGS) for disc in discs], np.int64)
    return area(left_out(discs, SETTINGS, SIGNS).mean(axis=0), truth)


def test_what_a_sign_tells_is_told_of_patients_that_were_left_out() -> None:
    assert area_left_out(made_up(24, told_by="rear_reach_mm")) > 0.9
    assert area_left_out(made_up(24, told_by=None)) < 0.65


@pytest.mark.parametrize(
    ("classes", "is_displaced"),
    [({"v1"}, False), ({"v2"}, True), ({"v4", "v5"}, True), ({"v5"}, None)],
)
def test_a_node_alone_is_neither_displaced_nor_sound(
    classes: set[str], is_displaced: bool | None
) -> None:
    disc = NamedDisc(
        patient="one",
        level="L4/L5",
        classes=frozenset(classes),
        signs=np.zeros(len(SIGNS)),
    )
    assert disc.is_displaced(SETTINGS) is is_displaced


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "displacement.yaml"
    wrong.write_text(f"{DEFAULT_SETTINGS.read_text()}\nridge: 2\n")
    with pytest.raises(ValueError, match="ridge"):
        read_settings(wrong)

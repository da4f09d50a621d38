import dataclasses
from pathlib import Path

import numpy as np
import pytest

from analysis.lumbar.name.lumbosacral_shape import Junction
from analysis.lumbar.name.transitional_anatomy import shipped_models
from analysis.training.levels.__main__ import lower, models, upper
from analysis.training.levels.junctions import Example
from analysis.training.levels.logistic import Examples, fit, left_out
from analysis.training.levels.settings import DEFAULT_SETTINGS, read_settings

SETTINGS = read_settings()


def junction(
    promontory_deg: float, depth: float = 1.0, height: float = 1.0
) -> Junction:
    return Junction(
        disc_depth_ratio=depth,
        disc_height_ratio=height,
        promontory_deg=promontory_deg,
        tilt_deg=promontory_deg / 2,
    )


@pytest.fixture(scope="module")
def found() -> list[Example]:
    """Every tenth series has a disc below S1."""
    chance = np.random.default_rng(1)
    series = []
    for place in range(60):
        is_sacral = place % 10 == 0
        at = chance.normal(15.0 if is_sacral else 54.0, 8.0)
        depth = (0.7 if is_sacral else 1.0) * np.exp(chance.normal(0.0, 0.1, 3))
        series.append(
            Example(
                name=str(place),
                junction=junction(at, depth[0], depth[1]),
                is_sacral=is_sacral,
                above=None
                if is_sacral
                else junction(chance.normal(20.0, 8.0), depth[2]),
            )
        )
    return series


def examples(found: list[Example]) -> Examples:
    return lower(found, SETTINGS.s1_s2_signs)


def test_the_same_examples_give_the_same_models(found: list[Example]) -> None:
    assert models(found, SETTINGS) == models(found, SETTINGS)


def test_a_spine_that_bends_at_the_lowest_disc_is_sure_of_l5_s1(
    found: list[Example],
) -> None:
    model = fit(examples(found), SETTINGS.ridge, 0.1)
    assert model.probability(junction(54.0)) < 0.01
    assert model.probability(junction(12.0, 0.65, 0.9)) > 0.5


def test_upper_discs_are_those_of_series_that_are_what_they_seem(
    found: list[Example],
) -> None:
    given = upper(found, SETTINGS.l4_l5_signs)
    assert given.sought.sum() == 54
    assert (~given.sought).sum() == 54
    model = fit(given, SETTINGS.ridge, 0.8)
    assert model.probability(junction(20.0)) > 0.8
    assert model.probability(junction(54.0)) < 0.2


def test_a_patient_teaches_nothing_that_is_asked_about_him(
    found: list[Example],
) -> None:
    given = upper(found, SETTINGS.l4_l5_signs)
    strange = given.patient == 7
    turned = dataclasses.replace(
        given, sought=np.where(strange, ~given.sought, given.sought)
    )
    as_he_is, as_turned = left_out(given, SETTINGS), left_out(turned, SETTINGS)
    assert as_turned[:, strange] == pytest.approx(as_he_is[:, strange], abs=1e-3)


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "levels.yaml"
    text = DEFAULT_SETTINGS.read_text(encoding="utf-8")
    wrong.write_text(f"{text}\nhaste: 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="haste"):
        read_settings(wrong)


def test_the_shipped_models_look_at_what_the_settings_say() -> None:
    shipped = shipped_models()
    assert shipped.s1_s2.signs == SETTINGS.s1_s2_signs
    assert shipped.s1_s2.told_from == SETTINGS.s1_s2_told_from
    assert shipped.l4_l5.signs == SETTINGS.l4_l5_signs
    assert shipped.l4_l5.told_from == SETTINGS.l4_l5_told_from
    bends = [shipped.s1_s2.probability(junction(at)) for at in (55.0, 30.0, 10.0)]
    assert bends == sorted(bends)

import csv
from itertools import product
from pathlib import Path

import pytest

from analysis.contract.acquisition import Acquisition
from analysis.contract.measurement import Absence
from analysis.contract.plugin import Subject
from analysis.lumbar.anatomy.structures import MEASURED_LEVELS
from analysis.lumbar.judge.norms.curves import (
    BAND_AGES,
    BANDS,
    CURVES_FILE,
    load_curves,
    percentile_of,
)
from analysis.lumbar.judge.norms.place import (
    NormAge,
    norm_age,
    norm_doubts,
    norm_places,
)
from analysis.lumbar.number_or_reason import Missing
from analysis.training.norms import main, read_samples

TSE = Acquisition(sequence=("SE",), dimensions="2D")
FACTS = Path(__file__).resolve().parents[7] / "shared" / "facts" / "norms"
VALUES = {"dhi": 0.35, "hdr": 0.25, "delta_si": 80.0}
DARK = Missing(absence=Absence.SIGNAL_UNFIT, code="csf_saturated", text="clipped")


# Tabulated percentiles of the sheets (geometry_by_level_sex_age.csv and
# si_by_level_age.csv of shared/facts/norms) and how many discs they rest on.
@pytest.mark.parametrize(
    ("key", "age", "value", "percentile", "count"),
    [
        (("dhi", "L1/L2", "f"), 25.0, 0.26172, 50, 63),
        (("dhi", "L1/L2", "f"), 45.0, 0.23389, 5, 80),
        (("dhi", "L1/L2", "m"), 65.0, 0.33180, 75, 60),
        (("dhi", "L4/L5", "f"), 45.0, 0.36804, 50, 68),
        (("dhi", "L4/L5", "m"), 45.0, 0.44852, 90, 47),
        (("dhi", "L5/S1", "f"), 45.0, 0.31128, 25, 57),
        (("hdr", "L1/L2", "m"), 45.0, 0.22508, 50, 73),
        (("hdr", "L4/L5", "f"), 65.0, 0.23620, 50, 30),
        (("hdr", "L5/S1", "f"), 25.0, 0.30510, 90, 51),
        (("delta_si", "L3/L4", "all"), 25.0, 97.203, 50, 99),
        (("delta_si", "L3/L4", "all"), 35.0, 62.0, 10, 105),
        (("delta_si", "L5/S1", "all"), 45.0, 102.1386, 75, 52),
    ],
)
def test_a_tabulated_percentile_is_found_again(
    key: tuple[str, str, str], age: float, value: float, percentile: float, count: int
) -> None:
    curve = load_curves()[key]
    # Twice the standard error of a share among so many.
    chance = 200 * (percentile / 100 * (1 - percentile / 100) / count) ** 0.5
    found = percentile_of(curve.z_score(value, age))
    assert found == pytest.approx(percentile, abs=chance)
    assert curve.count_at(age) == count


def test_there_is_a_curve_for_each_level_and_sex() -> None:
    geometry = set(product(("dhi", "hdr"), MEASURED_LEVELS, "fm"))
    signal = {("delta_si", level, "all") for level in MEASURED_LEVELS}
    assert set(load_curves()) == geometry | signal


@pytest.mark.parametrize("z_score", [-1.5, -0.5, 0.0, 1.0, 2.5])
def test_a_value_that_has_a_z_score_gets_it_back(z_score: float) -> None:
    for curve in load_curves().values():
        for age in (20.0, 44.0, 90.0):
            value = curve.value_at(z_score, age)
            assert curve.z_score(value, age) == pytest.approx(z_score, abs=1e-6)


def test_percentiles_are_those_of_the_normal_distribution() -> None:
    assert percentile_of(0.0) == pytest.approx(50.0)
    assert percentile_of(1.959964) == pytest.approx(97.5, abs=1e-4)
    assert percentile_of(-40.0) == 0.0


def test_more_is_never_a_lower_percentile() -> None:
    for curve in load_curves().values():
        medians = [curve.median_at(50.0) * step / 10 for step in range(25)]
        places = [curve.z_score(value, 50.0) for value in medians]
        assert places == sorted(places)


def test_a_disc_without_two_peaks_still_has_a_place() -> None:
    person = NormAge(years=60.0, sex="m")
    places = norm_places("L4/L5", VALUES | {"delta_si": 0.0}, person)["delta_si"]
    assert not isinstance(places, Missing)
    assert 0 <= places["all"].percentile < 5


@pytest.mark.parametrize("age", [14.0, 19.9, 91.1, 101.0])
def test_no_norm_is_given_outside_20_to_90_years(age: float) -> None:
    person = norm_age(Subject(age_years=age, sex="M"), TSE)
    assert isinstance(person, Missing)
    # In whole years, as people count: nobody of 19.9 is told that he is 20.
    assert f"Age {int(age)} years" in person.text
    assert person.code == "age_without_norms"
    for place in norm_places("L1/L2", VALUES, person).values():
        assert place is person
    assert [notice.code for notice in norm_doubts(person)] == ["age_without_norms"]


@pytest.mark.parametrize("age", [20.0, 90.0, 90.7])
def test_norms_reach_from_20_to_90_years(age: float) -> None:
    person = norm_age(Subject(age_years=age, sex="M"), TSE)
    assert person == NormAge(years=age, sex="m")
    assert norm_doubts(NormAge(years=age, sex="m")) == ()


@pytest.mark.parametrize(
    ("acquisition", "code"),
    [
        (Acquisition(sequence=("SE",), dimensions="3D"), "norms_other_acquisition"),
        (Acquisition(sequence=("GR",), dimensions="2D"), "norms_other_acquisition"),
        (
            Acquisition(sequence=("IR", "SE"), dimensions="2D"),
            "norms_other_acquisition",
        ),
        (Acquisition(sequence=("SE",)), "norms_acquisition_unknown"),
        (Acquisition(dimensions="2D"), "norms_acquisition_unknown"),
        (None, "norms_acquisition_unknown"),
    ],
)
def test_norms_hold_for_2d_spin_echo_alone_and_say_why_else_not(
    acquisition: Acquisition | None, code: str
) -> None:
    person = norm_age(Subject(age_years=45.0, sex="F"), acquisition)
    assert isinstance(person, Missing)
    assert person.code == code
    assert norm_doubts(person) == ()


@pytest.mark.parametrize(
    ("sequence", "dimensions", "words"),
    [
        (("SE",), "3D", "3-D spin echo"),
        (("GR",), "2D", "2-D gradient echo"),
        (("SE", "IR"), "2D", "2-D inversion recovery and spin echo"),
        (("RM",), "2D", "2-D of sequence RM"),
    ],
)
def test_the_kind_of_picture_is_said_in_words(
    sequence: tuple[str, ...], dimensions: str, words: str
) -> None:
    own = Acquisition(sequence=sequence, dimensions=dimensions)
    person = norm_age(Subject(age_years=45.0, sex="F"), own)
    assert isinstance(person, Missing)
    assert person.text == (
        f"The pictures are {words}, those of the norms 2-D spin echo: no percentile is "
        "given"
    )


def test_an_unknown_sex_gives_both_norms_and_is_said() -> None:
    person = norm_age(Subject(age_years=45.0), TSE)
    assert isinstance(person, NormAge)
    places = norm_places("L3/L4", VALUES, person)
    for parameter in ("dhi", "hdr"):
        found = places[parameter]
        assert not isinstance(found, Missing)
        assert set(found) == {"f", "m"}
        assert found["f"].population.startswith("women, 40 to 50 years")
    # The signal is published without sex.
    signal = places["delta_si"]
    assert not isinstance(signal, Missing)
    assert set(signal) == {"all"}
    assert [notice.code for notice in norm_doubts(person)] == ["sex_unknown"]


def test_a_value_that_could_not_be_had_keeps_its_own_reason() -> None:
    person = NormAge(years=45.0, sex="f")
    places = norm_places("L3/L4", VALUES | {"delta_si": DARK}, person)
    assert places["delta_si"] is DARK


def test_men_and_women_of_one_height_stand_at_different_places() -> None:
    # Women above men in HDR, men above women in DHI (FACTS.md section 3).
    both = norm_places("L2/L3", VALUES, NormAge(years=35.0, sex=None))
    index, ratio = both["dhi"], both["hdr"]
    assert not isinstance(index, Missing)
    assert not isinstance(ratio, Missing)
    assert index["f"].percentile > index["m"].percentile
    assert ratio["f"].percentile < ratio["m"].percentile


@pytest.mark.shared
@pytest.mark.skipif(not FACTS.is_dir(), reason=f"{FACTS} is not on this machine")
def test_the_curves_keep_the_published_values_as_well_as_chance_allows() -> None:
    curves = load_curves()
    inside, count = 0, 0
    for key, samples in read_samples(FACTS).items():
        for band, values in samples.items():
            age = BAND_AGES[band]
            low, high = (curves[key].value_at(z, age) for z in (-1.645, 1.645))
            inside += int(((values >= low) & (values <= high)).sum())
            count += len(values)
    # 3,163 discs twice and 1,600 once; 90 % of them, +/- 3 standard errors.
    assert count == 2 * 3163 + 1600
    assert inside / count == pytest.approx(0.90, abs=3 * (0.9 * 0.1 / count) ** 0.5)


@pytest.mark.shared
@pytest.mark.skipif(not FACTS.is_dir(), reason=f"{FACTS} is not on this machine")
def test_the_counts_are_those_of_the_sheets() -> None:
    with (FACTS / "geometry_individual.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    curve = load_curves()["hdr", "L5/S1", "m"]
    for (start, end), count in zip(BANDS, curve.counts, strict=True):
        band = ("L5/S1", "M", f"{start}-{end}")
        found = [r for r in rows if (r["level"], r["sex"], r["age_band"]) == band]
        assert len(found) == count


@pytest.mark.shared
@pytest.mark.skipif(not FACTS.is_dir(), reason=f"{FACTS} is not on this machine")
def test_one_command_makes_the_curves_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "curves.json"
    assert main(["--norms", str(FACTS), "--out", str(made)]) == 0
    assert made.read_text() == CURVES_FILE.read_text()
    assert "| delta_si |" in capsys.readouterr().out

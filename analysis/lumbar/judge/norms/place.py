"""The place of a person's values among the norms, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.contract.acquisition import Acquisition
from analysis.contract.measurement import Absence, NormPlace
from analysis.contract.plugin import Subject
from analysis.lumbar.doubt import Doubt, warning
from analysis.lumbar.judge.norms.curves import (
    BANDS,
    BOTH_SEXES,
    MAX_AGE,
    MIN_AGE,
    PARAMETERS,
    SEXES,
    Curve,
    band_of,
    load_curves,
    percentile_of,
)
from analysis.lumbar.number_or_reason import Missing, Value

_WHO = {"f": "women", "m": "men", BOTH_SEXES: "women and men"}
SOURCE = "Zheng 2022"
AGE_UNKNOWN = "age_unknown"
OTHER_ACQUISITION = "norms_other_acquisition"
_NOT_SE = frozenset({"GR", "IR", "EP"})
"""Words of (0018,0020) Scanning Sequence that a spin echo of the norms has not."""

_SEQUENCES = {
    "IR": "inversion recovery",
    "GR": "gradient echo",
    "EP": "echo planar",
    "SE": "spin echo",
}
"""Words for (0018,0020), as PS3.3 C.8.3.1 defines them."""

Places = Mapping[str, NormPlace]
"""One place by the curve of the person's sex (key `f` or `m`) or of both (`all`); two,
`f` and `m`, where the curves differ by sex and the person's is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormAge:
    """A person for whom there are norms.

    Parameters
    ----------
    years
        20 to 90 whole ones, and what is left of a year.
    sex
        `f`, `m`, or None where it is not known.
    """

    years: float
    sex: str | None

    def curves(self, parameter: str, level: str) -> dict[str, Curve]:
        """Return the curves that apply, by sex."""
        every = load_curves()
        sexes = SEXES if self.sex is None else (self.sex,)
        if (parameter, level, BOTH_SEXES) in every:
            sexes = (BOTH_SEXES,)
        return {sex: every[parameter, level, sex] for sex in sexes}


def norm_age(subject: Subject, acquisition: Acquisition | None) -> NormAge | Missing:
    """Return whose norms apply, or why none do.

    Parameters
    ----------
    subject
        Age and sex, as far as the series states them.
    acquisition
        How the series was acquired; None where nothing is known.
    """
    other = _other_acquisition(acquisition)
    if other is not None:
        return other
    age = subject.age_years
    if age is None:
        text = "The series states no age that can be right: no norms are given"
        return _without(AGE_UNKNOWN, text)
    years = math.floor(age)
    if not MIN_AGE <= years <= MAX_AGE:
        text = f"Age {years} years; the norms hold for {MIN_AGE:.0f} to {MAX_AGE:.0f}"
        return _without("age_without_norms", text)
    sex = subject.sex.lower() if subject.sex else None
    return NormAge(years=age, sex=sex if sex in SEXES else None)


def _other_acquisition(acquisition: Acquisition | None) -> Missing | None:
    """Return why the norms do not hold for the kind of picture; None where they do.

    On 3-D SPACE the delta-SI of healthy discs reads 2.6 standard deviations too low
    (`python -m tests.accuracy.norms`), for its fluid is brighter.
    """
    if acquisition is None or not (acquisition.dimensions and acquisition.sequence):
        text = (
            "The series does not state whether it was acquired in 2-D by spin echo, as "
            "the pictures of the norms were: no percentile is given"
        )
        return _without("norms_acquisition_unknown", text)
    sequence = set(acquisition.sequence)
    if acquisition.dimensions == "2D" and "SE" in sequence and not sequence & _NOT_SE:
        return None
    own = f"{acquisition.dimensions.replace('D', '-D')} {_kind(sequence)}"
    text = (
        f"The pictures are {own}, those of the norms 2-D spin echo: no percentile is "
        "given"
    )
    return _without(OTHER_ACQUISITION, text)


def _kind(sequence: set[str]) -> str:
    """Return (0018,0020) Scanning Sequence in words."""
    words = [word for code, word in _SEQUENCES.items() if code in sequence]
    return " and ".join(words) or f"of sequence {' and '.join(sorted(sequence))}"


def norm_doubts(person: NormAge | Missing) -> tuple[Doubt, ...]:
    """Say once for the series what is not known of the person.

    What the picture is, is no news to whoever sent it; its reason stands in the place
    of the norms.
    """
    if isinstance(person, Missing):
        if person.code.startswith("norms_"):
            return ()
        return (warning(person.code, person.text),)
    if person.sex is None:
        text = "The series states no sex: norms are given for women and for men"
        return (warning("sex_unknown", text),)
    return ()


def norm_places(
    level: str, values: Mapping[str, Value], person: NormAge | Missing
) -> dict[str, Places | Missing]:
    """Place the values of one level among the norms, by parameter.

    Parameters
    ----------
    level
        Such as `L4/L5`.
    values
        `dhi`, `hdr` and `delta_si` by the definitions of the reference.
    person
        Whose norms apply.
    """
    return {name: _places(name, level, values[name], person) for name in PARAMETERS}


def _places(
    parameter: str, level: str, value: Value, person: NormAge | Missing
) -> Places | Missing:
    if isinstance(value, Missing):
        return value
    if isinstance(person, Missing):
        return person
    start, end = BANDS[band_of(person.years)]
    places = {}
    for sex, curve in person.curves(parameter, level).items():
        z_score = curve.z_score(value, person.years)
        places[sex] = NormPlace(
            z_score=z_score,
            percentile=percentile_of(z_score),
            count=curve.count_at(person.years),
            population=f"{_WHO[sex]}, {start} to {end} years, {SOURCE}",
        )
    return places


def _without(code: str, text: str) -> Missing:
    return Missing(absence=Absence.NOT_ATTEMPTED, code=code, text=text)

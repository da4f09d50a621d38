"""What has changed since an earlier examination, and what stands against saying so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from analysis.contract.acquisition import Acquisition
from analysis.contract.concepts import PRIVATE_SCHEME, Concept
from analysis.contract.follow_up import Prior
from analysis.contract.measurement import Change, Measurement
from analysis.contract.result import (
    AnalysisResult,
    Finding,
    Notice,
    Provenance,
)
from analysis.lumbar.anatomy.structures import (
    DISCS,
    MEASURED_LEVELS,
    Structure,
    level_of,
)
from analysis.lumbar.correct.outlined_spine import OUTLINES_EDITED
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.measure.quantities import OF_LEVELS
from analysis.lumbar.measure.quantity import DetectableChange, Quantity
from analysis.lumbar.measure.zheng2022.quantities import ZHENG_QUANTITIES
from analysis.lumbar.tell.evaluations import PFIRRMANN, PFIRRMANN_GRADES

ZHENG_KEYS = frozenset(quantity.key for quantity in ZHENG_QUANTITIES)
"""Of a paper, for its norms: no measurements of a patient over time."""
_OTHER = Concept("CHANGE-OTHER", PRIVATE_SCHEME, "Change of another quantity")
_LEVEL_DOUBTS = frozenset({"level_uncertain", "low_confidence"})
_WEIGHTINGS = frozenset({"fat_suppressed", "not_t2", "weighting_unknown"})
"""What is told of a series that is no plain T2: discs are up to 1.2 mm lower on TIRM
(docs/accuracy-measurements.md), and no attribute of an acquisition need tell it."""
_MAY_BE_THE_CAUSE = "a change may come from that"
_WORDS = {
    "manufacturer": "manufacturer",
    "model": "model",
    "field_strength_t": "field strength",
    "sequence": "kind of sequence",
    "dimensions": "2-D or 3-D",
    "repetition_time_ms": "repetition time",
    "echo_time_ms": "echo time",
}
_KINDS = (
    ("scanner_differs", "The scanner differs from that of", ("manufacturer", "model")),
    (
        "field_strength_differs",
        "The field strength differs from that of",
        ("field_strength_t",),
    ),
    (
        "sequence_differs",
        "The sequence differs from that of",
        ("sequence", "dimensions", "repetition_time_ms", "echo_time_ms"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChange:
    """One disc in both examinations.

    Parameters
    ----------
    changes
        By the key of the quantity in `report.json`.
    missing
        Why a quantity cannot be compared, by its key.
    grades
        Pfirrmann grade (1 to 5) then and now; None where there is none. No minimal
        detectable change of a grade is known, so none is judged.
    """

    disc: Structure
    changes: Mapping[str, Change]
    missing: Mapping[str, str]
    grades: tuple[int | None, int | None]

    @property
    def level(self) -> str:
        """Its name, such as `L4/L5`."""
        return level_of(self.disc)

    @property
    def told(self) -> tuple[Change, ...]:
        """Those of the changes that a reader is told of everywhere."""
        return tuple(c for c in self.changes.values() if c.concept != _OTHER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two examinations of one patient, disc by disc."""

    days: int
    levels: tuple[LevelChange, ...]
    warnings: tuple[Notice, ...]


def compare(
    result: AnalysisResult, acquisition: Acquisition, prior: Prior
) -> Comparison:
    """Compare a result with an earlier examination, disc by disc.

    Parameters
    ----------
    acquisition
        Of the series that `result` was measured on.
    """
    now = {finding.site.value: finding for finding in result.findings}
    then = {finding.site.value: finding for finding in prior.findings}
    levels = tuple(
        _level(disc, then.get(disc.concept.value), now.get(disc.concept.value))
        for level in MEASURED_LEVELS
        for disc in DISCS
        if level_of(disc) == level
    )
    return Comparison(
        days=prior.days,
        levels=levels,
        warnings=tuple(_warnings(result, acquisition, prior)),
    )


def _level(disc: Structure, then: Finding | None, now: Finding | None) -> LevelChange:
    changes: dict[str, Change] = {}
    missing: dict[str, str] = {}
    for quantity in OF_LEVELS:
        if quantity.concept is None or quantity.key in ZHENG_KEYS:
            continue
        if quantity.change is None:
            missing[quantity.key] = "nobody is known to have measured it twice"
            continue
        change = _change(quantity, quantity.change, then, now)
        if isinstance(change, str):
            missing[quantity.key] = change
        else:
            changes[quantity.key] = change
    return LevelChange(
        disc=disc,
        changes=changes,
        missing=missing,
        grades=(_grade(then), _grade(now)),
    )


def _change(
    quantity: Quantity[DiscLevel],
    detectable: DetectableChange,
    then: Finding | None,
    now: Finding | None,
) -> Change | str:
    """Return the change of one quantity, or why there is none."""
    earlier, current = _measured(quantity, then), _measured(quantity, now)
    if current is None:
        return "not measured now"
    if earlier is None:
        return "not measured in the earlier examination"
    if earlier.unit.value != current.unit.value:
        return f"in {earlier.unit.value} earlier, in {current.unit.value} now"
    return Change(
        concept=detectable.told_as or _OTHER,
        unit=current.unit,
        earlier=earlier.value,
        now=current.value,
        detectable=detectable.limit(earlier.value, current.value),
    )


def _measured(
    quantity: Quantity[DiscLevel], finding: Finding | None
) -> Measurement | None:
    """Return a quantity by its codes; what it is called may differ."""
    measured = () if finding is None else finding.measurements
    # A report of main numbers alone gives them without what narrows them.
    narrowings = [quantity.modifiers, *([()] if quantity.is_main else [])]
    for modifiers in narrowings:
        wanted = _codes(quantity.concept, modifiers)
        for found in measured:
            if _codes(found.concept, found.modifiers) == wanted:
                return found
    return None


def _codes(
    concept: Concept | None, modifiers: Sequence[tuple[Concept, Concept]]
) -> tuple[tuple[str, str], frozenset[tuple[str, str]]]:
    narrowed = frozenset((name.value, value.value) for name, value in modifiers)
    own = ("", "") if concept is None else (concept.scheme, concept.value)
    return own, narrowed


def _grade(finding: Finding | None) -> int | None:
    codes = [grade.value for grade in PFIRRMANN_GRADES]
    for grade in () if finding is None else finding.grades:
        if grade.concept.value == PFIRRMANN.value and grade.value.value in codes:
            return codes.index(grade.value.value) + 1
    return None


def _warnings(
    result: AnalysisResult, acquisition: Acquisition, prior: Prior
) -> Iterator[Notice]:
    differing = set(acquisition.differing(prior.acquisition))
    for code, text, parts in _KINDS:
        named = [_WORDS[part] for part in parts if part in differing]
        if named:
            listed = f" ({', '.join(named)})" if len(parts) > 1 else ""
            said = f"{text} the earlier examination{listed}: {_MAY_BE_THE_CAUSE}"
            yield Notice(code=code, text=said)
    unknown = {*acquisition.unknown(), *prior.acquisition.unknown()}
    if unknown:
        names = ", ".join(word for part, word in _WORDS.items() if part in unknown)
        text = f"Not known of one of the two examinations, so not compared: {names}"
        yield Notice(code="acquisition_unknown", text=text)
    yield from _analysis_warnings(result.provenance, prior)
    own = {notice.code for notice in result.warnings}
    if (OUTLINES_EDITED in own) != (OUTLINES_EDITED in prior.warnings):
        text = (
            "A reader has corrected the outlines of one of the two examinations: "
            f"{_MAY_BE_THE_CAUSE}"
        )
        yield Notice(code="outlines_differ", text=text)
    if _WEIGHTINGS & own != _WEIGHTINGS & set(prior.warnings):
        text = (
            "The weighting, or the suppression of fat, differs from that of the "
            f"earlier examination: {_MAY_BE_THE_CAUSE}"
        )
        yield Notice(code="weighting_differs", text=text)
    if _LEVEL_DOUBTS & (own | set(prior.warnings)):
        text = (
            "The numbering of the levels is in doubt in one of the two examinations: "
            "different discs may be compared"
        )
        yield Notice(code="levels_may_differ", text=text)


def _analysis_warnings(own: Provenance, prior: Prior) -> Iterator[Notice]:
    if (own.name, own.version) == (prior.analysis, prior.version):
        return
    text = (
        f"The earlier examination was measured by {prior.analysis} {prior.version}, "
        f"this one by {own.name} {own.version}: {_MAY_BE_THE_CAUSE}"
    )
    yield Notice(code="analysis_differs", text=text)

"""Values that were measured and must not be told: the picture does not bear them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.levels import Levels
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE
from analysis.lumbar.measure.discs_and_bodies import SlabMeasurement
from analysis.lumbar.measure.measurements import DiscRow, Rows
from analysis.lumbar.measure.zheng2022.parameters import ReferenceValues
from analysis.lumbar.value import Missing, Value

MAX_UNCERTAIN_SHARE = 1 / 3
"""Standard uncertainty of a height, of the height itself: beyond it the height may as
well be half or half as much again. When it was chosen two of 125 discs of train had
more, 0.36 and 0.52: one was read 1.6 mm too low of 5.2 mm, and the other's drawn
outline could not be measured either; the next had 0.19. The networks have learnt from
both since (0.22 and 0.32)."""

_CANAL_VALUES = frozenset({"delta_si", "signal_ratio_csf", "nucleus_ratio_csf"})
"""What is read against the signal of the canal."""


def uncertain_heights(rows: Rows) -> dict[int, Missing]:
    """Return why discs whose height is known too badly have no values, by number."""
    found = {}
    for row in rows.discs:
        height, u = row.disc_height_mm, row.uncertainty.get("disc_height_mm")
        if isinstance(height, Missing) or u is None:
            continue
        if u > MAX_UNCERTAIN_SHARE * height:
            text = (
                f"its outline is unsure: a height of {height:.1f} mm with a standard "
                f"uncertainty of {u:.1f} mm, which may be {MAX_UNCERTAIN_SHARE:.0%} of "
                "it at most"
            )
            found[row.disc.number] = Missing(
                absence=Absence.GEOMETRY_UNFIT, code="too_uncertain", text=text
            )
    return found


def cut_bodies(levels: Levels) -> dict[int, Missing]:
    """Return why bodies that something cuts in two have no height, by their number."""
    return {
        body.number: Missing(
            absence=Absence.GEOMETRY_UNFIT,
            code="incomplete",
            text=f"what looks like a disc cuts {body.label} in two",
        )
        for body in VERTEBRAE
        if body.number in levels.cut
    }


def refuse(rows: Rows, unfit: Mapping[int, Missing]) -> Rows:
    """Put reasons in the place of values.

    Parameters
    ----------
    rows
        What was measured.
    unfit
        By number of the structure, why it cannot be measured. All values of a disc go,
        and with a body those of the discs beside it that rest on its height.
    """
    if not unfit:
        return rows
    return Rows(
        discs=tuple(_disc(row, unfit) for row in rows.discs),
        bodies=tuple(_body(body, unfit) for body in rows.bodies),
    )


def _disc(row: DiscRow, unfit: Mapping[int, Missing]) -> DiscRow:
    own = unfit.get(row.disc.number)
    if own is not None:
        return _without_values(row, own)
    below = DISCS.index(row.disc)
    beside = (VERTEBRAE[below + 1], VERTEBRAE[below])
    reasons = [unfit[body.number] for body in beside if body.number in unfit]
    if not reasons:
        return row
    index = _or_reason(row.disc_height_index, reasons[0])
    known = row.uncertainty.items()
    return replace(
        row,
        disc_height_index=index,
        reference=_without_geometry(row.reference, reasons[0]),
        uncertainty={k: v for k, v in known if k != "disc_height_index"},
    )


def _without_values(row: DiscRow, reason: Missing) -> DiscRow:
    reference = _without_geometry(row.reference, reason)
    return replace(
        row,
        disc_height_mm=_or_reason(row.disc_height_mm, reason),
        anterior_height_mm=_or_reason(row.anterior_height_mm, reason),
        middle_height_mm=_or_reason(row.middle_height_mm, reason),
        posterior_height_mm=_or_reason(row.posterior_height_mm, reason),
        disc_length_mm=_or_reason(row.disc_length_mm, reason),
        disc_area_mm2=_or_reason(row.disc_area_mm2, reason),
        wedge_angle_deg=_or_reason(row.wedge_angle_deg, reason),
        disc_height_index=_or_reason(row.disc_height_index, reason),
        height_diameter_ratio=_or_reason(row.height_diameter_ratio, reason),
        delta_si=_or_reason(row.delta_si, reason),
        signal_ratio_csf=_or_reason(row.signal_ratio_csf, reason),
        nucleus_ratio_csf=_or_reason(row.nucleus_ratio_csf, reason),
        reference=replace(
            reference,
            delta_si=_or_reason(reference.delta_si, reason),
            delta_si_grade=_or_reason(reference.delta_si_grade, reason),
        ),
        uncertainty={},
        blur_mm=None,
    )


def _without_geometry(values: ReferenceValues, reason: Missing) -> ReferenceValues:
    return replace(
        values,
        dh_px512=_or_reason(values.dh_px512, reason),
        dhi=_or_reason(values.dhi, reason),
        hdr=_or_reason(values.hdr, reason),
    )


def _or_reason(value: Value, reason: Missing) -> Missing:
    """Return the reason; another that came first stays."""
    return value if isinstance(value, Missing) else reason


def _body(body: SlabMeasurement, unfit: Mapping[int, Missing]) -> SlabMeasurement:
    reason = unfit.get(body.structure.number)
    if reason is None:
        return body
    return replace(
        body,
        height_mm=_or_reason(body.height_mm, reason),
        length_mm=_or_reason(body.length_mm, reason),
    )


def without_uncertainty(rows: Rows, edited: frozenset[int]) -> Rows:
    """Take the uncertainty from what rests on an edited outline.

    It was learnt from the network's errors and says nothing of a reader's.
    """
    return replace(rows, discs=tuple(_sober(row, edited) for row in rows.discs))


def _sober(row: DiscRow, edited: frozenset[int]) -> DiscRow:
    below = DISCS.index(row.disc)
    own = {row.disc.number, VERTEBRAE[below].number, VERTEBRAE[below + 1].number}
    if own & edited:
        return replace(row, uncertainty={})
    if CANAL.number in edited:
        known = row.uncertainty.items()
        kept = {key: value for key, value in known if key not in _CANAL_VALUES}
        return replace(row, uncertainty=kept)
    return row

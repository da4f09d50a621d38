"""Values that were measured and must not be told: the picture does not bear them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy import DISCS, VERTEBRAE, Structure
from analysis.lumbar.levels import Levels
from analysis.lumbar.measure.geometry import SlabMeasurement
from analysis.lumbar.measure.quantity import Missing
from analysis.lumbar.measure.rows import DiscRow, Rows

_OF_DISC = (
    "disc_height_mm",
    "anterior_height_mm",
    "middle_height_mm",
    "posterior_height_mm",
    "disc_length_mm",
    "disc_area_mm2",
    "wedge_angle_deg",
    "disc_height_index",
    "height_diameter_ratio",
    "delta_si",
    "signal_ratio_csf",
    "nucleus_ratio_csf",
)
_OF_REFERENCE = ("dh_px512", "dhi", "hdr")
_OF_SIGNAL = ("delta_si", "delta_si_grade")


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
        known = _known(row, _OF_DISC)
        reference = dict.fromkeys((*_OF_REFERENCE, *_OF_SIGNAL), own)
        return replace(
            row,
            **dict.fromkeys(known, own),
            reference=replace(row.reference, **reference),
            uncertainty={},
        )
    below = DISCS.index(row.disc)
    bodies = _facing(below)
    found = [unfit[body.number] for body in bodies if body.number in unfit]
    if not found:
        return row
    reason = found[0]
    kept = {k: v for k, v in row.uncertainty.items() if k != "disc_height_index"}
    return replace(
        row,
        disc_height_index=reason,
        reference=replace(row.reference, **dict.fromkeys(_OF_REFERENCE, reason)),
        uncertainty=kept,
    )


def _facing(below: int) -> tuple[Structure, ...]:
    return VERTEBRAE[below + 1], VERTEBRAE[below]


def _known(row: DiscRow, keys: tuple[str, ...]) -> list[str]:
    """Return what has a value: another reason came first and stays."""
    return [key for key in keys if not isinstance(getattr(row, key), Missing)]


def _body(body: SlabMeasurement, unfit: Mapping[int, Missing]) -> SlabMeasurement:
    reason = unfit.get(body.structure.number)
    if reason is None:
        return body
    return replace(body, height_mm=reason, length_mm=reason)

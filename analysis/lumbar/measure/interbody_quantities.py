"""The quantities of the space between two bodies, and of how they stand."""

from __future__ import annotations

from analysis.contract.concepts import (
    ANTERIOR,
    CUBIC_MILLIMETRE,
    DEGREE,
    DERIVATION,
    MEAN,
    MIDDLE,
    MILLIMETRE,
    PER_CENT,
    POSTERIOR,
    PRIVATE_SCHEME,
    TOPOGRAPHY,
    VOLUME,
    Concept,
)
from analysis.lumbar.doubt import Need
from analysis.lumbar.measure.alignment import coronal_tilt_deg, segment_lordosis_deg
from analysis.lumbar.measure.canal import diameter_at_disc
from analysis.lumbar.measure.interbody import (
    interbody_in_slices,
    interbody_value,
    slip_value,
)
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.measure.quantity import DetectableChange, Quantity, Shown, Terms
from analysis.lumbar.measure.rear_bulge import rear_bulge_mm
from analysis.lumbar.measure.repeat_examinations import LENGTH_SHARE
from analysis.lumbar.measure.volume import disc_volume_mm3

_OUTLINES = frozenset({Need.DISC, Need.BODIES})
_WHOLE_BODIES = _OUTLINES | {Need.BODY_HEIGHTS}
"""Of a body that is seen in part the rims and corners are those of the part: between L4
and L5 of 152, which leave the slices in a scoliosis, the space was 15.3 mm high behind
where the drawn outlines have 3.8, and its wedge was -20 degrees for +8."""
_CANAL = Concept("CANAL-DEPTH", PRIVATE_SCHEME, "Canal AP diameter")
_HEIGHT = Concept("INTERBODY-HEIGHT", PRIVATE_SCHEME, "End plate to end plate distance")

INTERBODY_QUANTITIES: tuple[Quantity[DiscLevel], ...] = (
    Quantity(
        key="interbody_height_mm",
        concept=_HEIGHT,
        modifiers=((DERIVATION, MEAN),),
        unit=MILLIMETRE,
        read=interbody_value(lambda one: one.height_mm),
        definition="end plate to end plate, mean between the rims that face each "
        "other, along the direction that halves their angle",
        needs=_OUTLINES,
        in_slices=interbody_in_slices(lambda one: one.height_mm),
        change=DetectableChange(
            share=LENGTH_SHARE,
            floor=0.255,
            told_as=Concept(
                "CHANGE-INTERBODY", PRIVATE_SCHEME, "Change of interbody height"
            ),
        ),
        shown=Shown(head="Interbody", unit="height, mm", decimals=1, is_first=True),
    ),
    Quantity(
        key="interbody_anterior_height_mm",
        concept=_HEIGHT,
        modifiers=((TOPOGRAPHY, ANTERIOR),),
        unit=MILLIMETRE,
        read=interbody_value(lambda one: one.anterior_height_mm),
        definition="the same from front rim to front rim",
        needs=_WHOLE_BODIES,
        in_slices=interbody_in_slices(lambda one: one.anterior_height_mm),
    ),
    Quantity(
        key="interbody_middle_height_mm",
        concept=_HEIGHT,
        modifiers=((TOPOGRAPHY, MIDDLE),),
        unit=MILLIMETRE,
        read=interbody_value(lambda one: one.middle_height_mm),
        definition="the same in the middle tenth between the rims",
        needs=_OUTLINES,
        in_slices=interbody_in_slices(lambda one: one.middle_height_mm),
    ),
    Quantity(
        key="interbody_posterior_height_mm",
        concept=_HEIGHT,
        modifiers=((TOPOGRAPHY, POSTERIOR),),
        unit=MILLIMETRE,
        read=interbody_value(lambda one: one.posterior_height_mm),
        definition="the same from rear rim to rear rim",
        needs=_WHOLE_BODIES,
        in_slices=interbody_in_slices(lambda one: one.posterior_height_mm),
    ),
    Quantity(
        key="segment_lordosis_deg",
        concept=Concept("LORDOSIS-SEGM", PRIVATE_SCHEME, "Segmental lordosis"),
        unit=DEGREE,
        read=segment_lordosis_deg,
        definition="between the upper end plates of both bodies, by their rims; the "
        "segments add up to the lordosis",
        needs=_WHOLE_BODIES,
        shown=Shown(head="Lordosis", unit="deg", decimals=0),
    ),
    Quantity(
        key="slip_mm",
        concept=Concept("SLIP", PRIVATE_SCHEME, "Slip of the vertebra above"),
        unit=MILLIMETRE,
        read=slip_value(lambda one: one.slip_mm),
        definition="how far the lower rear corner of the body above lies before the "
        "upper rear corner of the body below, along the latter's end plate; negative: "
        "behind it; not at L5/S1",
        needs=_WHOLE_BODIES,
        in_slices=interbody_in_slices(lambda one: one.slip_mm),
        shown=Shown(head="Slip", unit="mm", decimals=1, is_first=True),
    ),
    Quantity(
        key="slip_percent",
        concept=Concept(
            "SLIP-SHARE", PRIVATE_SCHEME, "Slip in percent of the end plate"
        ),
        unit=PER_CENT,
        read=slip_value(lambda one: one.slip_percent),
        definition="the same, of the depth of the lower body's end plate",
        needs=_WHOLE_BODIES,
        in_slices=interbody_in_slices(lambda one: one.slip_percent),
    ),
    Quantity(
        key="canal_ap_diameter_mm",
        concept=_CANAL,
        unit=MILLIMETRE,
        read=lambda level: level.once(diameter_at_disc),
        definition="the dural sac and the fat behind it, not the bony canal, across "
        "its own direction, mean of 4 mm behind the middle of the disc; "
        "slices within 3 mm of the middle",
        needs=frozenset({Need.CANAL}),
        terms=Terms(floor=0.702),
        shown=Shown(head="Canal", unit="AP, mm", decimals=1, is_first=True),
    ),
    Quantity(
        key="rear_bulge_mm",
        concept=Concept("REAR-BULGE", PRIVATE_SCHEME, "Disc behind its bodies"),
        unit=MILLIMETRE,
        read=rear_bulge_mm,
        definition="the farthest that the rear edge of the disc lies behind the line "
        "from corner to corner of the bodies, over 1.6 mm; negative: before it",
        needs=_WHOLE_BODIES,
        terms=Terms(floor=0.588, share=0.161),
    ),
    Quantity(
        key="disc_volume_mm3",
        concept=VOLUME,
        unit=CUBIC_MILLIMETRE,
        read=disc_volume_mm3,
        definition="sum of the sections of the disc in all slices; only where the "
        "slices reach both of its sides",
        needs=_OUTLINES,
    ),
    Quantity(
        key="coronal_tilt_deg",
        concept=Concept("CORONAL-TILT", PRIVATE_SCHEME, "Tilt, down to the right"),
        unit=DEGREE,
        read=lambda level: level.once(coronal_tilt_deg),
        definition="by how much the plane of the disc falls to the patient's right",
        needs=_OUTLINES,
    ),
)

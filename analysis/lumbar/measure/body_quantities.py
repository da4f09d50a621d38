"""The quantities of a vertebral body."""

from __future__ import annotations

from analysis.contract.concepts import DEPTH, DERIVATION, HEIGHT, MEAN, MILLIMETRE
from analysis.lumbar.doubt import Need
from analysis.lumbar.measure.discs_and_bodies import BODY_HEIGHT_MM, BODY_LENGTH_MM
from analysis.lumbar.measure.quantity import Quantity
from analysis.lumbar.measure.sites import Vertebra

BODY_QUANTITIES: tuple[Quantity[Vertebra], ...] = (
    Quantity(
        key="body_height_mm",
        concept=HEIGHT,
        modifiers=((DERIVATION, MEAN),),
        unit=MILLIMETRE,
        read=lambda body: body.slab.height_mm,
        definition="as for the disc, between its own end plates; no posterior elements",
        needs=frozenset({Need.BODY_HEIGHTS}),
        plausible=BODY_HEIGHT_MM,
    ),
    Quantity(
        key="body_length_mm",
        concept=DEPTH,
        unit=MILLIMETRE,
        read=lambda body: body.slab.length_mm,
        definition="as for the disc",
        needs=frozenset({Need.BODY_HEIGHTS}),
        plausible=BODY_LENGTH_MM,
    ),
)

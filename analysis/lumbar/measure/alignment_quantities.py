"""The quantities of the spine as a whole."""

from __future__ import annotations

from analysis.contract.concepts import DEGREE, MILLIMETRE, PRIVATE_SCHEME, Concept
from analysis.lumbar.doubt import Need
from analysis.lumbar.measure.alignment import (
    coronal_angle_deg,
    lordosis_deg,
    sacral_slope_deg,
)
from analysis.lumbar.measure.canal import least_diameter
from analysis.lumbar.measure.measured_sites import WholeSpine
from analysis.lumbar.measure.quantity import Quantity, Shown

ALIGNMENT_QUANTITIES: tuple[Quantity[WholeSpine], ...] = (
    Quantity(
        key="lordosis_l1_s1_deg",
        concept=Concept(
            "LORDOSIS-L1-S1", PRIVATE_SCHEME, "Lordosis L1 to S1, as scanned"
        ),
        unit=DEGREE,
        read=lordosis_deg,
        definition="from the upper end plate of L1 to that of S1, by their rims; in "
        "the position of the scan",
        needs=frozenset({Need.BODIES, Need.BODY_HEIGHTS}),
        shown=Shown(head="Lordosis L1 to S1", unit="deg", decimals=0),
    ),
    Quantity(
        key="sacral_slope_deg",
        concept=Concept("SACRAL-SLOPE", PRIVATE_SCHEME, "Sacral slope, as scanned"),
        unit=DEGREE,
        read=sacral_slope_deg,
        definition="how the upper end plate of S1 leans to the front, against the "
        "patient's front-to-back axis, in the plane of the slices; in the position of "
        "the scan",
        needs=frozenset({Need.BODIES, Need.SACRUM}),
        shown=Shown(head="Sacral slope", unit="deg", decimals=0),
    ),
    Quantity(
        key="coronal_angle_deg",
        concept=Concept(
            "CORONAL-ANGLE", PRIVATE_SCHEME, "Coronal angle, L1/L2 to L5/S1"
        ),
        unit=DEGREE,
        read=coronal_angle_deg,
        definition="largest angle between the planes of two discs L1/L2 to L5/S1, seen "
        "from the front, in the position of the scan. No Cobb angle: discs in place of "
        "end plates",
        needs=frozenset({Need.DISC, Need.BODIES}),
    ),
    Quantity(
        key="least_canal_ap_diameter_mm",
        concept=Concept("CANAL-LEAST", PRIVATE_SCHEME, "Least canal AP diameter"),
        unit=MILLIMETRE,
        read=least_diameter,
        definition="`canal_ap_diameter_mm` at the disc where it is least, which "
        "`narrowest_canal` names; none where a disc above L5/S1 has none",
        needs=frozenset({Need.CANAL}),
    ),
)

"""The quantities of a vertebral body."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analysis.contract.concepts import (
    ANTERIOR,
    DEPTH,
    DERIVATION,
    HEIGHT,
    MEAN,
    MIDDLE,
    MILLIMETRE,
    POSTERIOR,
    PRIVATE_SCHEME,
    RATIO,
    TOPOGRAPHY,
    Concept,
)
from analysis.lumbar.anatomy.structures import VERTEBRAE
from analysis.lumbar.doubt import Need
from analysis.lumbar.measure.body_shape import BodyShape
from analysis.lumbar.measure.canal import diameter_at_body
from analysis.lumbar.measure.discs_and_bodies import BODY_HEIGHT_MM, BODY_LENGTH_MM
from analysis.lumbar.measure.height_loss import (
    NO_HEIGHT_OF_SACRUM,
    heights_of,
    share_of,
)
from analysis.lumbar.measure.measured_sites import Vertebra
from analysis.lumbar.measure.quantity import Quantity, Shown, Terms
from analysis.lumbar.number_or_reason import Missing, Value

_HEIGHTS = (
    (
        "anterior",
        ANTERIOR,
        "from front rim to front rim, a tenth of the depth behind the wall",
        lambda one: one.anterior_height_mm,
    ),
    (
        "middle",
        MIDDLE,
        "between the end plates in the middle tenth of the depth",
        lambda one: one.middle_height_mm,
    ),
    (
        "posterior",
        POSTERIOR,
        "from rear rim to rear rim",
        lambda one: one.posterior_height_mm,
    ),
)


def _height(index: int) -> Callable[[Vertebra], Value]:
    def read(body: Vertebra) -> Value:
        found = heights_of(body.shapes, body.slab)
        return found if isinstance(found, Missing) else found[index]

    return read


def _mean_height(body: Vertebra) -> Value:
    found = body.slab.height_mm
    if body.vertebra is VERTEBRAE[0] and not isinstance(found, Missing):
        return NO_HEIGHT_OF_SACRUM
    return found


def _in_slices(
    read: Callable[[BodyShape], float],
) -> Callable[[Vertebra], Sequence[float]]:
    return lambda body: [read(one) for one in body.shapes.near_middle(body.vertebra)]


BODY_QUANTITIES: tuple[Quantity[Vertebra], ...] = (
    Quantity(
        key="body_height_mm",
        concept=HEIGHT,
        modifiers=((DERIVATION, MEAN),),
        unit=MILLIMETRE,
        read=_mean_height,
        definition="as for the disc, between its own end plates; no posterior elements",
        needs=frozenset({Need.BODY_HEIGHTS}),
        plausible=BODY_HEIGHT_MM,
        shown=Shown(head="Height of the bodies", unit="mm", decimals=1),
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
    *(
        Quantity(
            key=f"body_{name}_height_mm",
            concept=HEIGHT,
            modifiers=((TOPOGRAPHY, place),),
            unit=MILLIMETRE,
            read=_height(index),
            definition=definition,
            needs=frozenset({Need.BODY_HEIGHTS}),
            in_slices=_in_slices(read),
        )
        for index, (name, place, definition, read) in enumerate(_HEIGHTS)
    ),
    Quantity(
        key="body_height_ratio",
        concept=Concept(
            "BODY-SHARE", PRIVATE_SCHEME, "Body height of that which neighbours suggest"
        ),
        unit=RATIO,
        read=lambda body: share_of(body.shares[body.vertebra.label]),
        definition="front, middle or rear height, whichever is lowest, / the median "
        "of what the same height of the other bodies T12 to L5 lets expect; T12 to L5",
        needs=frozenset({Need.BODY_HEIGHTS}),
        shown=Shown(head="Of the height expected", unit="ratio", decimals=2),
    ),
    Quantity(
        key="canal_ap_diameter_mm",
        concept=Concept("CANAL-DEPTH", PRIVATE_SCHEME, "Canal AP diameter"),
        unit=MILLIMETRE,
        read=diameter_at_body,
        definition="the dural sac and the fat behind it, not the bony canal, across "
        "its own direction, mean of 4 mm behind the middle of the body",
        needs=frozenset({Need.CANAL}),
        terms=Terms(floor=0.818),
    ),
)

"""How much lower a vertebral body is than its neighbours let expect.

The front, the middle and the rear of a body are each compared with the same height of
the other bodies in view, for a fracture, a Schmorl's node or a limbus vertebra takes
from one of them and leaves another. What a healthy body of that level has, of a whole
one of its spine, differs between levels; the shares below take that out.

References
----------
Genant HK, Wu CY, van Kuijk C, Nevitt MC. Vertebral fracture assessment using a
semiquantitative technique. J Bone Miner Res 1993;8(9):1137-1148: a loss of 20, 25 and
40 % of the front, middle or rear height.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.structures import VERTEBRAE, Structure
from analysis.lumbar.measure.body_shape import BodyShapes
from analysis.lumbar.measure.discs_and_bodies import SlabMeasurement, middle_half
from analysis.lumbar.number_or_reason import Missing, Value

Heights = tuple[float, float, float]
"""Of a body in front, in its middle and in the rear (mm)."""

PLACES = ("front", "middle", "rear")
USUAL: Mapping[str, Heights] = {
    "L5": (1.008, 0.961, 0.872),
    "L4": (1.000, 0.980, 0.951),
    "L3": (1.005, 1.000, 1.000),
    "L2": (1.000, 1.004, 1.008),
    "L1": (0.922, 0.986, 0.987),
    "T12": (0.868, 0.924, 0.935),
}
"""Median of each height over the median of those of L2, L3 and L4, in 182 series of the
split train of five sources (`python -m tests.accuracy.fractures train`)."""
MILD, MODERATE, SEVERE = 0.80, 0.75, 0.60
"""Genant's limits of loss: 20, 25 and 40 %. Of 1529 bodies of 256 series, 5 % have less
than 0.89 of what is expected in front, 0.90 in the middle and 0.92 in the rear."""
LOST_HEIGHT = "height_loss"
"""Why a value that needs the height of a body beside it has none."""
_MIN_OTHERS = 2
"""Fewer do not tell what is usual in a spine."""


class HeightLoss(IntEnum):
    """Grade of loss of height of a body, after Genant's limits."""

    NONE = 0
    MILD = 1
    MODERATE = 2
    SEVERE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedShare:
    """What a body has of the height that its neighbours let expect.

    Parameters
    ----------
    share
        The lowest of front, middle and rear.
    place
        Which of them.
    middle
        The middle one of the three: an osteophyte, or an end plate that bulges, makes
        one of them high, and a body that holds another is high in two.
    """

    share: float
    place: str
    middle: float

    @property
    def grade(self) -> HeightLoss:
        """Its grade."""
        return HeightLoss(sum(self.share < limit for limit in (MILD, MODERATE, SEVERE)))


NO_HEIGHT_OF_SACRUM = Missing(
    absence=Absence.NOT_ATTEMPTED,
    code="sacrum",
    text="the first body of the sacrum is a wedge without a lower end plate",
)


def heights_of(shapes: BodyShapes, slab: SlabMeasurement) -> Heights | Missing:
    """Return front, middle and rear height of a body, or why it has none."""
    if isinstance(slab.height_mm, Missing):
        return slab.height_mm
    vertebra = slab.structure
    if vertebra is VERTEBRAE[0]:
        return NO_HEIGHT_OF_SACRUM
    found = shapes.near_middle(vertebra)
    if not found:
        text = f"the end plates of {vertebra.label} are not seen over enough of it"
        return Missing(absence=Absence.GEOMETRY_UNFIT, code="end_plates", text=text)
    return (
        middle_half([one.anterior_height_mm for one in found]),
        middle_half([one.middle_height_mm for one in found]),
        middle_half([one.posterior_height_mm for one in found]),
    )


def expected_share(
    vertebra: Structure, heights: Mapping[str, Heights | Missing]
) -> ExpectedShare | Missing:
    """Compare a body with the others of its spine.

    Parameters
    ----------
    vertebra
        The body.
    heights
        Of all bodies, by their label.
    """
    own = heights.get(vertebra.label)
    if isinstance(own, Missing):
        return own
    usual = USUAL.get(vertebra.label)
    if own is None or usual is None:
        text = f"{vertebra.label} is not compared: T12 to L5 are"
        return Missing(absence=Absence.NOT_ATTEMPTED, code="not_compared", text=text)
    others = np.array(
        [
            np.divide(known, USUAL[label])
            for label, known in heights.items()
            if label != vertebra.label
            and label in USUAL
            and not isinstance(known, Missing)
        ]
    )
    if len(others) < _MIN_OTHERS:
        text = (
            f"{len(others)} other bodies from T12 to L5 are in view, at least "
            f"{_MIN_OTHERS} are needed"
        )
        return Missing(absence=Absence.GEOMETRY_UNFIT, code="too_few_bodies", text=text)
    shares = np.divide(own, usual) / np.median(others, axis=0)
    place = int(shares.argmin())
    return ExpectedShare(
        share=float(shares[place]),
        place=PLACES[place],
        middle=float(np.median(shares)),
    )


def expected_shares(
    shapes: BodyShapes, slabs: Sequence[SlabMeasurement]
) -> dict[str, ExpectedShare | Missing]:
    """Return of every body what it has of the height that is expected, by its label."""
    heights = {slab.structure.label: heights_of(shapes, slab) for slab in slabs}
    return {
        slab.structure.label: expected_share(slab.structure, heights) for slab in slabs
    }


def has_lost_height(
    shares: Mapping[str, ExpectedShare | Missing], slab: SlabMeasurement
) -> bool:
    """Say whether a body is known to be lower than expected."""
    found = shares.get(slab.structure.label)
    return isinstance(found, ExpectedShare) and found.grade > HeightLoss.NONE


def lost_beside(slabs: Sequence[SlabMeasurement]) -> Missing:
    """Say that no body beside a disc has the height that it had."""
    names = " and ".join(slab.structure.label for slab in slabs)
    text = f"{names} lost height: nothing is left to compare the disc with"
    return Missing(absence=Absence.GEOMETRY_UNFIT, code=LOST_HEIGHT, text=text)


def share_of(found: ExpectedShare | Missing) -> Value:
    """Return the number alone."""
    return found if isinstance(found, Missing) else found.share

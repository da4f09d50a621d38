"""Vertebrae and discs of the lumbar spine: names, codes, colours.

References
----------
PS3.16 CID 7603 Vertebrae, CID 7604 Intervertebral discs, CID 4 Anatomic regions. The
vertebra S1 is not in them; SCT 65985001 was found in two public lists of SNOMED CT
codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from analysis.contract.concepts import Concept


class Tissue(IntEnum):
    """What the network tells apart; the value is the channel."""

    BACKGROUND = 0
    BODY = 1
    DISC = 2
    S1 = 3
    CANAL = 4
    POSTERIOR = 5


CLASSES = tuple(tissue.name.lower() for tissue in Tissue)
"""Names of the channels, in order, as the weights must state them."""
DISC_CLASSES = ("background", "disc")
"""The same of the network that looks at one disc."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """One named structure of the result.

    Parameters
    ----------
    number
        Its label in the label map; the same in every result.
    label
        SegmentLabel.
    concept
        Its code.
    colour
        Red, green, blue.
    region
        The part of the spine to which it belongs; a disc goes with the vertebra above.
    """

    number: int
    label: str
    concept: Concept
    colour: tuple[int, int, int]
    region: Concept


LUMBAR_SPINE = Concept("122496007", "SCT", "Lumbar spine")
_REGIONS = {
    "T": Concept("122495006", "SCT", "Thoracic spine"),
    "L": LUMBAR_SPINE,
    "S": Concept("54735007", "SCT", "Sacrum"),
}


def _vertebra(
    number: int, name: str, code: str, colour: tuple[int, int, int]
) -> Structure:
    concept = Concept(code, "SCT", f"{name} vertebra")
    return Structure(
        number=number,
        label=name,
        concept=concept,
        colour=colour,
        region=_REGIONS[name[0]],
    )


def _disc(number: int, name: str, code: str, colour: tuple[int, int, int]) -> Structure:
    label = f"{name} disc"
    concept = Concept(code, "SCT", label)
    return Structure(
        number=number,
        label=label,
        concept=concept,
        colour=colour,
        region=_REGIONS[name[0]],
    )


# From S1 upwards; neighbours differ in colour, and each keeps its own in all results.
VERTEBRAE = (
    _vertebra(1, "S1", "65985001", (230, 159, 0)),
    _vertebra(2, "L5", "49668003", (86, 180, 233)),
    _vertebra(3, "L4", "11994002", (170, 120, 220)),
    _vertebra(4, "L3", "36470004", (60, 200, 160)),
    _vertebra(5, "L2", "14293000", (110, 140, 255)),
    _vertebra(6, "L1", "66794005", (205, 200, 90)),
    _vertebra(7, "T12", "23215003", (150, 150, 170)),
    _vertebra(8, "T11", "12989004", (120, 170, 130)),
)
DISCS = (
    _disc(11, "L5/S1", "715056000", (255, 80, 70)),
    _disc(12, "L4/L5", "84020006", (255, 205, 50)),
    _disc(13, "L3/L4", "62551000", (90, 230, 90)),
    _disc(14, "L2/L3", "67459009", (255, 120, 215)),
    _disc(15, "L1/L2", "80064006", (80, 225, 245)),
    _disc(16, "T12/L1", "76206002", (225, 160, 110)),
    _disc(17, "T11/T12", "1537001", (190, 190, 190)),
)
CANAL = Structure(
    number=21,
    label="Spinal canal",
    concept=Concept("61853006", "SCT", "Spinal canal"),
    colour=(70, 130, 255),
    region=LUMBAR_SPINE,
)
STRUCTURES = (*VERTEBRAE, *DISCS, CANAL)

MEASURED_LEVELS = ("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1")
"""The levels that a report has a row for, in its order."""


def level_of(disc: Structure) -> str:
    """Return the level of a disc, such as `L4/L5`."""
    return disc.label.removesuffix(" disc")

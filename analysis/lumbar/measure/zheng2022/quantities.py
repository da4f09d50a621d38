"""The parameters of Zheng 2022: for its norms, and for nothing else."""

from __future__ import annotations

from analysis.contract.concepts import NO_UNITS, PRIVATE_SCHEME, RATIO, Concept
from analysis.lumbar.anatomy.structures import VERTEBRAE
from analysis.lumbar.doubt import Need
from analysis.lumbar.measure.height_loss import has_lost_height, lost_beside
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.measure.quantity import Quantity
from analysis.lumbar.measure.zheng2022.parameters import grade_of
from analysis.lumbar.number_or_reason import Value

_S1 = VERTEBRAE[0]
_GEOMETRY = frozenset({Need.DISC, Need.BODIES, Need.BODY_HEIGHTS})
_SIGNAL = frozenset({Need.DISC, Need.BODIES, Need.CANAL, Need.SIGNAL})


def _zheng(value: str, meaning: str) -> Concept:
    return Concept(f"{value}-ZHENG2022", PRIVATE_SCHEME, f"{meaning} as Zheng 2022")


def _dhi(level: DiscLevel) -> Value:
    """Return its DHI, which knows no body that has lost height."""
    beside = [body for body in (level.above, level.below) if body.structure is not _S1]
    lost = [body for body in beside if has_lost_height(level.shares, body)]
    return lost_beside(lost) if lost else level.zheng.dhi


ZHENG_QUANTITIES: tuple[Quantity[DiscLevel], ...] = (
    Quantity(
        key="reference.dh_px512",
        concept=None,
        unit=NO_UNITS,
        read=lambda level: level.zheng.dh_px512,
        definition="disc pixels within 0.4 W of the middle / W: about 0.8 of the mean "
        "height",
        needs=_GEOMETRY,
    ),
    Quantity(
        key="reference.dhi",
        concept=_zheng("DHI", "Disc height index"),
        unit=RATIO,
        read=_dhi,
        definition="that / mean of (area / mean end-plate width) of the two bodies; "
        "L5/S1: of L5. None where one of them has lost height",
        needs=_GEOMETRY,
    ),
    Quantity(
        key="reference.hdr",
        concept=_zheng("HDR", "Height-diameter ratio"),
        unit=RATIO,
        read=lambda level: level.zheng.hdr,
        definition="that / length from disc edge to disc edge on the line through the "
        "midpoints",
        needs=_GEOMETRY,
    ),
    Quantity(
        key="reference.delta_si",
        concept=_zheng("DSI", "Disc signal gap"),
        unit=NO_UNITS,
        read=lambda level: level.signal.reference,
        definition="as above with hard maxima, one slice; CSF = its most frequent "
        "value. Hardly repeatable: below a difference of 10 to 44 it says nothing "
        "(`delta_si`: 4)",
        needs=_SIGNAL,
    ),
    Quantity(
        key="reference.delta_si_grade",
        concept=None,
        unit=NO_UNITS,
        read=lambda level: grade_of(level.signal.reference),
        definition="1 to 5 by nearest published mean in its SD: cuts at 106.5, 84.3, "
        "59.1, 33.2. **No Pfirrmann grade**: the labels behind it look cleaned by "
        "delta-SI",
        needs=_SIGNAL,
    ),
)

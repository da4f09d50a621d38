"""The table of all quantities.

A new quantity is one entry in the module of its kind (`disc_quantities`,
`body_quantities`, `zheng2022.quantities`, or one of its own that is added below), and a
function that measures it:

    Quantity(
        key="slip_mm",
        concept=Concept("SLIP", PRIVATE_SCHEME, "Slip of the vertebra above"),
        unit=MILLIMETRE,
        read=lambda level: level.once(measure_slip).mm,
        definition="the rear edge of the body above, ahead of that below",
        needs=frozenset({Need.BODIES}),
        terms=Terms(floor=0.6),
        shown=Shown(head="Slip", unit="mm", decimals=1, is_first=True),
    ),

All that tells of quantities goes through this table and names none of its own: the
structured report and `report.json` (`tell.to_contract`), uncertainty
(`judge.uncertainty`), what is withheld and why (`judge.resolve`, by `needs`), the
follow-up (`tell.compare_examinations`), the tables on the pages (by `shown`), and the
table of `docs/measurements.md` (`python -m tests.support.quantity_table`).

`read` gets a site (`measure.measured_sites`) and returns a number or the reason why
there is none. What several quantities share is measured by a function of the site that
is asked through `site.once`. Terms without a spread need no `in_slices`; a quantity
without `terms` carries no uncertainty, and one without `change` is not compared with
earlier examinations.

`terms` are fitted by `python -m tests.accuracy.uncertainty train` on hand-drawn
outlines, the floors of change by `python -m tests.accuracy.repeatability train 3`; both
are tested on patients that neither has seen (docs/accuracy-measurements.md). The share
of a change comes from repeated examinations (`measure.repeat_examinations`); a quantity
that nobody is known to have measured twice is not compared. The terms were fitted with
disc 0.1.0, which had not learnt from four of the patients: where a network has learnt
the outlines, its errors are too small.
"""

from __future__ import annotations

from analysis.lumbar.measure.alignment_quantities import ALIGNMENT_QUANTITIES
from analysis.lumbar.measure.body_quantities import BODY_QUANTITIES
from analysis.lumbar.measure.disc_quantities import DISC_QUANTITIES
from analysis.lumbar.measure.interbody_quantities import INTERBODY_QUANTITIES
from analysis.lumbar.measure.measured_sites import DiscLevel, Vertebra, WholeSpine
from analysis.lumbar.measure.quantity import Quantity
from analysis.lumbar.measure.zheng2022.quantities import ZHENG_QUANTITIES

OF_LEVELS: tuple[Quantity[DiscLevel], ...] = (
    *DISC_QUANTITIES,
    *INTERBODY_QUANTITIES,
    *ZHENG_QUANTITIES,
)
"""Of each disc level, in the order of a reader."""
OF_UPPER_LEVELS: tuple[Quantity[DiscLevel], ...] = (
    *DISC_QUANTITIES,
    *INTERBODY_QUANTITIES,
)
"""Of T12/L1 and T11/T12, for which Zheng 2022 defines nothing."""
OF_BODIES: tuple[Quantity[Vertebra], ...] = BODY_QUANTITIES
"""Of each vertebral body."""
OF_SPINE: tuple[Quantity[WholeSpine], ...] = ALIGNMENT_QUANTITIES
"""Of the spine as a whole."""


def quantity_of(key: str) -> Quantity[DiscLevel]:
    """Return a quantity of a disc level by its key.

    Raises
    ------
    KeyError
        If there is none of that name.
    """
    return _BY_KEY[key]


_BY_KEY = {quantity.key: quantity for quantity in OF_LEVELS}

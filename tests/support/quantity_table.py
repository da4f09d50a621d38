"""Writes the tables of `docs/measurements.md` from the table of quantities.

Run as `python -m tests.support.quantity_table`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from analysis.lumbar.measure.quantities import OF_BODIES, OF_LEVELS, OF_SPINE
from analysis.lumbar.measure.quantity import Quantity
from analysis.lumbar.measure.zheng2022.quantities import ZHENG_QUANTITIES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "measurements.md"
_TABLE = re.compile(r"(<!-- (quantities [^>]*) -->\n).*?(<!-- end -->)", re.DOTALL)
_KINDS: dict[str, Sequence[Quantity[Any]]] = {
    "quantities of a disc": [q for q in OF_LEVELS if q not in ZHENG_QUANTITIES],
    "quantities by Zheng 2022": ZHENG_QUANTITIES,
    "quantities of a body": OF_BODIES,
    "quantities of the spine": OF_SPINE,
}


def written(text: str) -> str:
    """Return a document with the tables that it has places for, as they are now.

    Raises
    ------
    KeyError
        If it has a place for a table that there is not.
    """
    return _TABLE.sub(lambda found: "".join(_renewed(*found.groups())), text)


def _renewed(start: str, kind: str, end: str) -> Iterator[str]:
    yield start
    yield "| key | code | unit | definition | plausible range |\n"
    yield "|---|---|---|---|---|\n"
    for quantity in _KINDS[kind]:
        yield (
            f"| `{quantity.key}` | {_code(quantity)} | {_unit(quantity)} "
            f"| {quantity.definition} | {_range(quantity)} |\n"
        )
    yield end


def _code(quantity: Quantity[Any]) -> str:
    concept = quantity.concept
    if concept is None:
        return "none"
    code = f"{concept.scheme} {concept.value} {concept.meaning}"
    return ", ".join([code, *(f"{v.meaning}" for _, v in quantity.modifiers)])


def _unit(quantity: Quantity[Any]) -> str:
    return quantity.unit.value.strip("{}").replace("mm2", "mm²").replace("mm3", "mm³")


def _range(quantity: Quantity[Any]) -> str:
    if quantity.plausible is None:
        return ""
    least, greatest = quantity.plausible
    return f"{least:g} to {greatest:g}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8")), "utf-8")

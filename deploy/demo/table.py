"""The measurements of a TID 1500 SR as a table of text, read with pydicom alone."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset

MEASUREMENT_GROUP = "125007"
FINDING, FINDING_SITE = "121071", "363698007"
NOT_MEASURED = {"114006", "114007"}
"""Members of CID 42: measurement failure, measurement not attempted."""


def _code(item: Dataset) -> tuple[str, str]:
    """Return value and meaning of an item's concept name; blank without one."""
    names = item.get("ConceptNameCodeSequence")
    if not names:
        return "", ""
    return str(names[0].get("CodeValue", "")), str(names[0].CodeMeaning)


def _groups(item: Dataset) -> Iterator[Dataset]:
    if _code(item)[0] == MEASUREMENT_GROUP:
        yield item
        return
    for child in item.get("ContentSequence", []):
        yield from _groups(child)


def _cells(group: Dataset) -> tuple[str, dict[str, str]]:
    """Return the site of a group and its values by the name of the quantity."""
    site = ""
    cells: dict[str, str] = {}
    for item in group.get("ContentSequence", []):
        value, meaning = _code(item)
        if value == FINDING_SITE:
            site = str(item.ConceptCodeSequence[0].CodeMeaning)
        elif item.ValueType == "NUM":
            cells[meaning] = _number(item)
        elif item.ValueType == "CODE" and value != FINDING:
            answer = item.ConceptCodeSequence[0]
            absent = answer.get("CodeValue") in NOT_MEASURED
            cells[meaning] = "-" if absent else str(answer.CodeMeaning)
    return site, cells


def _number(item: Dataset) -> str:
    measured = item.get("MeasuredValueSequence")
    if not measured:
        return "-"
    unit = str(measured[0].MeasurementUnitsCodeSequence[0].CodeValue)
    text = f"{float(measured[0].NumericValue):.2f}"
    return text if unit in {"1", "{ratio}"} else f"{text} {unit}"


def measurement_table(report: Dataset) -> tuple[list[str], int]:
    """Return the lines of the table and how many numbers it holds.

    One row a site, in the order of the SR; groups of the same site share a row.
    """
    rows: dict[str, dict[str, str]] = {}
    for group in _groups(report):
        site, cells = _cells(group)
        if cells:
            rows.setdefault(site, {}).update(cells)
    columns = list(dict.fromkeys(name for cells in rows.values() for name in cells))
    grid = [["", *columns]]
    grid += [
        [site, *(cells.get(c, "") for c in columns)] for site, cells in rows.items()
    ]
    widths = [max(len(row[i]) for row in grid) for i in range(len(columns) + 1)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in grid
    ]
    numbers = sum(
        cell not in {"", "-"} for cells in rows.values() for cell in cells.values()
    )
    return [line.rstrip() for line in lines], numbers

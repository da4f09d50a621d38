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
            cells[_quantity(item)] = _number(item)
        elif item.ValueType == "CODE" and value != FINDING:
            answer = item.ConceptCodeSequence[0]
            absent = answer.get("CodeValue") in NOT_MEASURED
            told = str(answer.CodeMeaning).removeprefix(meaning).strip()
            cells[meaning] = "-" if absent else told
    return site, cells


def _quantity(item: Dataset) -> str:
    """Return the name of a number with what narrows it: heights are several."""
    modifiers = [
        str(child.ConceptCodeSequence[0].CodeMeaning)
        for child in item.get("ContentSequence", [])
        if child.RelationshipType == "HAS CONCEPT MOD"
    ]
    return ", ".join([_code(item)[1], *modifiers])


def _number(item: Dataset) -> str:
    measured = item.get("MeasuredValueSequence")
    if not measured:
        return "-"
    unit = str(measured[0].MeasurementUnitsCodeSequence[0].CodeValue)
    text = f"{float(measured[0].NumericValue):z.2f}"  # z: no minus before a zero
    return text if unit in {"1", "{ratio}"} else f"{text} {unit}"


def measurement_table(report: Dataset) -> tuple[list[str], int]:
    """Return the lines of the tables and how many values they hold.

    One column a site, in the order of the SR, and one table for each kind of site, the
    last word of its name; groups of the same site share a column.
    """
    sites: dict[str, dict[str, str]] = {}
    for group in _groups(report):
        site, cells = _cells(group)
        if cells:
            sites.setdefault(site, {}).update(cells)
    lines = []
    for kind in dict.fromkeys(site.split()[-1] for site in sites):
        alike = {site: cells for site, cells in sites.items() if site.endswith(kind)}
        lines += [*_table(alike), ""]
    values = sum(
        cell not in {"", "-"} for cells in sites.values() for cell in cells.values()
    )
    return lines, values


def _table(sites: dict[str, dict[str, str]]) -> list[str]:
    names = dict.fromkeys(name for cells in sites.values() for name in cells)
    grid = [["", *sites]]
    grid += [
        [name, *(cells.get(name, "") for cells in sites.values())] for name in names
    ]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [
                cell.rjust(width)
                for cell, width in zip(row[1:], widths[1:], strict=True)
            ]
        ).rstrip()
        for row in grid
    ]

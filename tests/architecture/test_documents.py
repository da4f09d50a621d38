"""Documents that are made from the code say what the code does."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.quantity_table import DOCUMENT, written
from tests.support.sources import modules, nodes


def test_the_tables_of_the_measurements_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text == written(text)


def test_a_table_that_was_edited_by_hand_is_noticed() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert written(text.replace("| `disc_height_mm` | DCM", "| `height` | DCM")) == text


def events_in(path: Path) -> set[str]:
    """Return the names of the events that a module writes to the log."""
    return {
        name.value
        for call in nodes(path)
        if isinstance(call, ast.Call) and call.args and _writes_to_the_log(call.func)
        for name in ast.walk(call.args[0])
        if isinstance(name, ast.Constant) and isinstance(name.value, str)
    }


def _writes_to_the_log(called: ast.expr) -> bool:
    if not (isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name)):
        return False
    place = (called.value.id, called.attr)
    return place in {("log", "event"), ("log", "warning"), ("log", "error")} or (
        place == ("self", "_log")
    )


def test_each_event_of_the_log_is_told_once_with_what_to_do(root: Path) -> None:
    text = (root / "docs" / "operations.md").read_text("utf-8")
    table = text.partition("<!-- events -->")[2].partition("<!-- end -->")[0]
    told = Counter(
        name
        for row in table.strip().splitlines()[2:]
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    )
    written_ones = set().union(*(events_in(path) for path in modules()))
    assert len(written_ones) > 80
    assert set(told) == written_ones
    assert set(told.values()) == {1}


def anchors(document: str) -> set[str]:
    """Return the anchors that a viewer of Markdown makes of the headings."""
    prose = re.sub(r"```.*?```", "", document, flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in titles}


def dead_links(path: Path) -> list[str]:
    """Return the links of a document that lead to no file or to no heading of it."""
    text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        other = path.parent / name if name else path
        if link.startswith(("http", "mailto")):
            continue
        if not other.exists() or (
            anchor and anchor not in anchors(other.read_text("utf-8"))
        ):
            dead.append(link)
    return dead


def test_every_link_of_the_documents_leads_to_a_file_and_a_heading(root: Path) -> None:
    documents = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    assert len(documents) > 40
    dead = {one.name: links for one in documents if (links := dead_links(one))}
    assert dead == {}


@pytest.mark.parametrize("link", ["nowhere.md", "here.md#no-such-heading", "#nor-this"])
def test_a_dead_link_is_noticed(tmp_path: Path, link: str) -> None:
    page = tmp_path / "here.md"
    page.write_text(
        f"# A heading, `with code`\n[a](#a-heading-with-code) [b]({link})\n"
    )
    assert dead_links(page) == [link]

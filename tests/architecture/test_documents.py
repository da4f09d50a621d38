"""Documents that are made from the code say what the code does."""

from __future__ import annotations

from tests.support.quantity_table import DOCUMENT, written


def test_the_tables_of_the_measurements_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text == written(text)


def test_a_table_that_was_edited_by_hand_is_noticed() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert written(text.replace("| `disc_height_mm` | DCM", "| `height` | DCM")) == text

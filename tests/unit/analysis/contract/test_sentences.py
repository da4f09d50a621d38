"""Sentences in another language, with their numbers, whatever stands in them."""

from __future__ import annotations

import time

import pytest

from analysis.contract.sentences import Sentences
from analysis.lumbar.tell.words import words_of
from dicom_node.language import language_of

SAID = Sentences(
    {
        "; ": "/", ". ": "|", ", ": "+",
        "red": "rot",
        "{n} mm": "{n} Millimeter",
        "{level} is {word}": "{word} ist {level}",
        "{levels} missing: {text}": "{text} fehlt: {levels}",
        "all of {list}": "alle von {list}",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("english", "there"),
    [
        ("red", "rot"),
        ("2.5 mm", "2.5 Millimeter"),
        ("-3 mm. 4 mm.", "-3 Millimeter|4 Millimeter"),
        ("L4/L5 is red", "rot ist L4/L5"),
        ("L5 is green", "green ist L5"),
        ("L4/L5, L5/S1 missing: 3 mm; red", "3 Millimeter fehlt: L4/L5+L5/S1/rot"),
        ("all of red, blue", "alle von rot+blue"),
        ("L4/L5 missing: green", None),
        ("x mm", None),
        ("Red", None),
        ("", None),
    ],
)
def test_a_sentence_is_told_wholly_or_not(english: str, there: str | None) -> None:
    assert SAID.translated(english) == there


def test_braces_in_a_value_stay() -> None:
    assert SAID.translated("L5 is {n}") == "{n} ist L5"


@pytest.mark.parametrize(
    "part",
    [": ", "a: ", "(b), ", "; ", ". ", "no association with a (b): ", "/ x ", ", ",
     "L1 ", "1 ", "1 of ", " of ", " at ", "given up after 1 and ", "{", "\0"],
)  # fmt: skip
def test_a_text_of_many_parts_takes_no_time(part: str) -> None:
    """What others write stands in some sentences."""
    began = time.process_time()
    for length in (100, 1900, 100_000):
        text = (part * length)[:length]
        words_of("zh-CN").word(text)
        language_of("zh-CN").told("x", text)
    assert time.process_time() - began < 2

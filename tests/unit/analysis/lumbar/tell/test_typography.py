"""Notes are broken to the width of their column."""

from itertools import pairwise

from analysis.lumbar.tell.pages.typography import NOTE_PX, broken, font

NOTE = "Levels are counted upwards from S1. The next page has more values of each."


def test_each_line_is_as_long_as_fits() -> None:
    width = 200
    lines = broken(NOTE, width)
    assert " ".join(lines) == NOTE
    face = font(NOTE_PX)
    for line, following in pairwise(lines):
        assert face.getlength(line) <= width
        assert face.getlength(f"{line} {following.split()[0]}") > width


def test_a_word_that_is_too_long_has_a_line_of_its_own() -> None:
    assert broken("of lumbosacral discs", 40) == ["of", "lumbosacral", "discs"]


def test_nothing_is_an_empty_line() -> None:
    assert broken("", 100) == [""]

"""Notes are broken to the width of their column; nothing that is written fails."""

from itertools import pairwise

import numpy as np
import pytest

from analysis.contract.line_breaks import pieces_of
from analysis.contract.typeface import FACE, drawable
from analysis.lumbar.anatomy.structures import DISCS
from analysis.lumbar.tell.pages.typography import (
    BRIGHT,
    DIM,
    NOTE_PX,
    WARNING,
    Pen,
    broken,
    lighter,
    new_page,
)
from analysis.lumbar.tell.words import languages, words_of

NOTE = "Levels are counted upwards from S1. The next page has more values of each."
WIDTH = 200
PEN = Pen(new_page(400, 60), words_of("en"))
CHINESE = Pen(new_page(400, 60), words_of("zh-CN"))
CHINESE_NOTE = words_of("zh-CN").page("about_norms")


def test_each_line_is_as_long_as_fits() -> None:
    lines = broken(PEN, NOTE, WIDTH)
    assert " ".join(lines) == NOTE
    for line, following in pairwise(lines):
        assert PEN.width_of(line, NOTE_PX) <= WIDTH
        assert PEN.width_of(f"{line} {following.split()[0]}", NOTE_PX) > WIDTH


def test_a_word_that_is_too_long_has_a_line_of_its_own() -> None:
    assert broken(PEN, "of lumbosacral discs", 40) == ["of", "lumbosacral", "discs"]


def test_nothing_is_an_empty_line() -> None:
    assert broken(PEN, "", 100) == [""]


def test_chinese_is_broken_between_characters() -> None:
    lines = broken(CHINESE, CHINESE_NOTE, WIDTH)
    assert len(lines) > 10
    assert max(CHINESE.width_of(line, NOTE_PX) for line in lines) <= WIDTH
    assert min(CHINESE.width_of(line, NOTE_PX) for line in lines[:-1]) > WIDTH / 2
    assert "".join(lines).replace(" ", "") == CHINESE_NOTE.replace(" ", "")


def test_no_line_begins_with_what_closes_or_ends_with_what_opens() -> None:
    for width in range(60, 400, 7):
        lines = broken(CHINESE, CHINESE_NOTE, width)
        assert not {line[0] for line in lines} & set("\uff0c\u3002\uff09\uff1b\uff1a")
        assert not {line[-1] for line in lines} & set("\uff08")


def test_a_number_keeps_its_parts_and_its_unit() -> None:
    pieces = pieces_of("\u4ec5 3.5 mm\uff08\u00b1 0.4\uff09")
    assert pieces == ["\u4ec5 ", "3.5 ", "mm", "\uff08\u00b1 0.4\uff09"]


ODD = {
    "nothing": "",
    "Chinese": "\u738b\u5c0f\u660e",
    "a rare name": "\u674e\u4dae",
    "four bytes": "\U00020bb7\u91ce\u5bb6 \U0001f600",
    "right to left": "\u0645\u062d\u0645\u062f \u05d3\u05d5\u05d3",
    "half a pair": "a\ud83db",
    "controls": "a\0b\tc\nd\x1b$)A\x85e",
    "direction": "a\u202ebc\u2066d",
    "marks": "Z\u0308a\u030a\u0301",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("pen", [PEN, CHINESE], ids=["en", "zh-CN"])
def test_any_text_can_be_written(pen: Pen, text: str) -> None:
    pen.write((0, 0), text, NOTE_PX, BRIGHT)
    pen.write_within((9, 9), text * 40, (NOTE_PX, BRIGHT, "lm"), 100)
    assert broken(pen, text * 40, 100)


def test_what_changes_direction_or_line_is_not_drawn() -> None:
    assert drawable("a\u202eb\nc\ud800") == "ab c\ufffd"


def written(text: str) -> bytes:
    page = new_page(80, 40)
    Pen(page, words_of("zh-CN")).write((4, 4), text, 24, BRIGHT)
    return np.asarray(page).tobytes()


def test_a_glyph_that_the_face_lacks_is_a_box() -> None:
    # Two that no face of this size has, from far ends of the code space.
    box = written("\U00020bb7")
    assert box == written("\u0645")
    assert box not in {written(""), written("\u91ce")}
    assert max(box) > 200


def test_the_face_has_what_names_and_descriptions_need() -> None:
    """Both levels of GB 2312, without a box."""
    box = written("\U00020bb7")
    names = "\u738b\u674e\u5f20\u5218\u9648\u6768\u97e9\u9f99\u9f44\u9555\u4dae"
    assert all(written(one) != box for one in names)
    assert FACE.with_name("OFL.txt").read_text().count("SIL OPEN FONT LICENSE") == 1


def test_what_is_too_long_is_made_smaller_then_cut() -> None:
    page = new_page(800, 60)
    pen = Pen(page, words_of("en"))
    pen.write_within((0, 0), "Segmental lordosis " * 30, (20, BRIGHT, "la"), 300)
    used = np.flatnonzero(np.asarray(page).max(axis=(0, 2)) > 0)
    assert 250 < used[-1] <= 300


# What a monitor without colours and the colour-blind see: luminance, and the matrices
# of Machado et al., IEEE TVCG 2009;15(6):1291-1298, severity 1.0, on linear RGB.
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
SEEN_BY = {
    "all": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip
LEAST_CONTRAST = 7.0
"""Of text (WCAG 2.2, 1.4.6, level AAA): it stands on pictures."""


def contrast_on_black(colour: tuple[int, int, int], seen_by: str) -> float:
    part = np.array(colour) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    seen = np.clip(SEEN_BY[seen_by] @ linear, 0, 1)
    return float((LUMINANCE @ seen + 0.05) / 0.05)


@pytest.mark.parametrize("seen_by", SEEN_BY)
def test_every_letter_is_read_by_the_colour_blind(seen_by: str) -> None:
    colours = [BRIGHT, DIM, WARNING, *(lighter(disc.colour) for disc in DISCS)]
    for colour in colours:
        assert contrast_on_black(colour, seen_by) > LEAST_CONTRAST, colour


def test_a_level_in_its_own_colour_would_not_be_read_by_all() -> None:
    """That is why letters are lighter than the outline beside them."""
    least = min(
        contrast_on_black(disc.colour, seen_by) for disc in DISCS for seen_by in SEEN_BY
    )
    assert least < LEAST_CONTRAST


def test_a_warning_is_marked_by_more_than_its_colour() -> None:
    for language in languages():
        assert words_of(language).page("notice", text="x") != "x"

"""Every language says everything, and what it says has its place on the page."""

from __future__ import annotations

import ast
import json
import re
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import analysis.lumbar
import dicom_node
from analysis.contract.acquisition import Acquisition
from analysis.contract.plugin import Context, Subject
from analysis.contract.result import Notice
from analysis.contract.sentences import Sentences, literals_of, places_of
from analysis.lumbar.anatomy.structures import STRUCTURES
from analysis.lumbar.judge.grade.grading import DiscGrade
from analysis.lumbar.measure.quantities import OF_BODIES, OF_LEVELS, OF_SPINE
from analysis.lumbar.measure.quantity import Quantity
from analysis.lumbar.number_or_reason import Missing
from analysis.lumbar.plugin import LumbarMri
from analysis.lumbar.tell import evaluations
from analysis.lumbar.tell.pages.page_content import Sheet
from analysis.lumbar.tell.result import draw_pages
from analysis.lumbar.tell.words import Words, languages, words_of
from tests.support.lumbar_stand_in import phantom_networks
from tests.support.page_texts import Text, overlapping, texts_on_pages
from tests.support.sources import spoken
from tests.support.wedge_spine import Layout, WedgeSpine

OTHERS = [language for language in languages() if language != "en"]
ENGLISH = words_of("en")
FOLDER = Path(analysis.lumbar.__path__[0])
NODE = Path(dicom_node.__path__[0])
SAMPLES = {
    "n": "12.5",
    "level": "L4/L5",
    "levels": "L4/L5, L5/S1",
    "text": "the canal is not measured in the sacrum",
    "word": "L4/L5 disc",
    "list": "manufacturer, echo time",
    "any": "lumbar-mri 1",
}


def format_places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_there_is_another_language_than_english() -> None:
    assert languages()[0] == "en"
    assert "zh-CN" in OTHERS
    assert words_of("xx") is words_of("en")
    assert words_of("../en") is words_of("en")


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("part", ["sentences", "page", "report"])
def test_every_phrase_is_in_every_language(language: str, part: str) -> None:
    own, english = words_of(language).parts[part], ENGLISH.parts[part]
    assert set(own) == set(english)
    for key, text in english.items():
        assert own[key].strip() or key == "sentences", key
        assert format_places(own[key]) == format_places(text), key
    # What names only a person, an abbreviation or a sign.
    same = {key for key, text in english.items() if own[key] == text}
    assert same <= {
        "value", "unit", "grade", "change_at", "made_by", "pfirrmann", "not_had",
        "rank", "height", "with_probability",
    }  # fmt: skip


@pytest.mark.parametrize("language", OTHERS)
def test_everything_that_a_report_names_is_in_every_language(language: str) -> None:
    words = words_of(language)
    concepts = {structure.concept for structure in STRUCTURES}
    quantities: list[Quantity[Any]] = [*OF_LEVELS, *OF_BODIES, *OF_SPINE]
    for quantity in quantities:
        concepts.add(quantity.unit)
        concepts |= {one for pair in quantity.modifiers for one in pair}
        if quantity.concept is not None:
            concepts.add(quantity.concept)
        if quantity.change is not None and quantity.change.told_as is not None:
            concepts.add(quantity.change.told_as)
        if quantity.shown is not None:
            assert quantity.key in words.parts["quantities"]
    for value in vars(evaluations).values():
        if type(value).__name__ == "Concept":
            concepts.add(value)
    concepts |= set(evaluations.PFIRRMANN_GRADES)
    concepts |= set(evaluations.HEIGHT_LOSSES.values())
    assert len(concepts) > 60
    for concept in concepts:
        there = words.concept(concept)
        assert there.meaning != concept.meaning, concept
        assert len(there.meaning.encode()) <= 64, concept
        assert (there.value, there.scheme) == (concept.value, concept.scheme)
    assert set(words.parts["names"]) >= set(ENGLISH.parts["names"])


# What the analysis says of a series stands in its sources; each piece of it must be
# in the table of each language.
QUIET = {"Quantity", "Concept", "Shown", "_own", "ValueError", "AnalysisFailed", "cite"}
"""Calls whose texts are told otherwise, or to no reader."""
NO_SENTENCES = {
    "analysis/lumbar/fitted_limits.py",
    "analysis/lumbar/tell/words.py", "analysis/lumbar/plugin.py",
    "analysis/lumbar/find/networks.py", "analysis/lumbar/judge/grade/model.py",
}  # fmt: skip


WORDS = r"[a-z]{2,} [a-z]|[a-z] [a-z]{2,}"
"""What a piece of text with words in it has."""


def is_silent(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):  # a docstring
        return True
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", "") in QUIET
    if isinstance(node, ast.Assign):
        names = {getattr(one, "id", "") for one in node.targets}
        return bool(names & {"message", "_HEIGHTS"})
    return False


def sentences_of(language: str) -> dict[str, str]:
    """Return the sentences of the analysis, and those by which it refuses a series."""
    told: dict[str, str] = dict(words_of(language).parts["said"])
    path = NODE / "languages" / f"{language}.json"
    if path.exists():
        told |= json.loads(path.read_text("utf-8"))["said"]
    return told


def known_pieces(language: str) -> str:
    return "\n".join(
        piece for key in sentences_of(language) for piece in literals_of(key)
    )


@pytest.mark.parametrize("language", OTHERS)
def test_no_sentence_of_the_analysis_is_untranslated(language: str) -> None:
    known = known_pieces(language)
    found, missing = 0, []
    for path in sorted(FOLDER.rglob("*.py")):
        name = path.relative_to(FOLDER.parents[1]).as_posix()
        if name in NO_SENTENCES:
            continue
        for text in spoken(path, WORDS, is_silent):
            found += 1
            missing += [
                f"{name}: {piece}"
                for piece in text.split(". ")
                if piece.strip(" .,;:()%") not in known
            ]
    assert found > 150
    assert missing == []


def test_an_untranslated_sentence_is_found(tmp_path: Path) -> None:
    path = tmp_path / "new.py"
    path.write_text('"""A docstring of it."""\ntext = f"{1} discs are of cheese"\n')
    (found,) = spoken(path, WORDS, is_silent)
    assert found.strip() not in known_pieces("zh-CN")


def codes() -> set[str]:
    """Return all codes of doubts and of reasons in the sources of the analysis."""
    found = set()
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", "")
            first = node.args[:1] if name in {"warning", "_unfit", "_without"} else []
            named = [one.value for one in node.keywords if one.arg == "code"]
            if name in {"Doubt", "Notice", "Missing", "warning", "_unfit", "_without"}:
                for code in (*first, *named):
                    if isinstance(code, ast.Constant):
                        found.add(str(code.value))
    return found


@pytest.mark.parametrize("language", OTHERS)
def test_every_code_has_a_text_where_its_sentence_has_none(language: str) -> None:
    known = words_of(language).parts["codes"]
    wanted = codes() | {"outlines_edited", "height_loss", "age_unknown"}
    wanted |= {"norms_other_acquisition"}
    assert len(wanted) > 45
    assert wanted - set(known) == set()
    words = words_of(language)
    assert (
        words.told("metal", "Something that nobody has translated.") == known["metal"]
    )
    assert words.told("of_tomorrow", "Something new") == "Something new"


@pytest.mark.parametrize("language", OTHERS)
def test_a_sentence_keeps_its_values_in_every_language(language: str) -> None:
    table = words_of(language).parts["said"]
    said = Sentences(table)
    for english, there in table.items():
        assert places_of(english) == places_of(there), english
        values = {
            name: SAMPLES[re.match(r"levels|[a-z]+", name)[0]]  # type: ignore[index]
            for name in places_of(english)
        }
        told = english.format(**values) if values else english
        if english not in JOINTS:
            translated = said.translated(told)
            assert translated, english
            for value in values.values():
                if value.startswith(("12", "lumbar")):
                    assert value in translated, english


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("5 slices: the middle of the spine is known less well than from 9 or more",
         "仅 5 层：不如 9 层或更多时能准确确定脊柱正中"),
        ("L1/L2, L2/L3 not measured: its outline is unsure: a height of 4.1 mm with a "
         "typical error of 1.4 mm, which may be 30% of it at most",
         "L1/L2、L2/L3 未测量：其轮廓不确定：高度 4.1 mm，典型误差 1.4 mm，"
         "超过高度的 30%"),
        ("A disc below S1 was found: S1 may be lumbarised. Levels may be off by one: "
         "check the count. Counted otherwise, L5/S1 is L4/L5, L4/L5 is L3/L4; or L4/L5 "
         "is L5/S1",
         "S1 下方见椎间盘：S1 可能腰化。节段标注可能相差一个节段，请核对。若另行计数，"
         "L5/S1 应为 L4/L5、L4/L5 应为 L3/L4；或L4/L5 应为 L5/S1"),
        ("The rows of the picture do not go on across its whole width below L1/L2: it "
         "is put together from parts, and some of the spine may be missing or shown "
         "twice. Levels may be off by one: check the count. Counted otherwise, L1/L2 "
         "is L2/L3; or L1/L2 is T12/L1",
         "图像在 L1/L2 以下整行不连续：该图像由多部分拼接而成，脊柱可能有缺失或重复。"
         "节段标注可能相差一个节段，请核对。若另行计数，L1/L2 应为 L2/L3；"
         "或L1/L2 应为 T12/L1"),
        ("L1 has 0.71 of the front height that the others let expect (moderate): a "
         "fracture, a Schmorl's node or another deformity. DHI of L1/L2 rests on the "
         "height of L2 alone.",
         "L1 前部高度为其余椎体所预期高度的 0.71 倍（中度）："
         "骨折、Schmorl 结节或其他变形。L1/L2 的 DHI 仅以 L2 的高度计算"),
        ("L1 has 0.28 of the middle height that the others let expect (severe): a "
         "fracture, a Schmorl's node or another deformity. DHI of L1/L2 rests on the "
         "height of L2 alone. Of the height that the depth of a body lets expect "
         "(limit of the median 0.7) L1 has 0.48, L2 has 0.61: several bodies may have "
         "lost height, more than their ratios to each other tell, and L3, L5 may be "
         "whole",
         "L1 中部高度为其余椎体所预期高度的 0.28 倍（重度）："
         "骨折、Schmorl 结节或其他变形。L1/L2 的 DHI 仅以 L2 的高度计算。"
         "与按椎体前后径所预期的高度相比（中位数限值 0.7），L1 为 0.48、L2 为 0.61："
         "可能有多个椎体高度丢失，其程度大于椎体间相互比较所示，"
         "而 L3、L5 可能完好"),
        ("The pictures are 3-D spin echo and inversion recovery, those of the norms "
         "2-D spin echo: no percentile is given",
         "该图像为 3D 自旋回波和反转恢复，而正常值的图像为 2D 自旋回波：不给出百分位"),
        ("disc to CSF signal ratio of L4/L5 9.10, L5/S1 8.00, possible are 0 to 3: the "
         "zero of the grey values lies elsewhere, or they show something else. "
         "Geometry is measured, signal is not",
         "椎间盘与脑脊液信号比：L4/L5 9.10、L5/S1 8.00，可能范围为 0 至 3："
         "灰度零点不在零处，或图像所示并非信号强度。仅测量几何参数，不测量信号"),
    ],
)  # fmt: skip
def test_a_sentence_is_told_in_chinese(english: str, chinese: str) -> None:
    assert words_of("zh-CN").word(english) == chinese


JOINTS = {"; or ", "; ", ". ", ", "}

# Pages.
LAYOUT = Layout(size_mm=(12.0, 290.0, 150.0))
ALLOWED = {
    "pfirrmann", "lumbar", "mri", "stand", "none", "zheng", "spider", "report", "json",
    "reference", "eur", "spine", "mm", "dhi", "hdr", "openvino", "onnxruntime",
    "schmorl", "dice",
}  # fmt: skip
"""Latin words that stand on a page in every language."""


@pytest.fixture(scope="module")
def sheet() -> Sheet:
    """Return what the pages of a phantom show."""
    frame, shape = LAYOUT.frame()
    spine = WedgeSpine()
    planes = spine.tissue_map(frame, shape).probability
    plugin = LumbarMri(lambda *_: phantom_networks(planes))
    kept: list[Sheet] = []

    def draw(sheet: Sheet) -> Any:
        kept.append(sheet)
        return draw_pages(sheet)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.lumbar.tell.result.draw_pages", draw)
        volume = spine.volume(frame, shape)
        person = Subject(age_years=45.0)
        pictures = Acquisition(sequence=("SE",), dimensions="2D")
        told = Context(
            subject=person, summaries={}, acquisitions={"t2_sagittal": pictures}
        )
        plugin.analyse({"t2_sagittal": volume}, told)
    return kept[0]


def drawn(sheet: Sheet) -> tuple[list[Text], list[tuple[int, int]]]:
    with texts_on_pages() as texts:
        pages = draw_pages(sheet)
    return texts, [(page.pixels.shape[1], page.pixels.shape[0]) for page in pages]


def test_the_heights_of_bodies_end_with_that_of_l5(sheet: Sheet) -> None:
    texts, _ = drawn(sheet)
    page = " ".join(one.text for one in texts)
    _, _, heights = page.partition("Height of the bodies (mm): ")
    heights, _, _ = heights.partition("Lordosis")
    assert "L5 2" in heights
    assert "S1" not in heights


def longest(sheet: Sheet, words: Words) -> Sheet:
    """Return a sheet with all that may be said, all at once, at its longest."""
    told = words_of("zh-CN").parts
    warnings = [
        Notice(code="x", text=key.format(**dict.fromkeys(places_of(key), SAMPLES["n"])))
        for key in told["said"]
        if len(key) > 60 and not re.search(r"\{(text|word|list|level|any)", key)
    ]
    assert len(warnings) > 20
    grades = {
        level: DiscGrade(
            grade=3, lowest=2, highest=4, rival=4, narrowing=0.5,
            probabilities=(0.0, 0.1, 0.4, 0.4, 0.1),
        )
        for level in sheet.assessment.grades
    }  # fmt: skip
    absent = next(
        value
        for row in sheet.rows.discs
        for value in row.values.values()
        if isinstance(value, Missing)
    )
    rows = [
        replace(row, values={key: replace(absent, text=f"{row.level} was not found")
                             for key in row.values})
        if place % 2 else replace(row, values={
            key: value if isinstance(value, Missing) else -188.88
            for key, value in row.values.items()
        })
        for place, row in enumerate(sheet.rows.discs)
    ]  # fmt: skip
    return replace(
        sheet,
        words=words,
        warnings=tuple(warnings),
        rows=replace(sheet.rows, discs=tuple(rows)),
        assessment=replace(sheet.assessment, grades=grades),
    )


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("is_longest", [False, True], ids=["usual", "longest"])
@pytest.mark.parametrize("language", languages())
def test_nothing_on_a_page_overflows_its_box(
    sheet: Sheet, language: str, is_longest: bool, scale: int
) -> None:
    words = words_of(language)
    shown = longest(sheet, words) if is_longest else replace(sheet, words=words)
    texts, sizes = drawn(replace(shown, scale=scale))
    assert len(texts) > 80
    assert overlapping(texts) == []
    width, height = (max(side) for side in zip(*sizes, strict=True))
    for one in texts:
        left, top, right, bottom = one.box
        assert left >= 0, one
        assert top >= 0, one
        assert right <= width, one
        assert bottom <= height, one
    assert [width // scale, height // scale] >= [1024, 1024]


@pytest.mark.parametrize("language", OTHERS)
def test_no_word_of_a_page_is_left_in_english(sheet: Sheet, language: str) -> None:
    texts, _ = drawn(longest(sheet, words_of(language)))
    latin = {
        word.lower() for one in texts for word in re.findall(r"[A-Za-z]{4,}", one.text)
    }
    assert latin - ALLOWED == set()

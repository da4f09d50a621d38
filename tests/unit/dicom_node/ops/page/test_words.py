"""The page speaks both languages wholly."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dicom_node.ops.page
from dicom_node.failure_codes import FAILURES
from dicom_node.input_codes import REFUSALS, WARNINGS
from dicom_node.jobs.job_verbs import Verb
from dicom_node.jobs.step_outcome import Verdict
from dicom_node.language import LANGUAGES
from dicom_node.ops.checks import Seen, State, checks_of
from dicom_node.ops.page.pages import filter_of, page_number_of
from dicom_node.ops.page.show import amount, code, span
from dicom_node.ops.page.words import all_words, preferred
from dicom_node.ops.probe import Trouble
from dicom_node.records import Completion, JobState
from dicom_node.tls import TlsFiles
from tests.support.ops_plan import plan_for

FOLDER = Path(dicom_node.ops.page.__file__).parent
WORDS = all_words()


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_key_has_a_text_in_both_languages_with_the_same_values() -> None:
    english, chinese = WORDS["en"].texts, WORDS["zh-CN"].texts
    assert len(english) > 250
    assert set(english) == set(chinese)
    for key, text in english.items():
        assert text.strip(), key
        assert chinese[key].strip(), key
        assert places(text) == places(chinese[key]), key


def test_a_chinese_text_is_not_the_english_one() -> None:
    same = {
        key
        for key, text in WORDS["en"].texts.items()
        if WORDS["zh-CN"].texts[key] == text
    }
    assert same == {
        "way.took", "code.results-missing.advice", "code.route-unknown.advice"
    }  # fmt: skip


def test_every_word_of_the_node_has_a_text() -> None:
    nothing = Trouble("")
    seen = Seen(
        report=None,
        is_told=True,
        monotonic_s=0.0,
        posix_s=0.0,
        echo_s=nothing,
        numbers=nothing,
        disk=nothing,
        valid_until_s=nothing,
    )
    files = TlsFiles(certificate=None, key=None, authorities=None)
    plan = plan_for(certificates={"node.tls": files})
    names = {check.name for check in checks_of(seen, plan)}
    assert len(names) == 7
    keys = {
        *(f"state.{state.value}" for state in JobState),
        *(f"check.{state.value}" for state in State),
        *(f"check.{name}{part}" for name in names for part in ("", ".what", ".advice")),
        *(f"verdict.{verdict.value}" for verdict in Verdict),
        *(f"completion.{evidence.value}" for evidence in Completion),
        *(
            f"verb.{verb.value}{part}"
            for verb in Verb
            for part in ("", ".what", ".now")
        ),
        *(f"done.{verb.value}" for verb in Verb),
        *(
            f"code.{one.code}.{part}"
            for one in (*WARNINGS, *REFUSALS, *FAILURES)
            for part in ("what", "advice")
        ),
    }
    assert keys <= set(WORDS["en"].texts)


NO_FILTER = {"state": "", "peer": "", "since": ""}


@pytest.mark.parametrize(
    ("read", "asked", "text"),
    [
        (filter_of, {**NO_FILTER, "state": "asleep"}, "asleep 不是作业状态"),
        (filter_of, {**NO_FILTER, "since": "now"}, "now 不是日期"),
        (page_number_of, "0", "页码应为 1 到 999999 之间的整数"),
    ],
)
def test_what_is_wrong_with_a_query_is_told_in_chinese(
    read: Callable[[Any], object], asked: object, text: str
) -> None:
    with pytest.raises(ValueError, match=r"\w") as outcome:
        read(asked)
    assert WORDS["zh-CN"].detail(str(outcome.value)).startswith(text)


def test_a_job_that_is_gone_is_told_in_chinese() -> None:
    told = WORDS["zh-CN"].detail("no job has the id fell")
    assert told == "没有编号为 fell 的作业"


def test_the_templates_ask_for_no_text_that_is_not_there() -> None:
    asked = {
        key
        for path in (FOLDER / "templates").glob("*.html")
        for key in re.findall(r'\bt\("([^"]+)"[,)]', path.read_text())
    }
    assert len(asked) > 60
    assert asked <= set(WORDS["en"].texts)


def test_no_template_names_another_place_or_runs_a_script() -> None:
    for path in (*(FOLDER / "templates").glob("*.html"), FOLDER / "style.css"):
        text = path.read_text()
        assert not re.search(
            r"https?:|//\w|<script|<style|style=|\bon\w+=|\|\s*safe", text
        )


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh", "zh-CN"),
        ("zh-Hans-SG", "zh-CN"),
        ("de-DE, zh;q=0.4", "zh-CN"),
        ("de-DE", "en"),
        ("en;q=0.8, zh-CN;q=0.9", "zh-CN"),
        ("en;q=0.8, zh-CN;q=0.7", "en"),
        ("zh;q=0", "en"),
        ("zh;q=x", "en"),
        ("*", "en"),
        (",;=,q=1;" * 5000, "en"),
    ],
)
def test_the_language_is_the_one_that_the_browser_likes_best(
    header: str, language: str
) -> None:
    assert preferred(header) == language
    assert language in LANGUAGES


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0421, "42 ms"), (3.14, "3.1 s"), (60, "1 min"), (5400, "1.5 h"),
     (86400, "24 h"), (10 * 86400, "10 d")],
)  # fmt: skip
def test_a_time_has_two_digits_and_a_unit(seconds: float, text: str) -> None:
    assert span(seconds) == text
    assert amount(seconds, "s") == text


def test_a_text_is_escaped_and_its_code_marked() -> None:
    marked = code("use `a<b`, not <i>")
    assert str(marked) == "use <code>a&lt;b</code>, not &lt;i&gt;"

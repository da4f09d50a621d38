"""The node says everything in every language; an untranslated sentence cannot ship."""

from __future__ import annotations

import ast
import json
import re
import string
from pathlib import Path

import pytest
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.tag import Tag

import dicom_node
from analysis.contract.sentences import Sentences, literals_of, places_of
from dicom_node.decode.pick_slices import LeftOut, Picked
from dicom_node.decode.picture_kind import PictureKind
from dicom_node.encode.copied_attributes import Copier
from dicom_node.language import LANGUAGES, language_of
from dicom_node.ops.page.words import all_words
from tests.support.odd_series import put
from tests.support.sources import spoken

FOLDER = Path(dicom_node.__path__[0])
OTHERS = [tag for tag in LANGUAGES if tag != "en"]
SAMPLES = {
    "n": "12",
    "level": "L5",
    "levels": "L4/L5, L5/S1",
    "text": "the series is a localiser",
    "word": "axial",
    "list": "name, sex",
    "uid": "1.2.3",
    "name": "Study Time",
    "any": "1.2.3",
}
JOINTS = {"; or ", "; ", ". ", ", "}


def test_each_language_is_one_file() -> None:
    assert {path.stem for path in (FOLDER / "languages").iterdir()} == set(LANGUAGES)


def values_in(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("tag", OTHERS)
def test_every_word_of_a_result_is_in_every_language(tag: str) -> None:
    english, own = language_of("en").words, language_of(tag).words
    assert set(own) == set(english)
    for key, text in english.items():
        assert values_in(own[key]) == values_in(text), key
    same = {key for key, text in english.items() if own[key] == text}
    assert same <= {"share"}


@pytest.mark.parametrize("tag", OTHERS)
def test_a_sentence_keeps_its_values_in_every_language(tag: str) -> None:
    parts = json.loads((FOLDER / "languages" / f"{tag}.json").read_text("utf-8"))
    said = Sentences(parts["said"])
    for english, there in parts["said"].items():
        assert places_of(english) == places_of(there), english
        if english in JOINTS:
            continue
        kinds = {name: re.match("levels|[a-z]+", name) for name in places_of(english)}
        values = {name: SAMPLES[kind[0].partition("_")[0]]
                  for name, kind in kinds.items() if kind}  # fmt: skip
        told = english.format(**values) if values else english
        assert said.translated(told), english


def test_what_is_left_out_is_told_in_chinese_with_what_it_is() -> None:
    left_out = [
        LeftOut(sop_instance_uid=f"1.2.{number}", what=what)
        for number, what in enumerate(
            ("a localiser", "in-phase", "another orientation", "phase", "phase")
        )
    ]
    picked = Picked(headers=(), kind=PictureKind.MAGNITUDE, left_out=tuple(left_out))
    (notice,) = picked.notices
    assert language_of("zh-CN").told(notice.code, notice.text) == (
        "5 个实例中有 5 个未采用：1.2.0（定位像）、1.2.1（同相）、1.2.2（方位不同）、"
        "1.2.3（相位图）及另外 1 个"
    )


def test_what_a_database_answered_is_kept_as_it_is_in_chinese() -> None:
    # It holds words after which other sentences are taken apart.
    answer = 'connection to server at "db", port 5432 failed: Connection refused'
    told = language_of("zh-CN").told("", f"the job database failed: {answer}")
    assert told == f"作业数据库出错：{answer}"


def test_what_is_wrong_with_an_attribute_is_told_in_chinese() -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    contents = {
        "PatientName": "张^三".encode(),
        "StudyDescription": "李".encode("gbk"),
        "PatientComments": b"a\x01b",
        "StudyTime": b"later",
        "PatientAge": b"45 y",
        "StudyInstanceUID": b"1.2.03",
        "AccessionNumber": b"A" * 40,
        "StudyID": b"1\\2",
        "PatientID": b"47\\11",
        "OtherPatientNames": b"^".join([b"A"] * 7),
    }
    copier = Copier(dataset)
    with config.disable_value_validation():
        for keyword, content in contents.items():
            put(dataset, keyword, content)
        copier.take(list(contents))
    copier.doubt(Tag("DeidentificationMethod"), "missing", "told as not stated")
    for what in ("unreadable", "no sequence", "items without what they must have"):
        copier.doubt(Tag("ReferencedStudySequence"), what, "left out")
    beginning = "attributes that results copy are doubtful: "
    text = beginning + "; ".join(copier.doubts)
    told = language_of("zh-CN").told("attributes_mended", text)
    assert told.startswith(
        "结果所复制的属性有疑问：Patient's Name 实为 UTF-8，与其声明不符，"
        "以 UTF-8 写入；"
    )
    assert "Referenced Study Sequence（无法读取，已略去）" in told
    assert told.count("；") == len(copier.doubts) - 1
    assert re.search(r"[a-z] [a-z]|[(;]", told.replace("'s", "")) is None


ROOMS = ("decode", "corrections", "prior", "plugins", "series", "work", "peers")
MODULES = (
    *(f"jobs/{name}.py" for name in ("dead_worker", "job_actions")),
    "errors.py", "ops/probe.py", "ops/verification.py", "ops/page/errand.py",
    "ops/page/forms.py", "web_service.py",
)  # fmt: skip
NO_READER = {
    # Programs, logs, settings, commands and their operators, in English.
    "decode/weighting.py", "decode/read_file.py", "decode/walk_dataset.py",
    "decode/decoder_process.py", "decode/patient_process.py", "peers/query.py",
    "work/compute_device.py", "work/worker_process.py", "peers/sink.py",
    "peers/progress_watch.py", "series/assembler.py", "peers/probe.py",
    "work/audit_trail.py",
}  # fmt: skip
LOUD = {
    "reading ", "analysing ", " instances of ", "writing the results", "no DICM prefix",
    "headers: expected at least one", "the file's content is not what its name says",
    "no folder of a series", "a number without value", "Samples per Pixel",
    "the report cannot be read: ", ": conditional create",
}  # fmt: skip
"""Said by a command while it runs, by a log, or of a fault of the program."""


WORDS = r"[a-z]{2,} [a-z]{2,}"
"""What a piece of text with words in it has."""


def is_silent(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Call):
        called = node.func
        name = getattr(called, "id", "") or getattr(called, "attr", "")
        return name in {"ValueError", "compile", "warning", "event", "error", "info"}
    return False


def known_pieces(tag: str) -> str:
    parts = json.loads((FOLDER / "languages" / f"{tag}.json").read_text("utf-8"))
    pieces = [piece for key in parts["said"] for piece in literals_of(key)]
    return "\n".join(pieces)


@pytest.mark.parametrize("tag", OTHERS)
def test_no_sentence_of_the_node_is_untranslated(tag: str) -> None:
    known = known_pieces(tag)
    paths = [path for room in ROOMS for path in (FOLDER / room).rglob("*.py")]
    paths += [FOLDER / name for name in MODULES]
    found, missing = 0, []
    for path in sorted(paths):
        name = path.relative_to(FOLDER).as_posix()
        if name in NO_READER:
            continue
        for text in spoken(path, WORDS, is_silent):
            found += 1
            missing += [
                f"{name}: {piece}"
                for piece in re.split(r"; |\. |\{\w+\}", text)
                if piece.strip(" .,;:()%`") not in known and piece not in LOUD
            ]
    assert found > 100
    assert missing == []


@pytest.mark.parametrize(
    ("reason", "chinese"),
    [
        ("not_sagittal: slices are axial, not sagittal",
         "not_sagittal: 层面为轴位，而非矢状位"),
        ("main-pacs: peer-unreachable: no association with main-pacs (10.0.0.1:104): "
         "no connection, no answer in time, or aborted",
         "main-pacs: peer-unreachable: 无法与 main-pacs（10.0.0.1:104）建立关联："
         "无法连接、超时未应答或被中止"),
        ("b: peer-unreachable: no association with b (10.0.0.1:104): no connection: "
         "nothing listens there, a firewall is between, or TLS fails",
         "b: peer-unreachable: 无法与 b（10.0.0.1:104）建立关联："
         "无法连接：该端口无服务监听、被防火墙阻断或 TLS 失败"),
        ("a: not-stored: seg.dcm: status 0xa700; sr.dcm: status 0xa700; "
         "b: results-missing: the results are not in the outbox; retry the job to make "
         "them anew",
         "a: not-stored: seg.dcm：状态 0xa700；sr.dcm：状态 0xa700; "
         "b: results-missing: 结果不在发件区；重试该作业可重新生成"),
        ("no_lumbar_spine: 2 whole vertebral bodies between discs were found, at "
         "least 3 are needed",
         "no_lumbar_spine: 找到椎间盘之间的完整椎体 2 个，至少需要 3 个"),
        ("internal_error: KeyError", "internal_error: KeyError"),
        ("of-tomorrow: Something new", "of-tomorrow: Something new"),
    ],
)  # fmt: skip
def test_the_page_tells_the_reason_of_a_job_in_chinese(
    reason: str, chinese: str
) -> None:
    words = all_words()
    assert words["zh-CN"].reason(reason) == chinese
    assert words["en"].reason(reason) == reason


def test_a_code_says_what_it_means_where_its_sentence_has_no_translation() -> None:
    chinese = language_of("zh-CN")
    assert chinese.told("localiser", "Something new") == "定位像"
    assert chinese.told("of_tomorrow", "Something new") == "Something new"
    assert language_of("en").told("localiser", "x") == "x"
    assert language_of("de") is language_of("en")

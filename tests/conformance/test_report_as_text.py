"""The report where an archive shows it as text: DCMTK's dsrdump and dsr2html.

It is in the character set of its source, and they write UTF-8.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.decode.volume import read_volume
from dicom_node.encode.result_objects import encode_result
from tests.support.encoded import REQUEST
from tests.support.peers import run_dcmtk
from tests.support.phantom_result import phantom_result
from tests.support.result_files import write_source

pytestmark = pytest.mark.peer

SENTENCES = ("人工智能结果,未经医师核实。", "L4/L5 椎间盘:平均高度 9.3 mm")


@pytest.fixture
def report(tmp_path: Path) -> Path:
    source, labels = write_source(tmp_path / "source", "chinese")
    result = replace(phantom_result(labels), summary={"zh-CN": SENTENCES})
    request = replace(REQUEST, objects=("sr",), language="zh-CN")
    (encoded,) = encode_result(result, read_volume(source), request)
    path = tmp_path / "sr.dcm"
    encoded.dataset.save_as(path, enforce_file_format=True)
    return path


def in_order(text: str, parts: tuple[str, ...]) -> bool:
    places = [text.find(part) for part in parts]
    return -1 not in places and places == sorted(places)


READ_IN_ORDER = (
    *SENTENCES,
    "this is a phantom, not a patient",
    "图像库",
    "L5/S1 disc",
    "11.5714",
    "Pfirrmann grade III",
    "L1/L2 disc",
    "12.1429",
)


def test_a_dump_tells_the_summary_first_then_every_disc(report: Path) -> None:
    done = run_dcmtk("dsrdump", "+U8", "+Pl", str(report))
    assert done.returncode == 0, done.stderr
    assert in_order(done.stdout, READ_IN_ORDER)
    assert "王^小东" in done.stdout


def test_a_page_of_html_tells_the_summary_first_then_every_disc(
    report: Path, tmp_path: Path
) -> None:
    page = tmp_path / "sr.html"
    done = run_dcmtk("dsr2html", "+U8", str(report), str(page))
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert in_order(text, READ_IN_ORDER)
    assert "小东" in text
    assert "charset=UTF-8" in text

"""The document about inputs names each code of reading and copying once."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dicom_node.decode.suitable_series import KIND_CODES
from tests.support.sources import modules

ROOMS = ("decode", "encode")
OFTEN_BY_POSITION = {"missing_orientation", "missing_position", "not_magnitude"}
"""Codes that no keyword and no return statement names."""


def codes_in(path: Path) -> Iterator[str]:
    """Yield codes that are given to errors and notices, or returned with a text."""
    for node in ast.walk(ast.parse(path.read_text())):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            values = [
                word.value for word in node.keywords if word.arg in ("reason", "code")
            ]
            if isinstance(node.func, ast.Name) and node.func.id == "Reason":
                values.extend(node.args[:1])
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            values = node.value.elts[:1]
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def test_every_code_of_an_input_is_listed_once_with_what_to_do(root: Path) -> None:
    used = {*OFTEN_BY_POSITION, *KIND_CODES.values()}
    for path in modules():
        if path.parent.name in ROOMS and path.parent.parent.name == "dicom_node":
            used.update(codes_in(path))
    text = (root / "docs" / "inputs.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", text, re.MULTILINE)
    listed = Counter(code for code, _, _ in rows)
    assert set(listed) == used
    assert set(listed.values()) == {1}
    assert all(what.strip() and advice.strip() for _, what, advice in rows)

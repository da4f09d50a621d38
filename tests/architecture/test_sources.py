"""Rules of the house that can be read off the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sources import dotted, modules, nodes

MAX_LINES = 400
MODULES = modules()

MAY_SWALLOW_EVERYTHING = {
    "dicom_node.receive.association": "the C-STORE handler",
    "dicom_node.prior.compare": "what an archive sends costs no result",
    "dicom_node.work.job_steps": "the worker's loop and the delivery loop",
    "dicom_node.node.guarded_part": "the supervisor's loop",
    "dicom_node.node.children": "unpickling what a child sent may raise anything",
    "dicom_node.cli.main": "nobody sees a traceback",
    "dicom_node.jobs.machines": "a machine that counts no more is taken for dead",
}
"""Each logs or tells, settles the state and goes on."""

MAY_TRANSLATE_EVERYTHING = {
    "dicom_node.jobs.unrecorded_end": "DBOS records each Exception, and a stop is none",
    "dicom_node.peers.commit": "pydicom raises anything on what a peer has reported",
    "dicom_node.plugins.registry": "a plugin is foreign code; see ADR 1",
}
"""Raises an error of ours in its place."""

WE_DO_NOT_SAY = {"task", "target", "roi", "poi", "scan", "stat", "snapshot"}


def relative(paths: list[Path]) -> list[str]:
    return [dotted(path) for path in paths]


def test_the_rules_below_see_the_modules_of_both_packages() -> None:
    names = set(relative(MODULES))
    assert {"dicom_node.records", "analysis.contract.geometry"} <= names


def test_no_module_is_longer_than_400_lines() -> None:
    long = {
        dotted(path): count
        for path in MODULES
        if (count := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert long == {}


def flips(path: Path) -> Iterator[int]:
    """Yield the lines on which an axis is reversed."""
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and node.attr in {
            "flip",
            "fliplr",
            "flipud",
        }:
            yield node.lineno
        if isinstance(node, ast.Slice) and isinstance(node.step, ast.UnaryOp):
            yield node.lineno


def test_no_axis_is_flipped_but_by_a_frame() -> None:
    found = [f"{dotted(path)}:{line}" for path in MODULES for line in flips(path)]
    assert found == []


def test_the_search_for_flips_finds_one(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("a = np.flip(b)\nc = b[:, ::-1]\nd = b[::2]\n")
    assert list(flips(wrong)) == [1, 2]


def takes_everything(path: Path, *, raises: bool) -> bool:
    """Return whether a handler takes every exception, ending in a raise or not."""
    return any(
        isinstance(node, ast.ExceptHandler)
        and bool(names_of(node.type) & {"", "Exception", "BaseException"})
        and isinstance(node.body[-1], ast.Raise) is raises
        for node in nodes(path)
    )


def names_of(caught: ast.expr | None) -> set[str]:
    """Return the names of the exceptions that a handler takes; empty for a bare one."""
    if caught is None:
        return {""}
    parts = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return {part.id for part in parts if isinstance(part, ast.Name)}


def test_every_exception_is_swallowed_in_the_named_places_only() -> None:
    found = {dotted(path) for path in MODULES if takes_everything(path, raises=False)}
    assert found == set(MAY_SWALLOW_EVERYTHING)


def test_every_exception_is_translated_in_the_named_place_only() -> None:
    found = {dotted(path) for path in MODULES if takes_everything(path, raises=True)}
    assert found == set(MAY_TRANSLATE_EVERYTHING)


def public_names(path: Path) -> Iterator[str]:
    """Yield the names that a module defines for others."""
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.FunctionDef):
            yield from (
                argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)
            )
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def words(name: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name)
    return {word.lower() for word in spaced.split()}


def test_public_names_use_the_words_of_the_glossary() -> None:
    found = [
        f"{dotted(path)}.{name}"
        for path in MODULES
        for name in public_names(path)
        if not name.startswith("_") and words(name) & WE_DO_NOT_SAY
    ]
    assert found == []


@pytest.mark.parametrize(
    ("word", "pattern"),
    [
        ("a promise without an issue", r"\b(TODO|FIXME|XXX)\b"),
        ("a bare type: ignore", r"#\s*type:\s*ignore\s*(#|$)"),
        ("a bare noqa", r"#\s*noqa\s*(#|$)"),
    ],
)
def test_no_source_holds(word: str, pattern: str) -> None:
    found = [
        f"{dotted(path)}:{number}"
        for path in MODULES
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(pattern, line)
    ]
    assert found == [], word

"""The sources of the two packages, wherever they are installed."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import analysis
import dicom_node

PACKAGES = tuple(
    Path(module.__file__).parent
    for module in (analysis, dicom_node)
    if module.__file__ is not None
)


def modules() -> list[Path]:
    """Return every module of both packages."""
    return sorted(path for package in PACKAGES for path in package.rglob("*.py"))


def dotted(path: Path) -> str:
    """Return the dotted name of a module, such as `dicom_node.cli.main`."""
    package = next(folder for folder in PACKAGES if path.is_relative_to(folder))
    relative = path.relative_to(package.parent).with_suffix("")
    parts = [part for part in relative.parts if part != "__init__"]
    return ".".join(parts)


def nodes(path: Path) -> Iterator[ast.AST]:
    """Yield every node of a module's syntax tree."""
    yield from ast.walk(ast.parse(path.read_text()))


def spoken(
    path: Path, pattern: str, is_silent: Callable[[ast.AST], bool]
) -> Iterator[str]:
    """Yield the pieces of text that a module may tell a reader.

    Parameters
    ----------
    pattern
        That a piece with words in it has.
    is_silent
        Says of a node whether what stands below it is told to no reader.
    """
    tree = ast.parse(path.read_text("utf-8"))
    silent = {
        id(below)
        for node in ast.walk(tree)
        if is_silent(node)
        for below in ast.walk(node)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in silent
            and re.search(pattern, node.value)
        ):
            yield node.value

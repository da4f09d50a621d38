"""The sources of the two packages, wherever they are installed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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

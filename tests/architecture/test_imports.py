"""The direction of imports, and what an idle process may load."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.support.sources import PACKAGES

LINT_IMPORTS = str(Path(sys.executable).with_name("lint-imports"))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--config", str(folder / "pyproject.toml")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """Return a copy of the packages with their contracts."""
    shutil.copy(root / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(
            package,
            tmp_path / package.name,
            ignore=lambda _folder, names: [
                name for name in names if not name.endswith(".py") and "." in name
            ],
        )
    return tmp_path


def test_the_import_contracts_hold_and_a_wrong_import_breaks_them(copy: Path) -> None:
    clean = lint_imports(copy)
    assert clean.returncode == 0, clean.stdout + clean.stderr

    (copy / "dicom_node" / "peers" / "intruder.py").write_text(
        "import torch\nfrom dicom_node.jobs import queue\n"
    )
    broken = lint_imports(copy)
    assert broken.returncode == 1
    assert "the node has floors BROKEN" in broken.stdout
    assert "nothing else of it BROKEN" in broken.stdout


def circles(graph: grimp.ImportGraph) -> list[set[str]]:
    """Return the groups of modules that import each other, directly or not."""
    found: list[set[str]] = []
    for module in sorted(graph.modules):
        if any(module in group for group in found):
            continue
        together = graph.find_upstream_modules(module) & graph.find_downstream_modules(
            module
        )
        if together:
            found.append({module, *together})
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("dicom_node", "analysis", cache_dir=None)
    assert circles(graph) == []


def test_the_search_for_circles_finds_one() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")):
        graph.add_import(importer=importer, imported=imported)
    assert circles(graph) == [{"a", "b", "c"}]


@pytest.mark.parametrize("module", ["dicom_node.cli.main", "dicom_node.node"])
def test_an_idle_process_loads_no_science(module: str) -> None:
    heavy = ("torch", "openvino", "highdicom", "scipy", "SimpleITK", "matplotlib")
    code = (
        f"import sys, {module}\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

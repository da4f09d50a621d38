"""What is installed, what it drags in, and what must not be named."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

OURS = "lumbar-node"
NEVER_LOOKED_AT = {
    ".git", ".venv", ".demo", ".mypy_cache", ".ruff_cache", ".pytest_cache",
    ".import_linter_cache", "build", "dist", "runs", "var", "__pycache__",
}  # fmt: skip
TEXT_SUFFIXES = {
    "", ".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".sh", ".lua",
    ".service", ".cfg",
}  # fmt: skip

# Spelt in pieces, or this file would name them itself.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs"),
        ("download", "pytorch"),
        ("deb", "debian"),
        ("hub", "docker"),
    )
]


def editable(root: Path) -> bool:
    """Return whether the packages are used from the checkout, not from a wheel."""
    return (root / "dicom_node").is_dir()


@pytest.mark.parametrize("package", ["dicom_node", "analysis"])
def test_one_distribution_owns_each_import_package(root: Path, package: str) -> None:
    owners = set(metadata.packages_distributions().get(package, []))
    # An editable installation lists no files, so it owns no package by this account.
    expected = set() if editable(root) else {OURS}
    assert owners == expected


@pytest.fixture(scope="module")
def wheel(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[zipfile.ZipInfo]:
    """Return the entries of the wheel: the one under test, or one built now."""
    folder = root.parent / "wheel"
    if editable(root):
        folder = tmp_path_factory.mktemp("wheel")
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps"]
        subprocess.run([*build, "-w", folder, root], check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return archive.infolist()


def test_the_wheel_holds_two_packages_and_nothing_else(
    wheel: list[zipfile.ZipInfo],
) -> None:
    tops = {Path(entry.filename).parts[0] for entry in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "dicom_node",
        "analysis",
    }


@pytest.mark.parametrize(
    "pattern", [r"\.onnx$|\.safetensors$", r"\.yaml$", r"py\.typed$"]
)
def test_the_wheel_holds_the_data_beside_the_code(
    wheel: list[zipfile.ZipInfo], pattern: str
) -> None:
    assert [e.filename for e in wheel if re.search(pattern, e.filename)] != []


def test_no_file_of_the_wheel_exceeds_20_mb(wheel: list[zipfile.ZipInfo]) -> None:
    assert [e.filename for e in wheel if e.file_size > 20_000_000] == []


def runtime_closure(name: str, seen: set[str]) -> set[str]:
    """Return the distributions that a plain installation brings."""
    canonical = re.sub(r"[-_.]+", "-", name).lower()
    if canonical in seen:
        return seen
    seen.add(canonical)
    for line in metadata.requires(name) or []:
        requirement = Requirement(line)
        wanted = requirement.marker is None or requirement.marker.evaluate(
            {"extra": ""}
        )
        if wanted:
            runtime_closure(requirement.name, seen)
    return seen


def licences(name: str) -> Iterator[str]:
    about = metadata.metadata(name)
    yield from about.get_all("Classifier") or []
    for field in ("License", "License-Expression"):
        # Some put the whole text there; its first line names it.
        for text in about.get_all(field) or []:
            yield str(text).strip().partition("\n")[0]


def test_a_plain_installation_brings_nothing_under_the_gpl() -> None:
    closure = runtime_closure(OURS, set())
    assert {"pydicom", "numpy", "dbos"} <= closure
    strong = re.compile(
        r"(?<!L)(?<!Lesser )\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE
    )
    guilty = {
        name: text
        for name in closure - {OURS}
        for text in licences(name)
        if strong.search(text) and "Lesser" not in text
    }
    assert guilty == {}
    assert "pylibjpeg-libjpeg" not in closure


def test_a_plain_installation_brings_no_training() -> None:
    closure = runtime_closure(OURS, set())
    training = {"torch", "simpleitk", "onnx", "onnxruntime", "matplotlib", "pytest"}
    assert closure & training == set()


def test_every_dependency_is_pinned_in_the_lock(root: Path) -> None:
    lines = (root / "constraints.txt").read_text().splitlines()
    pinned = {
        re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower()
        for line in lines
        if "==" in line
    }
    closure = runtime_closure(OURS, set()) - {OURS}
    installed = {
        name
        for name in closure
        if any(
            re.sub(r"[-_.]+", "-", d.name).lower() == name
            for d in metadata.distributions()
        )
    }
    assert installed - pinned == set()


def text_files(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        inside = path.relative_to(root).parts
        looked_at = not NEVER_LOOKED_AT & set(inside) and path.suffix in TEXT_SUFFIXES
        if looked_at and path.is_file():
            yield path


def test_no_file_names_the_host_of_a_registry(root: Path) -> None:
    found = [
        f"{path.relative_to(root)}: {host}"
        for path in text_files(root)
        for host in REGISTRY_HOSTS
        if host in path.read_text(errors="replace")
    ]
    assert found == []

"""What `deploy` names must exist: no engine runs here to find out otherwise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from dicom_node.settings.load import load


def test_the_settings_of_image_and_unit_are_valid(root: Path) -> None:
    settings = load(root / "deploy" / "node.yaml", analyses=["lumbar-mri"])
    assert settings.spool.folder == Path("/var/lib/lumbar-node")


def test_the_unit_keeps_its_state_where_the_settings_say(root: Path) -> None:
    unit = (root / "deploy" / "lumbar-node.service").read_text()
    assert "StateDirectory=lumbar-node" in unit
    commands = re.findall(r"^Exec\w+=\S+/lumbar-node (\w+) --config (\S+)$", unit, re.M)
    assert commands == [
        ("check", "/etc/lumbar-node/node.yaml"),
        ("serve", "/etc/lumbar-node/node.yaml"),
    ]


def test_the_image_copies_what_there_is(root: Path) -> None:
    recipe = (root / "deploy" / "Dockerfile").read_text()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", recipe, re.M)
        for source in line.split()[:-1]
    ]
    # The packages are beside the tests only in a checkout.
    missing = {name for name in copied if not (root / name).exists()}
    assert missing <= {"dicom_node", "analysis"}
    assert "pyproject.toml" in copied


def test_the_composition_mounts_the_spool_of_the_settings(root: Path) -> None:
    text = (root / "deploy" / "compose.yaml").read_text()
    service = yaml.safe_load(text)["services"]["lumbar-node"]
    assert "spool:/var/lib/lumbar-node" in service["volumes"]
    assert service["read_only"] is True


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "docs/glossary.md"])
def test_a_document_points_only_to_what_there_is(root: Path, name: str) -> None:
    path = root / name
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    packages = ("analysis", "dicom_node")
    missing = [
        link
        for link in links
        if not (path.parent / link).exists() and not link.startswith(packages)
    ]
    assert missing == []

"""The two READMEs tell how to connect a PACS with the same commands and settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_END = "## Beside others"


def section(root: Path, name: str) -> str:
    return (root / name).read_text("utf-8").partition(_END)[0]


def blocks(text: str) -> list[str]:
    return re.findall(r"```\w+\n(.*?)```", text, re.DOTALL)


def words(text: str) -> set[str]:
    """Return what is written as code: commands, keys, states, paths."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return set(re.findall(r"`([^`]+)`", plain))


def test_both_give_the_same_examples(root: Path) -> None:
    english, chinese = section(root, "README.md"), section(root, "README.zh-CN.md")
    assert len(blocks(english)) == 3
    assert blocks(chinese) == blocks(english)


def test_both_name_the_same_commands_and_settings(root: Path) -> None:
    english, chinese = section(root, "README.md"), section(root, "README.zh-CN.md")
    assert len(words(english)) > 60
    assert words(english) - words(chinese) == set()
    assert words(chinese) - words(english) == {"language: zh-CN", "report.json"}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_every_link_leads_somewhere(root: Path, name: str) -> None:
    text = (root / name).read_text("utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert len(links) > 8
    assert [link for link in links if not (root / link).exists()] == []

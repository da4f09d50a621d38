"""What `--help` says: of each command what it does, of each argument what it names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from dicom_node.cli.main import _COMMANDS
from dicom_node.cli.parser import command_parser


def test_each_command_says_what_it_does_and_how_it_may_end() -> None:
    for name, command in _commands(command_parser(), ""):
        assert (command.description or "").endswith("."), name
        assert "4 no series is suitable" in (command.epilog or ""), name


def test_each_argument_says_what_it_names() -> None:
    silent = [
        f"{name} {argument.dest}"
        for name, command in _commands(command_parser(), "")
        for argument in command._actions
        if not isinstance(argument, argparse._SubParsersAction) and not argument.help
    ]
    assert silent == []


def test_each_command_is_run_by_something() -> None:
    parsers = dict(_commands(command_parser(), ""))
    assert {name.split()[0] for name in parsers if name} == set(_COMMANDS)


@pytest.mark.parametrize("words", [["--help"], ["jobs", "--help"], ["serve", "-h"]])
def test_help_ends_with_0(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_parser().parse_args(words)
    assert ended.value.code == 0
    assert "Exit codes: 0 done, 1 failed" in capsys.readouterr().out


def _commands(
    parser: argparse.ArgumentParser, name: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield from _commands(command, f"{name} {word}".strip())

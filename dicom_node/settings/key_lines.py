"""YAML with the line of every key, so that a mistake can be shown where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

_MOST_LEVELS = 20
_MOST_VALUES = 20_000
"""With those that aliases repeat: a few lines of YAML can stand for billions."""

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys and list indices from the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a settings file, at a line that counts from 1."""

    line: int
    path: KeyPath
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedYaml:
    """A parsed YAML document.

    Parameters
    ----------
    data
        Plain Python values; None for an empty document.
    lines
        The line of each value's key, counted from 1.
    problems
        What is wrong with the document as YAML: doubled or unusable keys, tags.
    """

    data: object
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line(self, path: KeyPath) -> int:
        """Return the line of a value, or of the nearest section that holds it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class OverLimitError(yaml.MarkedYAMLError):
    """YAML that holds more than any settings do."""

    def __init__(self, problem: str, mark: yaml.Mark | None = None) -> None:
        super().__init__(problem=problem, problem_mark=mark)


def parse(text: str) -> MarkedYaml:
    """Parse a document that may hold plain YAML values only.

    Raises
    ------
    yaml.MarkedYAMLError
        If the text is not YAML; `OverLimitError` if it holds too much.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError as error:
        raise OverLimitError(_TOO_DEEP) from error
    reader = _Reader()
    data = None if root is None else reader.value(root, ())
    return MarkedYaml(data=data, lines=reader.lines, problems=tuple(reader.problems))


_TOO_DEEP = (
    f"expected fewer levels: the sections and lists of settings have at most "
    f"{_MOST_LEVELS}"
)


class _Reader:
    """Turns nodes into values and remembers where they stood."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self._scalars = yaml.SafeLoader("")
        self._values = 0

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        self._values += 1
        if len(path) > _MOST_LEVELS:
            raise OverLimitError(_TOO_DEEP, node.start_mark)
        if self._values > _MOST_VALUES:
            text = f"expected fewer values: more than {_MOST_VALUES} are no settings"
            raise OverLimitError(text, node.start_mark)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(item, (*path, index))
                for index, item in enumerate(node.value)
            ]
        try:
            value = self._scalars.construct_object(node)
        # The last ones of a value that is not of the kind that its tag says.
        except (yaml.YAMLError, ValueError, AttributeError, LookupError) as error:
            self._problem(node, path, f"cannot be read as YAML: {error}")
            return None
        if isinstance(value, str) and "\0" in value:
            self._problem(node, path, "holds a NUL character")
            return None
        return value

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key, str):
                self._problem(key_node, path, "a key must be plain text")
                continue
            at = (*path, key)
            if key in values:
                first = self.lines[at]
                self._problem(key_node, at, f"occurs twice, first in line {first}")
                continue
            self.lines[at] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, at)
        return values

    def _problem(self, node: yaml.Node, path: KeyPath, text: str) -> None:
        line = node.start_mark.line + 1
        self.problems.append(Problem(line=line, path=path, text=text))

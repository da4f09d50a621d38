"""Sentences in another language, with the numbers that stand in them.

Whoever finds a doubt says it in English. A language holds a pair for each such
sentence: how it reads in English, and how it reads there. Places in both are named, and
the beginning of a name says what may stand there:

`{n}`       a number, `12`, `0.35`, `40%`
`{level}`   a vertebra or a level, `L5`, `L4/L5`; `{levels}` several, parted by commas
`{text}`    a sentence of the same table; if it is none, neither is the whole
`{word}`    a word of the same table, or whatever stands there
`{list}`    several of these, parted by commas
`{uid}`     a unique identifier, `1.2.840.10008`
`{name}`    a name, without colon or semicolon
`{any}`     whatever stands there
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?%?"
_LEVEL = r"[TLS]\d{1,2}(?:/[TLS]\d{1,2})?"
_KINDS = {
    "n": _NUMBER,
    "levels": rf"{_LEVEL}(?:, {_LEVEL})*",
    "level": _LEVEL,
    "text": r".+?",
    "word": r".+?",
    "list": r".+?",
    "uid": r"[0-9.]+",
    "name": r"[^:;]+?",
    "any": r".+?",
}
_PLACE = re.compile(r"\{(levels|level|text|word|list|uid|name|any|n)([a-z0-9_]*)\}")
_SEMICOLONS, _STOP = ("; or ", "; "), ". "
_JOINTS = (*_SEMICOLONS, _STOP)
"""What sentences are joined by, each with its key in the table."""
_COMMA = ", "
_MOST_CHARS, _MOST_DEEP, _MOST_TRIES = 2000, 6, 300
"""Of a text that is looked at, of sentences within sentences, and of parts that are
looked for: what is more was not written by us."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """One sentence in both languages."""

    english: re.Pattern[str]
    longest: str
    there: str
    kinds: Mapping[str, str]


class Sentences:
    """The sentences of one language.

    Parameters
    ----------
    table
        From English to the language; the joints of sentences (`; or `, `; `, `. `,
        `, `) are in it as what stands in their place.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self.joints = {key: table[key] for key in (*_JOINTS, _COMMA) if key in table}
        self.plain = {
            key: value
            for key, value in table.items()
            if key not in self.joints and not _PLACE.search(key)
        }
        pairs = [
            _pair(key, value)
            for key, value in table.items()
            if key not in self.joints and key not in self.plain
        ]
        # What says most by itself is tried first.
        self.pairs = sorted(pairs, key=lambda one: -len(one.longest))

    def translated(self, text: str) -> str | None:
        """Return a sentence in this language; None if the table has not all of it."""
        return _Search(self).translated(text, _MOST_DEEP)


class _Search:
    """One look for a sentence; it gives up where a text was made to make it long."""

    def __init__(self, said: Sentences) -> None:
        self._said = said
        self._left = _MOST_TRIES

    def translated(self, text: str, deep: int) -> str | None:
        """Return a sentence, or a part of one, so many levels above the innermost."""
        self._left -= 1
        if self._left < 0 or deep < 0 or len(text) > _MOST_CHARS:
            return None
        if text in self._said.plain:
            return self._said.plain[text]
        return (
            self._in_parts(text, _SEMICOLONS, deep)
            or self._as_a_whole(text, deep)
            or self._in_parts(text, (_STOP,), deep)
            or self._without_stop(text, deep)
        )

    def _as_a_whole(self, text: str, deep: int) -> str | None:
        for pair in self._said.pairs:
            if pair.longest in text and (found := pair.english.fullmatch(text)):
                values = self._values(found.groupdict(), pair.kinds, deep - 1)
                if values is not None:
                    return pair.there.format(**values)
        return None

    def _in_parts(self, text: str, joints: tuple[str, ...], deep: int) -> str | None:
        for joint in joints:
            if joint not in text or joint not in self._said.joints:
                continue
            known: list[str] = []
            for part in text.split(joint):
                there = self.translated(part, deep - 1)
                if there is None:
                    break
                known.append(there)
            else:
                return self._said.joints[joint].join(known)
        return None

    def _without_stop(self, text: str, deep: int) -> str | None:
        without = text.removesuffix(".")
        return self.translated(without, deep - 1) if without != text else None

    def _values(
        self, found: Mapping[str, str], kinds: Mapping[str, str], deep: int
    ) -> dict[str, str] | None:
        values = {}
        for name, value in found.items():
            there = self._value(kinds[name], value, deep)
            if there is None:
                return None
            values[name] = there
        return values

    def _value(self, kind: str, value: str, deep: int) -> str | None:
        if kind == "text":
            return self.translated(value, deep)
        if kind == "word":
            return self.translated(value, deep) or value
        if kind in {"list", "levels"}:
            words = [self.translated(one, deep) or one for one in value.split(_COMMA)]
            return self._said.joints.get(_COMMA, _COMMA).join(words)
        return value


def places_of(sentence: str) -> set[str]:
    """Return the names of the places in a sentence."""
    return {name + rest for name, rest in _PLACE.findall(sentence)}


def literals_of(sentence: str) -> Iterator[str]:
    """Yield what stands between the places of a sentence."""
    yield from (part for part in _parted(sentence) if part)


def _parted(sentence: str) -> list[str]:
    return _PLACE.sub("\0", sentence).split("\0")


def _pair(english: str, there: str) -> _Pair:
    pattern, end = "", 0
    kinds: dict[str, str] = {}
    for place in _PLACE.finditer(english):
        name = place[1] + place[2]
        pattern += re.escape(english[end : place.start()])
        pattern += (
            f"(?P={name})" if name in kinds else f"(?P<{name}>{_KINDS[place[1]]})"
        )
        kinds[name] = place[1]
        end = place.end()
    pattern += re.escape(english[end:])
    return _Pair(
        english=re.compile(pattern, re.DOTALL),
        longest=max(_parted(english), key=len),
        there=there,
        kinds=kinds,
    )

"""The texts of the page, in the language of whoever reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dicom_node.failure_codes import FAILURES
from dicom_node.input_codes import REFUSALS, WARNINGS
from dicom_node.language import ENGLISH, LANGUAGES, Language, language_of

_REASON = re.compile(
    r"(?P<before>(?:[^:; ]+: )?)(?P<code>[a-z][a-z0-9_-]*): (?P<text>.*)"
)
"""Of a job: `code: text`, or after the peer to which something was not delivered."""
_MOST_RANGES = 20


@dataclass(frozen=True, slots=True)
class Words:
    """All texts in one language.

    Parameters
    ----------
    language
        A key of `LANGUAGES`.
    """

    language: str
    texts: Mapping[str, str]
    own: Language

    def __call__(self, key: str, **values: object) -> str:
        """Return one text, with values in its places.

        Raises
        ------
        KeyError
            If there is none.
        """
        return self.texts[key].format(**values) if values else self.texts[key]

    def detail(self, text: str) -> str:
        """Return a sentence of the node in this language, else as it is."""
        return self.own.told("", text)

    def reason(self, reason: str) -> str:
        """Return the reason of a job, `code: text`, with its text in this language."""
        reasons: list[str] = []
        for part in reason.split("; "):
            if reasons and _REASON.fullmatch(part) is None:
                reasons[-1] += f"; {part}"  # of the sentence before it
            else:
                reasons.append(part)
        return "; ".join(self._reason(one) or one for one in reasons)

    def _reason(self, reason: str) -> str | None:
        found = _REASON.fullmatch(reason)
        if found is None or self.own.said is None:
            return None
        there = self.own.said.translated(found["text"])
        if there is None:
            return None
        return f"{found['before']}{found['code']}: {there}"

    def of(self, key: str, otherwise: str = "") -> str:
        """Return one text, or something else where there is none."""
        return self.texts.get(key, otherwise)


def all_words() -> Mapping[str, Words]:
    """Read the texts of every language.

    Raises
    ------
    OSError
        If a file is missing.
    """
    found = {}
    for tag in LANGUAGES:
        own = language_of(tag)
        codes = _codes_in_english() if tag == ENGLISH else {}
        found[tag] = Words(tag, {**codes, **own.page}, own)
    return found


def _codes_in_english() -> dict[str, str]:
    """Return what stands in the table of codes, by the keys of the texts."""
    texts = {}
    for one in (*WARNINGS, *REFUSALS, *FAILURES):
        texts[f"code.{one.code}.what"] = one.what
        texts[f"code.{one.code}.advice"] = one.advice
    return texts


def preferred(accept_language: str) -> str:
    """Return the language of ours that a browser likes best.

    Parameters
    ----------
    accept_language
        The header of its request (RFC 9110 12.5.4).
    """
    best, best_quality = ENGLISH, 0.0
    for part in accept_language.split(",")[:_MOST_RANGES]:
        tag, _, parameter = part.strip().partition(";")
        quality = _quality(parameter)
        language = _ours(tag.strip().lower())
        if language and quality > best_quality:
            best, best_quality = language, quality
    return best


def _ours(tag: str) -> str:
    primary = tag.partition("-")[0]
    matching = (one for one in LANGUAGES if one.lower().partition("-")[0] == primary)
    return next(matching, "")


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0

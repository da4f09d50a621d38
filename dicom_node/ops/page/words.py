"""The texts of the page, in the language of whoever reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dicom_node.input_codes import FAILURES, REFUSALS, WARNINGS

ENGLISH = "en"
LANGUAGES: Mapping[str, str] = {ENGLISH: "English", "zh-CN": "中文"}
"""By tag (RFC 5646), each with its own name."""
_FOLDER = Path(__file__).with_name("texts")
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

    def __call__(self, key: str, **values: object) -> str:
        """Return one text, with values in its places.

        Raises
        ------
        KeyError
            If there is none.
        """
        return self.texts[key].format(**values) if values else self.texts[key]

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
    for language in LANGUAGES:
        text = (_FOLDER / f"{language}.json").read_text("utf-8")
        found[language] = Words(language, json.loads(text))
    english = found[ENGLISH]
    found[ENGLISH] = Words(ENGLISH, {**_codes_in_english(), **english.texts})
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

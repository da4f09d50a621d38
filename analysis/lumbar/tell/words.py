"""The words of one language: each is one file in `languages`.

`sentences` are what is said of a series, `page` what stands on a page, `report` what a
paragraph for a report is made of, `names` what things are called within sentences. A
language other than English has besides: `said`, the sentences of the analysis with
their numbers (see `analysis.contract.sentences`); `codes`, what is told where a
sentence is not among them; `meanings`, what the codes of the report mean; `quantities`,
how pages write them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from analysis.contract.concepts import Concept
from analysis.contract.result import Notice
from analysis.contract.sentences import Sentences
from analysis.lumbar.measure.quantity import Quantity, Shown
from analysis.lumbar.number_or_reason import Missing

ENGLISH = "en"
_FOLDER = Path(__file__).with_name("languages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """All words of one language.

    Parameters
    ----------
    language
        RFC 5646, such as `zh-CN`.
    parts
        Its file.
    said
        Sentences of the analysis; None in English, in which they are made.
    """

    language: str
    parts: Mapping[str, Mapping[str, Any]]
    said: Sentences | None

    def sentence(self, key: str, **values: object) -> str:
        """Return a sentence about a series, with its values."""
        text: str = self.parts["sentences"][key]
        return text.format(**values) if values else text

    def page(self, key: str, **values: object) -> str:
        """Return what stands on a page, with its values."""
        text: str = self.parts["page"][key]
        return text.format(**values) if values else text

    def report(self, key: str, **values: object) -> str:
        """Return what stands in the paragraph for a report, with its values."""
        text: str = self.parts["report"][key]
        return text.format(**values) if values else text

    def name(self, key: str, otherwise: str) -> str:
        """Return what something is called within a sentence."""
        name: str = self.parts["names"].get(key, otherwise)
        return name

    def told(self, code: str, text: str) -> str:
        """Return a sentence of the analysis, or at least what its code means.

        A sentence that this language has neither way stays English: it may say what a
        reader must know.
        """
        if self.said is None:
            return text
        found = self.said.translated(text)
        if found is not None:
            return found
        general: str = self.parts["codes"].get(code, text)
        return general

    def word(self, text: str) -> str:
        """Return a word or a sentence without a code."""
        return self.told("", text)

    def reason(self, missing: Missing) -> str:
        """Return why there is no value."""
        return self.told(missing.code, missing.text)

    def reason_with_code(self, missing: Missing) -> str:
        """Return the code of a reason, and the reason."""
        return f"{missing.code}: {self.reason(missing)}"

    def notice(self, notice: Notice) -> Notice:
        """Return a notice with its text in this language."""
        return replace(notice, text=self.told(notice.code, notice.text))

    def concept(self, concept: Concept) -> Concept:
        """Return a concept with its meaning in this language (PS3.3 8.3)."""
        meaning = self.parts.get("meanings", {}).get(concept.value)
        return concept if meaning is None else replace(concept, meaning=meaning)

    def shown(self, quantity: Quantity[Any], shown: Shown) -> Shown:
        """Return how a page writes a quantity."""
        own = self.parts.get("quantities", {}).get(quantity.key)
        return (
            shown if own is None else replace(shown, head=own["head"], unit=own["unit"])
        )

    def definition(self, quantity: Quantity[Any]) -> str:
        """Return what a quantity is."""
        own = self.parts.get("quantities", {}).get(quantity.key)
        definition: str = quantity.definition if own is None else own["definition"]
        return definition


@cache
def words_of(language: str) -> Words:
    """Return the words of a language; English where we do not have it."""
    path = next((one for one in _files() if one.stem == language), None)
    if path is None:
        return words_of(ENGLISH)
    parts = json.loads(path.read_text("utf-8"))
    said = Sentences(parts["said"]) if "said" in parts else None
    return Words(language=language, parts=parts, said=said)


def languages() -> tuple[str, ...]:
    """Return the languages that there are, English first."""
    return tuple(
        sorted((one.stem for one in _files()), key=lambda one: (one != ENGLISH, one))
    )


def _files() -> Iterator[Path]:
    return _FOLDER.glob("*.json")

"""The words of the node in one language: each is one file in `languages`.

Beside the texts of the page it holds `words`, which stand in results; and in a language
other than English `said`, the sentences in which the node says why and what, with their
values (see `analysis.contract.sentences`), and `meanings`, what codes mean. What an
analysis refuses a series by is told by the node, and stands there too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.contract.sentences import Sentences

ENGLISH = "en"
LANGUAGES: Mapping[str, str] = {ENGLISH: "English", "zh-CN": "中文"}
"""By tag (RFC 5646), each with its own name."""
_FOLDER = Path(__file__).with_name("languages")
_SECTIONS = frozenset({"words", "said", "meanings"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """All words of the node in one language.

    Parameters
    ----------
    tag
        A key of `LANGUAGES`.
    page
        Texts of the page, by key.
    words
        What stands in results, by key.
    said
        Sentences of the node; None in English, in which they are made.
    meanings
        What codes mean, by `SCHEME:value`; empty in English.
    """

    tag: str
    page: Mapping[str, str]
    words: Mapping[str, str]
    said: Sentences | None
    meanings: Mapping[str, str]

    def word(self, key: str, **values: object) -> str:
        """Return what stands in a result, with its values."""
        return self.words[key].format(**values) if values else self.words[key]

    def told(self, code: str, text: str) -> str:
        """Return a sentence in this language, or at least what its code means.

        A sentence that this language has neither way stays English.
        """
        if self.said is None or not text:
            return text
        found = self.said.translated(text)
        return self.page.get(f"code.{code}.what", text) if found is None else found

    def meaning(self, scheme: str, value: str) -> str | None:
        """Return what a code means; None where this language does not say it."""
        return self.meanings.get(f"{scheme}:{value}")


@cache
def language_of(tag: str) -> Language:
    """Return the words of a language; English where we do not have it.

    Raises
    ------
    OSError
        If its file is missing.
    """
    # The supervisor knows of languages by its settings, and loads nothing of these.
    from analysis.contract.sentences import Sentences

    if tag not in LANGUAGES:
        return language_of(ENGLISH)
    parts: dict[str, Any] = json.loads((_FOLDER / f"{tag}.json").read_text("utf-8"))
    return Language(
        tag=tag,
        page={key: text for key, text in parts.items() if key not in _SECTIONS},
        words=parts["words"],
        said=Sentences(parts["said"]) if "said" in parts else None,
        meanings=parts.get("meanings", {}),
    )

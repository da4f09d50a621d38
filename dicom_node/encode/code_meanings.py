"""What the codes of a report mean, in the language of the report.

References
----------
PS3.3 8.3: of one code several meanings may be defined, as in other languages, and none
is ever a key. PS3.16 TID 1204, CID 5000.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from highdicom.sr import CodedConcept, LanguageOfContentItemAndDescendants
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.language import Language

_MOST = 1024
_TAGS: Mapping[str, Code] = {
    "en": Code("en", "RFC5646", "English"),
    "zh-CN": Code("zh-CN", "RFC5646", "Chinese (China)"),
}
_CODES = ("ConceptNameCodeSequence", "ConceptCodeSequence")


def language_code(tag: str) -> Code:
    """Return the code of a language."""
    return _TAGS[tag]


def language_of_document(tag: str) -> LanguageOfContentItemAndDescendants | None:
    """Return the language of a report; None for that which the library writes."""
    if tag == "en":
        return None
    code = CodedConcept.from_code(language_code(tag))
    return LanguageOfContentItemAndDescendants(code)


def tell_meanings(root: Dataset, language: Language) -> None:
    """Let all codes below an item say what they mean in a language.

    Changes `root`, which its caller has just made. Codes are put in the place of codes:
    those of the library, and ours, are shared by many items and by other reports.
    """
    if not language.meanings:
        return
    for holder, keyword in _holders(root):
        code = holder[keyword].value[0]
        meaning = language.meaning(code.CodingSchemeDesignator, code.CodeValue)
        if meaning is not None:
            scheme = str(code.CodingSchemeDesignator)
            told = _told(str(code.CodeValue), scheme, meaning)
            setattr(holder, keyword, [told])


def _holders(item: Dataset) -> Iterator[tuple[Dataset, str]]:
    """Yield each dataset below an item with the keyword of a code in it."""
    for keyword in _CODES:
        if keyword in item and "CodeValue" in item[keyword].value[0]:
            yield item, keyword
    for measured in item.get("MeasuredValueSequence") or ():
        yield measured, "MeasurementUnitsCodeSequence"
    for child in item.get("ContentSequence") or ():
        yield from _holders(child)


@lru_cache(maxsize=_MOST)
def _told(value: str, scheme: str, meaning: str) -> CodedConcept:
    return CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)

"""Texts of the source, decoded by their label where it is true, and doubted where not.

References
----------
PS3.3 C.12.1.1.2 Specific Character Set; PS3.5 6.1.2.
"""

from __future__ import annotations

import codecs
import re
import warnings
from collections.abc import MutableSequence, Sequence

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import TEXT_VR_DELIMS, PersonName

_HIGH = re.compile(rb"[\x80-\xff]+")
_UTF_8 = "utf-8"
_LATIN_1 = "iso8859-1"
_MULTI_BYTE = frozenset({"gb18030", "gbk"})
_SPELLINGS = {
    "ISOIR192": "ISO_IR 192",
    "UTF8": "ISO_IR 192",
    "GB18030": "GB18030",
    "GBK": "GBK",
    "GB2312": "GBK",
    "ISOIR100": "ISO_IR 100",
    "LATIN1": "ISO_IR 100",
    "ISO88591": "ISO_IR 100",
}
"""Of labels that senders write in other ways, without what is no letter or digit."""
_DOUBLE_BYTE_LEAD = 0xA1
_REPLACED = "\ufffd"


class Texts:
    """Decodes the texts of one dataset.

    Attributes
    ----------
    doubts
        In what the character set is not as it says; names of attributes, no values.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.doubts: list[str] = []
        self._labels = self._known(_labels(dataset))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                known = convert_encodings(list(self._labels) or [""])
            except (LookupError, ValueError):
                known = [_LATIN_1]
        self._encodings = [codecs.lookup(one).name for one in known]

    def text(self, element: DataElement | RawDataElement, name: str) -> str:
        """Return the text of an element, its values parted by backslashes.

        Parameters
        ----------
        name
            Of the attribute, for doubts.
        """
        content = _bytes(element)
        if content is None:
            value = element.value
            if isinstance(value, MutableSequence):
                return "\\".join(map(str, value))
            return str(value)
        if not _HIGH.search(content):
            return self._decoded(content)
        return self._of_high_bytes(content, name)

    def _of_high_bytes(self, content: bytes, name: str) -> str:
        is_utf_8 = _decodes(content, _UTF_8)
        if self._encodings[:1] == [_UTF_8]:
            if is_utf_8:
                return content.decode()
            self._doubt(name, "is not in UTF-8 as its label says, read as Latin-1")
            return content.decode("latin-1")
        if is_utf_8 and len(self._labels) <= 1 and not _is_multi_byte(self._encodings):
            self._doubt(name, "is in UTF-8, which its label does not say")
            return content.decode()
        text = self._decoded(content)
        if not self._labels:
            self._doubt(name, "has no label for its character set, read as Latin-1")
        elif _REPLACED in text:
            self._doubt(name, "is not in the character set of its label")
        elif self._encodings[0] == _LATIN_1 and _looks_chinese(content):
            self._doubt(name, "looks like GB 18030, read by its label")
        return text

    def _decoded(self, content: bytes) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return decode_bytes(content, self._encodings, TEXT_VR_DELIMS)

    def _known(self, labels: Sequence[str]) -> tuple[str, ...]:
        known = []
        for label in labels:
            plain = re.sub(r"[^A-Z0-9]", "", label.upper())
            meant = _SPELLINGS.get(plain, label)
            if meant != label:
                text = f"Specific Character Set is misspelt, read as {meant}"
                self.doubts.append(text)
            known.append(meant)
        return tuple(known)

    def _doubt(self, name: str, what: str) -> None:
        text = f"{name} {what}"
        if text not in self.doubts:
            self.doubts.append(text)


def _labels(dataset: Dataset) -> tuple[str, ...]:
    value = dataset.get("SpecificCharacterSet")
    values = value if isinstance(value, MutableSequence) else [value]
    labels = tuple(str(one).strip() for one in values if one is not None)
    return labels if any(labels) else ()


def _bytes(element: DataElement | RawDataElement) -> bytes | None:
    """Return the bytes of a text that was not decoded yet, or that remembers them."""
    if isinstance(element.value, bytes):
        return element.value
    values = (
        element.value if isinstance(element.value, MutableSequence) else [element.value]
    )
    parts = []
    for value in values:
        original = getattr(value, "original_string", None)
        if not isinstance(value, PersonName) or not isinstance(original, bytes):
            return None
        parts.append(original)
    return b"\\".join(parts)


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _is_multi_byte(encodings: Sequence[str]) -> bool:
    return not _MULTI_BYTE.isdisjoint(encodings)


def _looks_chinese(content: bytes) -> bool:
    """Tell whether all high bytes are pairs of GB 2312; letters of Latin-1 are not."""
    runs = _HIGH.findall(content)
    return all(len(run) % 2 == 0 and min(run) >= _DOUBLE_BYTE_LEAD for run in runs)

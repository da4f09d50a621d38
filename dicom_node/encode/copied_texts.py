"""Texts of the source, decoded by their label, and doubted where it is not true.

Results go into the study of their source: the archive has to see the same name in both.
So a text that its label can encode goes into results under that label, byte for byte,
even where the label is wrong and the archive shows the wrong letters for both. All
other texts are mended and written in UTF-8.

References
----------
PS3.3 C.12.1.1.2 Specific Character Set; PS3.5 6.1.2.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, MutableSequence, Sequence

from pydicom.charset import (
    STAND_ALONE_ENCODINGS,
    convert_encodings,
    decode_bytes,
    encode_string,
    python_encoding,
)
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS, PersonName

UTF_8 = "ISO_IR 192"

CharacterSet = str | list[str]
"""A value of Specific Character Set."""

_HIGH = re.compile(rb"[\x80-\xff]+")
_ESCAPE = b"\x1b"
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"
"""What a decoder puts in place of bytes that are not of its character set."""
_SPELLINGS = {
    "ISOIR192": UTF_8,
    "UTF8": UTF_8,
    "GB18030": "GB18030",
    "GBK": "GBK",
    "GB2312": "GBK",
    "ISOIR100": "ISO_IR 100",
    "LATIN1": "ISO_IR 100",
    "ISO88591": "ISO_IR 100",
}
"""Of labels that senders write in other ways, without what is no letter or digit."""
_LATIN_1 = "ISO_IR 100"
_UNLABELLED = frozenset({"", "ISO_IR 6"})
_NO_CONTROLS = re.compile(rb"[\x80-\x9f]")
_NOTHING = re.compile(rb"(?!)")
_DOUBLE_BYTE_LEAD = 0xA1
TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs to which Specific Character Set applies (PS3.5 6.1.2.2)."""


class Texts:
    """Decodes the texts of one dataset.

    Parameters
    ----------
    doubts
        Gets in what the character set is not as it says: names of attributes and no
        values.
    """

    def __init__(self, dataset: Dataset, doubts: list[str]) -> None:
        self._doubts = doubts
        self._labels = self._known(_labels(dataset))
        self._is_sound = all(label in python_encoding for label in self._labels) and (
            len(self._labels) == 1 or not set(self._labels) & set(STAND_ALONE_ENCODINGS)
        )
        self._encodings = _encodings(self._labels if self._is_sound else ("",))
        self._holds_others = False
        self._has_lost = False

    @property
    def character_set(self) -> CharacterSet:
        """Label under which the texts decoded so far are written byte for byte.

        UTF-8 if there is none, or if they are ASCII.
        """
        if not self._holds_others or self._has_lost or not any(self._labels):
            return UTF_8
        labels = list(self._labels)
        return labels if len(labels) > 1 else labels[0]

    def text(
        self, element: DataElement | RawDataElement, name: str, *, is_name: bool
    ) -> str:
        """Return the text of an element, its values parted by backslashes.

        Parameters
        ----------
        name
            Of the attribute, for doubts.
        is_name
            Whether it is of VR PN.
        """
        content = _bytes(element)
        if content is None:
            value = element.value
            text = (
                "\\".join(map(str, value))
                if isinstance(value, MutableSequence)
                else str(value)
            )
            self._holds_others |= not text.isascii()
            return text
        if content.isascii() and _ESCAPE not in content:
            return content.decode()
        self._holds_others = True
        content = content.rstrip(b" =\0" if is_name else b" \0")
        return self._of_other_bytes(content, name, is_name=is_name)

    def _of_other_bytes(self, content: bytes, name: str, *, is_name: bool) -> str:
        is_utf_8 = _HIGH.search(content) is not None and _is_utf_8(content)
        if self._labels == (UTF_8,) and not is_utf_8:
            self._lose(name, "is not in UTF-8 as its label says, read as Latin-1")
            return content.decode("latin-1")
        is_held = not _forbidden(self._labels).search(content)
        if is_utf_8 and not is_held:
            self._lose(name, "is in UTF-8, which its label does not say")
            return content.decode()
        text = _decoded(content, self._encodings, is_name=is_name)
        if is_utf_8 and _UNREADABLE in text:
            self._lose(name, "is in UTF-8, which its label does not say")
            return content.decode()
        if not self._is_sound:
            self._lose(name, "has a label that is no character set, read as Latin-1")
        elif not is_held and set(self._labels) <= _UNLABELLED:
            self._lose(name, "has no label for its character set, read as Latin-1")
        elif not is_held or not _writes(
            text, self._encodings, is_name=is_name, content=content
        ):
            self._lose(name, "is not in the character set of its label")
        elif is_utf_8 and self._labels == (_LATIN_1,):
            self._doubt(name, "looks like UTF-8, which its label does not say")
        elif self._labels == (_LATIN_1,) and _looks_chinese(content):
            self._doubt(name, "looks like GB 18030, which its label does not say")
        return text

    def _lose(self, name: str, what: str) -> None:
        self._has_lost = True
        self._doubt(name, f"{what} and written in UTF-8")

    def _known(self, labels: Sequence[str]) -> tuple[str, ...]:
        known = []
        for label in labels:
            plain = re.sub(r"[^A-Z0-9]", "", label.upper())
            meant = _SPELLINGS.get(plain, label)
            if meant != label:
                self._doubt("Specific Character Set", f"is misspelt, read as {meant}")
            known.append(meant)
        return tuple(known)

    def _doubt(self, name: str, what: str) -> None:
        text = f"{name} {what}"
        if text not in self._doubts:
            self._doubts.append(text)


def _forbidden(labels: Sequence[str]) -> re.Pattern[bytes]:
    """Return what must not stand in a text, whoever would read it all the same.

    References
    ----------
    PS3.5 6.1.2: the default repertoire has 7 bits; of the sets of 8, 0x80 to 0x9F are
    control characters that no text has.
    """
    if set(labels) <= _UNLABELLED:
        return _HIGH
    if len(labels) == 1 and labels[0].startswith("ISO_IR") and labels[0] != UTF_8:
        return _NO_CONTROLS
    return _NOTHING


def has_room_for(character_set: CharacterSet, dataset: Dataset) -> bool:
    """Tell whether all texts of an object can be written in a character set."""
    if character_set == UTF_8:
        return True
    labels = character_set if isinstance(character_set, list) else [character_set]
    encodings = _encodings(labels)
    return all(
        str(value).isascii()
        or _writes(str(value), encodings, is_name=element.VR == "PN")
        for element in dataset.iterall()
        if element.VR in TEXT_VRS
        for value in (element.value if element.VM > 1 else [element.value])
    )


def _encodings(labels: Iterable[str]) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert_encodings(list(labels))


def _writes(
    text: str, encodings: list[str], *, is_name: bool, content: bytes | None = None
) -> bool:
    """Tell whether a text is itself again when written, and its bytes, if given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = text.split("\\")
        written = b"\\".join(
            PersonName(value).encode(encodings)
            if is_name
            else encode_string(value, encodings)
            for value in values
        )
        if content is not None:
            return written == content
        return _decoded(written, encodings, is_name=is_name) == text


def _decoded(content: bytes, encodings: list[str], *, is_name: bool) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        delimiters = PN_DELIMS if is_name else TEXT_VR_DELIMS
        return decode_bytes(content, encodings, delimiters)


def _labels(dataset: Dataset) -> tuple[str, ...]:
    value = dataset.get("SpecificCharacterSet")
    values = value if isinstance(value, MutableSequence) else [value]
    labels = tuple(str(one).strip() for one in values if one is not None)
    return labels if any(labels) else ("",)


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


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _looks_chinese(content: bytes) -> bool:
    """Tell whether all high bytes are pairs of GB 2312; letters of Latin-1 are not."""
    runs = _HIGH.findall(content)
    return all(len(run) % 2 == 0 and min(run) >= _DOUBLE_BYTE_LEAD for run in runs)

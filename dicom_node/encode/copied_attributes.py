"""Attributes of the source that results copy: valid, mended where needed.

Nothing that a sender wrote into an attribute which is only copied may cost a result, or
reach an archive in our name where the standard forbids it. So each is read as bytes,
held against its VR and multiplicity, and mended, shortened or left out.

References
----------
PS3.5 6.2 (VRs), 6.4 (multiplicity); PS3.3 8.8 (codes), C.7.1.1, C.7.2 (patient, study).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime

from pydicom.datadict import (
    dictionary_description,
    dictionary_has_tag,
    dictionary_VM,
    dictionary_VR,
    keyword_for_tag,
)
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import DSfloat, PersonName

from dicom_node.encode.copied_texts import TEXT_VRS, CharacterSet, Texts

_UNREADABLE = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError,
               NotImplementedError, RuntimeError, OSError)  # fmt: skip
"""What pydicom raises on an element that is not what it says."""

_TEXT_CHARS = {"LO": 64, "SH": 16, "ST": 1024, "LT": 10240, "UC": 2**16, "UT": 2**16}
_NUMBERS = frozenset({"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
_ONE_TEXT_VRS = frozenset({"ST", "LT", "UT"})
"""In these a backslash parts nothing."""
_NAME_CHARS = 64
_NAME_PARTS = 5
_NAME_GROUPS = 3
_DECIMAL_CHARS = 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
"""ST, LT and UT may hold tabs, line and page feeds (PS3.5 6.2)."""
_MOST_VALUES = re.compile(r"(?:\d+-)?(\d+)$")

_WORDS: Mapping[str, re.Pattern[str]] = {
    "AE": re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9 _]{1,16}"),
    "DA": re.compile(r"\d{8}"),
    "DS": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([Ee][-+]?\d+)?"),
    "DT": re.compile(r"\d{4,14}(\.\d{1,6})?([+-]\d{4})?"),
    "IS": re.compile(r"[+-]?\d{1,10}"),
    "TM": re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"),
    "UI": re.compile(r"[0-9.]{1,64}"),
}
_UID_FORM = re.compile(r"([01]\.[1-3]?\d|2\.(0|[1-9]\d*))(\.(0|[1-9]\d*))*")
"""PS3.5 9.1: no component is empty or begins with a zero; ISO/IEC 9834-1: the roots."""
_REFERRED_TO = frozenset(
    {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"}
)
"""Results say where they belong by these. An archive and a viewer find nothing under
another one, so they stay as the source has them, whatever their form."""
_WHOLE = "PatientID"
"""One with a backslash is read as several, and the first may be the ID of another
patient: to him an archive would give the results."""
_ALLOWED = {
    "PatientSex": {"M", "F", "O"},
    "PatientSexNeutered": {"ALTERED", "UNALTERED"},
    "SmokingStatus": {"YES", "NO", "UNKNOWN"},
    "TypeOfPatientID": {"TEXT", "RFID", "BARCODE"},
    "PatientIdentityRemoved": {"YES", "NO"},
    "QualityControlSubject": {"YES", "NO"},
    "PregnancyStatus": {"1", "2", "3", "4"},
    "LossyImageCompression": {"00", "01"},
}
_OFFSET = "TimezoneOffsetFromUTC"
_OFFSET_FORM = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
_NOT_NEGATIVE = frozenset(
    {"PatientWeight", "PatientSize", "SliceThickness", "SpacingBetweenSlices"}
)
_REQUIRED_IN = {
    "OtherPatientIDsSequence": ("PatientID", "TypeOfPatientID"),
    "ReferencedStudySequence": ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"),
    "ReferencedPatientSequence": ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"),
}
"""What an item must have to say anything (type 1)."""
_ONE_OF = {
    "IssuerOfAccessionNumberSequence": ("LocalNamespaceEntityID", "UniversalEntityID"),
    "IssuerOfPatientIDQualifiersSequence": ("UniversalEntityID", "IdentifierTypeCode"),
}
_CODE_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")
_CHARACTER_SET = 0x00080005
_ONE_ITEM = frozenset({"IssuerOfAccessionNumberSequence"})

_LEFT_OUT = "left out"


class Copier:
    """Copies attributes of one source.

    Attributes
    ----------
    doubts
        What was mended or left out: names of attributes and no values.
    """

    def __init__(self, source: Dataset) -> None:
        self._source = source
        self.doubts: list[str] = []
        self._texts = Texts(source, self.doubts)

    @property
    def character_set(self) -> CharacterSet:
        """Label under which what was taken is written as it came; UTF-8 if none is."""
        return self._texts.character_set

    def take(self, tags: Iterable[BaseTag | str]) -> Dataset:
        """Return the valid ones of some attributes, decoded, as far as they are there.

        Parameters
        ----------
        tags
            Tags or keywords.
        """
        return self._taken(self._source, tags)

    def take_items(
        self, sequence: str, tags: Collection[BaseTag | str]
    ) -> list[Dataset]:
        """Return of each item of a sequence some attributes, as `take` does.

        An item of which nothing can be taken is there all the same, and empty.
        """
        element = self._source[sequence]
        items = element.value if element.VR == "SQ" else ()
        return [self._taken(item, tags) for item in items]

    def _taken(self, dataset: Dataset, tags: Iterable[BaseTag | str]) -> Dataset:
        taken = Dataset()
        for tag in map(Tag, tags):
            element = self._element(dataset, tag) if tag in dataset else None
            if element is not None:
                taken.add(element)
        return taken

    def _element(self, dataset: Dataset, tag: BaseTag) -> DataElement | None:
        if not dictionary_has_tag(tag) or tag.is_private:
            return None
        vr = dictionary_VR(tag).split(" or ")[0]
        try:
            if vr == "SQ":
                return self._sequence(dataset, tag)
            values = self._values(dataset, tag, vr)
        except _UNREADABLE:
            self.doubt(tag, "unreadable", _LEFT_OUT)
            return None
        if values is None:
            return None
        value = values[0] if len(values) == 1 else values or ""
        if value == "" and vr in _NUMBERS:
            return None  # it says nothing, and the libraries take it for a number
        return DataElement(tag, vr, value)

    def doubt(self, tag: BaseTag, what: str, done: str) -> None:
        """Take note of what is wrong with an attribute, and what was done with it."""
        text = f"{dictionary_description(tag)} ({what}, {done})"
        if text not in self.doubts:
            self.doubts.append(text)

    def _values(self, dataset: Dataset, tag: BaseTag, vr: str) -> list[object] | None:
        """Return the valid values of an element; None if it has to be left out."""
        found = self._parts(dataset, tag, vr)
        parts = [part for part in found if part != ""] or found[:1]
        most = _MOST_VALUES.fullmatch(dictionary_VM(tag))
        if most is not None and len(parts) > int(most[1]):
            if keyword_for_tag(tag) == _WHOLE:
                self.doubt(tag, f"{len(parts)} values", "all kept, as in the source")
            else:
                self.doubt(tag, f"{len(parts)} values", f"the first {most[1]} kept")
                parts = parts[: int(most[1])]
        values: list[object] = []
        for part in parts:
            value = self._valid(part, tag, vr) if part != "" else ""
            if value is None:
                self.doubt(tag, f"no valid {vr}", _LEFT_OUT)
                return None
            values.append(value)
        return values

    def _parts(self, dataset: Dataset, tag: BaseTag, vr: str) -> list[str]:
        item = dataset.get_item(tag)
        if item.value is None:
            return [""]
        if vr in TEXT_VRS:
            texts = self._texts_of(dataset)
            text = texts.text(item, dictionary_description(tag), is_name=vr == "PN")
        elif isinstance(item.value, bytes) and _is_text(vr):
            text = item.value.decode("latin-1")
        elif isinstance(item, RawDataElement):
            value = dataset[tag].value  # a binary number
            text = "\\".join(map(str, value if isinstance(value, list) else [value]))
        else:
            value = item.value
            several = not isinstance(value, str | PersonName) and hasattr(
                value, "__iter__"
            )
            text = "\\".join(map(_original, value)) if several else _original(value)
        if vr in _ONE_TEXT_VRS:
            return [text.strip(" \0")]
        return [part.strip(" \0") for part in text.split("\\")]

    def _texts_of(self, dataset: Dataset) -> Texts:
        """Return what decodes the texts of the source, or of an item with a label."""
        if dataset is self._source or _CHARACTER_SET not in dataset:
            return self._texts
        return Texts(dataset, self.doubts)

    def _valid(self, text: str, tag: BaseTag, vr: str) -> object:
        """Return a value as its VR has it, mended where that is safe; None if not."""
        if vr in TEXT_VRS:
            return self._valid_text(text, tag, vr)
        if vr not in _WORDS:
            return _number(text, vr) if _is_meant(text, tag, vr) else None
        mended = _MENDED.get(vr, str)(text)
        form = _WORDS[vr]
        if not form.fullmatch(mended) or not _is_meant(mended, tag, vr):
            return None
        if mended != text:
            self.doubt(tag, f"no valid {vr}", "mended")
        if vr == "UI" and not _UID_FORM.fullmatch(mended):
            if keyword_for_tag(tag) not in _REFERRED_TO:
                return None
            self.doubt(tag, "no valid UI", "kept, so that references match")
        if vr == "DS" and len(mended) > _DECIMAL_CHARS:
            return DSfloat(float(mended), auto_format=True)
        return mended

    def _valid_text(self, text: str, tag: BaseTag, vr: str) -> object:
        forbidden = _CONTROL_IN_TEXT if vr in _ONE_TEXT_VRS else _CONTROL
        if forbidden.search(text):
            self.doubt(tag, "control characters", _LEFT_OUT)
            text = forbidden.sub("", text)
        if vr == "PN":
            return self._valid_name(text, tag)
        if keyword_for_tag(tag) == _OFFSET and not _OFFSET_FORM.fullmatch(text):
            return None
        limit = _TEXT_CHARS[vr]
        if len(text) > limit:
            self.doubt(tag, f"more than {limit} characters", "shortened")
            text = text[:limit].rstrip()
        return text

    def _valid_name(self, text: str, tag: BaseTag) -> PersonName:
        groups = [
            "^".join(group.split("^")[:_NAME_PARTS])[:_NAME_CHARS]
            for group in text.split("=")[:_NAME_GROUPS]
        ]
        name = "=".join(groups)
        if name != text:
            self.doubt(tag, f"more than {_NAME_CHARS} characters or parts", "shortened")
        return PersonName(name)

    def _sequence(self, dataset: Dataset, tag: BaseTag) -> DataElement | None:
        keyword = keyword_for_tag(tag)
        value = dataset[tag].value
        if dataset[tag].VR != "SQ":
            self.doubt(tag, "no sequence", _LEFT_OUT)
            return None
        items = []
        for item in value:
            copied = Dataset()
            for inner in sorted(item.keys()):
                if inner == _CHARACTER_SET:
                    continue  # that of the result is the one of all its items
                element = self._element(item, inner)
                if element is not None:
                    copied.add(element)
            if _says_something(copied, keyword):
                items.append(copied)
        if len(items) < len(value):
            self.doubt(tag, "items without what they must have", _LEFT_OUT)
        if keyword in _ONE_ITEM:
            items = items[:1]
        return DataElement(tag, "SQ", items) if items else None


def _original(value: object) -> str:
    return str(getattr(value, "original_string", None) or value)


def _is_text(vr: str) -> bool:
    return vr in _WORDS or vr in TEXT_VRS


def _number(text: str, vr: str) -> object:
    if vr in ("FD", "FL"):
        return float(text)
    return int(text)


def _is_meant(text: str, tag: BaseTag, vr: str) -> bool:
    """Tell whether a well-formed value can be meant by its attribute."""
    keyword = keyword_for_tag(tag)
    if keyword in _ALLOWED and text not in _ALLOWED[keyword]:
        return False
    if keyword in _NOT_NEGATIVE and float(text) < 0:
        return False
    if vr == "DA":
        try:
            datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            return False
    return True


def _says_something(item: Dataset, keyword: str) -> bool:
    """Tell whether an item has what makes it valid."""
    if keyword in _REQUIRED_IN:
        return all(item.get(name) for name in _REQUIRED_IN[keyword])
    if keyword in _ONE_OF:
        return any(item.get(name) for name in _ONE_OF[keyword])
    if keyword.endswith("CodeSequence"):
        values = [name for name in _CODE_VALUES if item.get(name)]
        coded = values and (
            "URNCodeValue" in values or item.get("CodingSchemeDesignator")
        )
        return bool(coded and item.get("CodeMeaning"))
    return any(element.value not in (None, "", []) for element in item)


def _with_point(text: str) -> str:
    return re.sub(r"^([+-]?\d+),(\d+)$", r"\1.\2", text)


def _without_marks(text: str) -> str:
    """Return a date or a time without what ACR-NEMA put between its parts."""
    return re.sub(r"[.:-](?=\d\d(?:\D|$))", "", text) if len(text) <= len(
        "2000.01.01"
    ) else text  # fmt: skip


def _age(text: str) -> str:
    match = re.fullmatch(r"(\d{1,3}) ?([DWMY])", text.upper())
    return f"{int(match[1]):03d}{match[2]}" if match else text


_MENDED: Mapping[str, Callable[[str], str]] = {
    "AS": _age,
    "CS": str.upper,
    "DA": _without_marks,
    "DS": _with_point,
    "TM": _without_marks,
    "UI": str.strip,
}

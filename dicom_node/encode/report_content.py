"""What an SR of ours says, without DICOM around it: for messages of other standards.

It is taken from the object itself, so that codes, units and numbers are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes

_LANGUAGE = codes.DCM.LanguageOfContentItemAndDescendants.value
_PROCEDURE = codes.DCM.ProcedureReported.value
_SUMMARY = codes.DCM.Summary.value
_MEASUREMENTS = codes.DCM.ImagingMeasurements.value
_FINDING = codes.DCM.Finding.value
_SITE = "363698007"
_COMMENT = codes.DCM.Comment.value
_TRACKING, _TRACKING_UID = "112039", "112040"
_ALGORITHM = frozenset({"111001", "111003"})
_QUALIFIERS = frozenset({"114006", "114007"})
"""In place of a value that could not be had (CID 42)."""
_MODIFIER, _PROPERTY = "HAS CONCEPT MOD", "HAS PROPERTIES"


@dataclass(frozen=True, slots=True)
class Coded:
    """A code with its meaning, in the language of the report."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as the SR writes it, and its unit (UCUM)."""

    number: str
    unit: Coded


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One number or evaluation.

    Parameters
    ----------
    is_absent
        `value` says why there is none.
    modifiers
        They narrow the concept, and are part of its name.
    properties
        Of the value, such as its uncertainty.
    remark
        In words; empty if there is none.
    """

    concept: Coded
    value: Quantity | Coded | str
    is_absent: bool = False
    modifiers: tuple[Item, ...] = ()
    properties: tuple[Item, ...] = ()
    remark: str = ""

    @property
    def name(self) -> str:
        """The concept with what narrows it, for people."""
        narrowed = (one.value for one in self.modifiers)
        words = [one.meaning for one in narrowed if isinstance(one, Coded)]
        return ", ".join((self.concept.meaning, *words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What was found at one structure."""

    label: str
    uid: str
    site: Coded
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """What an SR of ours says.

    Parameters
    ----------
    header
        Its dataset without the content.
    language
        RFC 5646.
    paragraph
        What is to be pasted into a report; empty if there is none.
    remarks
        Warnings, and what has no place on an image.
    source_uid
        Series Instance UID of what was measured.
    """

    header: Dataset
    language: str
    title: Coded
    procedure: Coded
    paragraph: str
    remarks: tuple[str, ...]
    groups: tuple[Group, ...]
    source_uid: str

    def said(self, keyword: str) -> str:
        """Return an attribute of the SR as text; empty if it has none."""
        value = self.header.get(keyword)
        if isinstance(value, MultiValue):
            return "\\".join(map(str, value)).strip()
        return "" if value is None else str(value).strip()

    @property
    def uid(self) -> str:
        """SOP Instance UID of the SR."""
        return str(self.header.SOPInstanceUID)

    @property
    def replaces(self) -> str:
        """SOP Instance UID of the SR that this one replaces; empty if it does none."""
        for study in self.header.get("PredecessorDocumentsSequence") or ():
            for series in study.ReferencedSeriesSequence:
                return str(series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        return ""


def report_content(path: Path) -> ReportContent:
    """Read an SR that our encoder has written."""
    root = dcmread(path)
    content = {
        name: [item for item in root.ContentSequence if _name(item) == name]
        for name in (_LANGUAGE, _PROCEDURE, _SUMMARY, _MEASUREMENTS, _COMMENT)
    }
    summary = content[_SUMMARY][0].ContentSequence if content[_SUMMARY] else ()
    said = {
        name: tuple(str(one.TextValue) for one in summary if _name(one) == name)
        for name in (_FINDING, _COMMENT)
    }
    paragraph = "\n".join(said[_FINDING] or said[_COMMENT])
    measured = content[_MEASUREMENTS]
    evidence = root.CurrentRequestedProcedureEvidenceSequence[0]
    return ReportContent(
        header=root,
        language=content[_LANGUAGE][0].ConceptCodeSequence[0].CodeValue,
        title=_coded(root.ConceptNameCodeSequence),
        procedure=_coded(content[_PROCEDURE][0].ConceptCodeSequence),
        paragraph=paragraph,
        remarks=tuple(str(one.TextValue) for one in content[_COMMENT]),
        groups=tuple(_merged(measured[0].ContentSequence if measured else ())),
        source_uid=str(evidence.ReferencedSeriesSequence[0].SeriesInstanceUID),
    )


def _merged(groups: Sequence[Dataset]) -> Iterator[Group]:
    """Yield the groups; what one says in two, for its outline and its segment, once."""
    found: dict[str, Group] = {}
    for group in groups:
        children = {_name(one): one for one in group.ContentSequence}
        uid = str(children[_TRACKING_UID].UID)
        before = found[uid].items if uid in found else ()
        items = (*before, *_items(group))
        found[uid] = Group(
            label=str(children[_TRACKING].TextValue),
            uid=uid,
            site=_coded(children[_SITE].ConceptCodeSequence),
            items=tuple(dict.fromkeys(items)),
        )
    yield from found.values()


def _items(group: Dataset) -> Iterator[Item]:
    made = [
        _item(one)
        for one in group.ContentSequence
        if one.RelationshipType == "CONTAINS"
        and one.ValueType in ("NUM", "CODE")
        and _name(one) != _FINDING
    ]
    for item in made:
        # A number that stands bare for viewers, and once more with all that is known.
        is_bare = not (item.modifiers or item.properties)
        if not (is_bare and any(_says_more(one, item) for one in made)):
            yield item


def _says_more(item: Item, bare: Item) -> bool:
    is_same = (item.concept, item.value) == (bare.concept, bare.value)
    return is_same and bool(item.modifiers or item.properties)


def _item(item: Dataset) -> Item:
    below = item.get("ContentSequence") or ()
    value = _value(item)
    return Item(
        concept=_coded(item.ConceptNameCodeSequence),
        value=value,
        is_absent=isinstance(value, Coded) and value.value in _QUALIFIERS,
        modifiers=tuple(
            _item(one) for one in below if one.RelationshipType == _MODIFIER
        ),
        properties=tuple(
            _item(one)
            for one in below
            if one.RelationshipType == _PROPERTY and _name(one) != _COMMENT
        ),
        remark="\n".join(str(one.TextValue) for one in below if _name(one) == _COMMENT),
    )


def _value(item: Dataset) -> Quantity | Coded | str:
    if item.ValueType == "NUM":
        measured = item.MeasuredValueSequence[0]
        number = measured["NumericValue"].value
        text = getattr(number, "original_string", None) or str(number)
        return Quantity(text.strip(), _coded(measured.MeasurementUnitsCodeSequence))
    if item.ValueType == "CODE":
        return _coded(item.ConceptCodeSequence)
    return str(item.TextValue)


def _name(item: Dataset) -> str:
    named = item.get("ConceptNameCodeSequence")
    return str(named[0].CodeValue) if named else ""


def _coded(sequence: Sequence[Dataset]) -> Coded:
    code = sequence[0]
    value = (
        code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue")
    )
    return Coded(str(value), str(code.CodingSchemeDesignator), str(code.CodeMeaning))

"""Whether two objects are of one patient; the identity itself is shown nowhere."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_node.decode import attribute_values

_WILD = frozenset("*?\\")
"""Wild cards (PS3.4 C.2.2.2.4), and what parts values: they would widen a query."""
_SEXES = frozenset({"M", "F", "O"})
_PARTS = ("patient_id", "issuer", "name", "birth_date", "sex")
_GROUPS, _IDEOGRAPHIC = 3, 1
"""Of a PN, and which of them is the ideographic one (PS3.5 6.2.1.2)."""
_STATED_ONCE = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Identity:
    """Who an object is of, in a form that can be compared; empty where not stated.

    Without a `repr`, so that no log or traceback shows it.

    Parameters
    ----------
    name
        The first of its writings.
    writings
        Of the name: alphabetic, ideographic, phonetic.
    """

    patient_id: str
    issuer: str
    name: str
    birth_date: str
    sex: str
    writings: tuple[str, ...]

    @property
    def stated(self) -> dict[str, str]:
        """All but the other writings of the name, by what it is called."""
        return {part: getattr(self, part) for part in _PARTS}

    @property
    def is_searchable(self) -> bool:
        """Whether the patient ID can be asked for and matches itself alone."""
        return bool(self.patient_id) and not _WILD & set(self.patient_id)

    def refusal(self, other: Identity, *, is_whole: bool) -> str:
        """Return why another object must not be taken for this patient's.

        Parameters
        ----------
        is_whole
            Whether `other` comes from an object. An answer to a query may leave parts
            out; an object that leaves out all but the ID is not enough, for IDs are
            mistyped, reused, and the same in two hospitals.

        Returns
        -------
        str
            Empty if nothing speaks against it; else one of `other_patient_id`,
            `other_issuer`, `other_name`, `other_birth_date`, `other_sex`,
            `identity_unsure`.
        """
        if self.patient_id != other.patient_id:
            return "other_patient_id"
        for part, one in self.stated.items():
            two = other.stated[part]
            is_other = (
                self._is_called_otherwise(other) if part == "name" else one != two
            )
            if one and two and is_other:
                return f"other_{part}"
        agree = (self.name and other.name) or (self.birth_date and other.birth_date)
        return "identity_unsure" if is_whole and not agree else ""

    def _is_called_otherwise(self, other: Identity) -> bool:
        """Tell whether no writing of the name is the same, or the ideographic differ.

        A system that knows one writing has it in the first place, whichever it is.
        Names that sound alike are romanised alike; ideographs have variants, which
        some systems replace, so that they decide only where no birth date does.
        """
        same = {
            (mine, theirs)
            for mine, one in enumerate(self.writings)
            for theirs, two in enumerate(other.writings)
            if one and two
            and (one == two if mine == theirs else _joined(one) == _joined(two))
        }  # fmt: skip
        if not same:
            return True
        one, two = self.writings[_IDEOGRAPHIC], other.writings[_IDEOGRAPHIC]
        is_matched = any(_IDEOGRAPHIC in pair for pair in same)
        has_same_birth = bool(self.birth_date) and self.birth_date == other.birth_date
        is_other = bool(one and two) and _joined(one) != _joined(two)
        return is_other and not is_matched and not has_same_birth


def identity_of(dataset: Dataset) -> Identity:
    """Read the identity of an object or of an answer to a query.

    References
    ----------
    PS3.3 C.7.1.1 Patient. PS3.5 6.2: spaces around an LO mean nothing, the case of its
    letters and its leading zeros do; a date was once written with full stops.
    """
    sex = attribute_values.text(dataset, "PatientSex").upper()
    writings = _writings(attribute_values.text(dataset, "PatientName"))
    return Identity(
        patient_id=patient_id_of(dataset),
        issuer=attribute_values.text(dataset, "IssuerOfPatientID"),
        # An archive may answer with fewer.
        name=next(filter(None, writings), ""),
        birth_date=attribute_values.text(dataset, "PatientBirthDate").replace(".", ""),
        sex=sex if sex in _SEXES else "",
        writings=writings,
    )


def patient_id_of(dataset: Dataset) -> str:
    """Return the ID whole: one with a backslash in it is read as several."""
    value = attribute_values.raw(dataset, "PatientID")
    parts = value if isinstance(value, MutableSequence) else [value]
    return "\\".join(str(part).strip(" \0") for part in parts if part is not None)


def _writings(text: str) -> tuple[str, ...]:
    """Return the writings of a name without what systems do as they please.

    Case, and empty components at the end (PS3.5 6.2.1.1).
    """
    groups = (*text.split("="), "", "")[:_GROUPS]
    return tuple(
        "^".join(part.strip() for part in group.strip(" ^").split("^")).casefold()
        for group in groups
    )


def _joined(writing: str) -> str:
    """Return a writing as one word: not every system parts ideographs."""
    return writing.replace("^", "").replace(" ", "")


def complete_patients(instances: Sequence[Dataset]) -> None:
    """Write into each instance of a series what others state of the patient.

    Changes instances that leave something empty. They must be of one patient.
    """
    for keyword in _STATED_ONCE:
        stated = [one for one in instances if attribute_values.text(one, keyword)]
        if not stated or len(stated) == len(instances):
            continue
        for instance in instances:
            if not attribute_values.text(instance, keyword):
                _take_over(keyword, instance, stated[0])


def _take_over(keyword: str, instance: Dataset, other: Dataset) -> None:
    """Copy an attribute of another, as it came where both have one character set."""
    labels = [
        attribute_values.words(each, "SpecificCharacterSet")
        for each in (instance, other)
    ]
    if labels[0] == labels[1]:
        instance[keyword] = other.get_item(keyword)
    else:
        setattr(instance, keyword, str(attribute_values.raw(other, keyword)))

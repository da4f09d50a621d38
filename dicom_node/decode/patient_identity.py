"""Whether two objects are of one patient; the identity itself is shown nowhere."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass, fields

from pydicom.dataset import Dataset

from dicom_node.decode import attribute_values

_WILD = frozenset("*?\\")
"""Wild cards (PS3.4 C.2.2.2.4), and what parts values: they would widen a query."""
_SEXES = frozenset({"M", "F", "O"})
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
    """

    patient_id: str
    issuer: str
    name: str
    birth_date: str
    sex: str

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
        for part in fields(self):
            one, two = getattr(self, part.name), getattr(other, part.name)
            if one and two and one != two:
                return f"other_{part.name}"
        agree = (self.name and other.name) or (self.birth_date and other.birth_date)
        return "identity_unsure" if is_whole and not agree else ""


def identity_of(dataset: Dataset) -> Identity:
    """Read the identity of an object or of an answer to a query.

    References
    ----------
    PS3.3 C.7.1.1 Patient. PS3.5 6.2: spaces around an LO mean nothing, the case of its
    letters and its leading zeros do; a date was once written with full stops.
    """
    sex = attribute_values.text(dataset, "PatientSex").upper()
    return Identity(
        patient_id=patient_id_of(dataset),
        issuer=attribute_values.text(dataset, "IssuerOfPatientID"),
        name=_name(attribute_values.text(dataset, "PatientName")),
        birth_date=attribute_values.text(dataset, "PatientBirthDate").replace(".", ""),
        sex=sex if sex in _SEXES else "",
    )


def patient_id_of(dataset: Dataset) -> str:
    """Return the ID whole: one with a backslash in it is read as several."""
    value = attribute_values.raw(dataset, "PatientID")
    parts = value if isinstance(value, MutableSequence) else [value]
    return "\\".join(str(part).strip(" \0") for part in parts if part is not None)


def _name(text: str) -> str:
    """Return a name without what its writers do as they please.

    Case, and empty components at its end (PS3.5 6.2.1.1). Of several component groups
    the first that is not empty counts: an archive may answer with fewer.
    """
    groups = (group.strip(" ^") for group in text.split("="))
    first = next((group for group in groups if group), "")
    return "^".join(part.strip() for part in first.split("^")).casefold()


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

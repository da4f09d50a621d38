"""Coded concepts and units, in the words of DICOM but without DICOM."""

from __future__ import annotations

from dataclasses import dataclass

MAX_CODE_VALUE_CHARS = 16
"""Code Value (0008,0100) is an SH (PS3.5 6.2)."""
MAX_MEANING_CHARS = 64
"""Code Meaning (0008,0104) is an LO (PS3.5 6.2)."""


@dataclass(frozen=True, slots=True)
class Concept:
    """A coded concept: value, coding scheme designator, meaning.

    Raises
    ------
    ValueError
        If a part is empty or longer than its value representation allows.

    References
    ----------
    PS3.3 8.8, Code Sequence Macro.
    """

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        for name, text, limit in (
            ("value", self.value, MAX_CODE_VALUE_CHARS),
            ("scheme", self.scheme, MAX_CODE_VALUE_CHARS),
            ("meaning", self.meaning, MAX_MEANING_CHARS),
        ):
            if not 0 < len(text) <= limit:
                message = f"{name}: expected 1 to {limit} characters, got {text!r}"
                raise ValueError(message)


PRIVATE_SCHEME = "99LUMBAR"
"""Our coding scheme, for quantities that no standard scheme names.

A private designator starts with 99 (PS3.16 8.2)."""

# Units, UCUM (PS3.16 CID 7181).
MILLIMETRE = Concept("mm", "UCUM", "millimeter")
SQUARE_MILLIMETRE = Concept("mm2", "UCUM", "square millimeter")
CUBIC_MILLIMETRE = Concept("mm3", "UCUM", "cubic millimeter")
DEGREE = Concept("deg", "UCUM", "degree")
RATIO = Concept("{ratio}", "UCUM", "ratio")
MILLISECOND = Concept("ms", "UCUM", "millisecond")
TESLA = Concept("T", "UCUM", "tesla")
PER_CENT = Concept("%", "UCUM", "percent")
NO_UNITS = Concept("1", "UCUM", "no units")

# What is measured of a structure, and where on it.
HEIGHT = Concept("121207", "DCM", "Height")
DEPTH = Concept("131197000", "SCT", "Depth")
VOLUME = Concept("118565006", "SCT", "Volume")
AREA = Concept("42798000", "SCT", "Area")
DERIVATION = Concept("121401", "DCM", "Derivation")
MEAN = Concept("373098007", "SCT", "Mean")
TOPOGRAPHY = Concept("106233006", "SCT", "Topographical modifier")
ANTERIOR = Concept("255549009", "SCT", "Anterior")
MIDDLE = Concept("C25569", "NCIt", "Middle")
POSTERIOR = Concept("255551008", "SCT", "Posterior")

# What a report says of a change; no standard scheme names that none was shown.
NO_DETECTABLE_CHANGE = Concept(
    "CHANGE-NONE", PRIVATE_SCHEME, "No change that could be shown"
)
DECREASED = Concept("CHANGE-LESS", PRIVATE_SCHEME, "Decreased")
INCREASED = Concept("CHANGE-MORE", PRIVATE_SCHEME, "Increased")
EARLIER_VALUE = Concept("EARLIER", PRIVATE_SCHEME, "Value of the earlier examination")
DETECTABLE_CHANGE = Concept("MDC", PRIVATE_SCHEME, "Minimal detectable change")

# A property of a number: one standard uncertainty to either side (PS3.16 CID 225).
UNCERTAINTY = Concept("371884006", "SCT", "+/-, range of measurement uncertainty")

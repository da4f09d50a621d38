"""How a series was acquired: what must agree for two examinations to compare."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.contract.concepts import PRIVATE_SCHEME, Concept

FIELD_STRENGTH = Concept("130542", "DCM", "Magnetic field strength")
REPETITION_TIME = Concept("REPETITION-TIME", PRIVATE_SCHEME, "Repetition time")
ECHO_TIME = Concept("ECHO-TIME", PRIVATE_SCHEME, "Echo time")
SEQUENCE = Concept("SEQUENCE", PRIVATE_SCHEME, "Scanning sequence")
DIMENSIONS = Concept("DIMENSIONS", PRIVATE_SCHEME, "MR acquisition type")
"""By which a report tells it; DICOM names these attributes, but codes only one."""

_SAME_SHARE = 0.1
"""Times that differ by less are one protocol: scanners round and stretch them."""
_SAME_FIELD_T = 0.1
"""A magnet sold as 1.5 T may state 1.4939 T or 1.494 T."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """How a series was acquired; empty or None where it does not tell.

    Parameters
    ----------
    sequence
        Kinds of sequence, such as `SE`, upper case.
    dimensions
        `2D` or `3D`.
    """

    manufacturer: str = ""
    model: str = ""
    field_strength_t: float | None = None
    sequence: tuple[str, ...] = ()
    dimensions: str = ""
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None

    def differing(self, other: Acquisition) -> tuple[str, ...]:
        """Return the names of the parts in which both are known and differ."""
        texts = (
            ("manufacturer", self.manufacturer, other.manufacturer),
            ("model", self.model, other.model),
            ("sequence", "\\".join(self.sequence), "\\".join(other.sequence)),
            ("dimensions", self.dimensions, other.dimensions),
        )
        found = [
            name
            for name, one, two in texts
            if one and two and one.strip().upper() != two.strip().upper()
        ]
        strengths = self.field_strength_t, other.field_strength_t
        if _differ(*strengths, tolerance=_SAME_FIELD_T):
            found.append("field_strength_t")
        for name in ("repetition_time_ms", "echo_time_ms"):
            one, two = getattr(self, name), getattr(other, name)
            if one and two and _differ(one, two, tolerance=_SAME_SHARE * max(one, two)):
                found.append(name)
        return tuple(found)

    def unknown(self) -> tuple[str, ...]:
        """Return the names of the parts that are not known."""
        return tuple(name for name in self.__slots__ if not getattr(self, name))


def _differ(one: float | None, two: float | None, *, tolerance: float) -> bool:
    return one is not None and two is not None and abs(one - two) > tolerance

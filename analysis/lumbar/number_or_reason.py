"""A number or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.contract.measurement import Absence


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Why a quantity could not be had.

    Parameters
    ----------
    absence
        Its class, as the contract knows it.
    code
        Stable word in `snake_case`, such as `csf_saturated`.
    text
        One sentence for people, with the number and the limit where there is one.
    """

    absence: Absence
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


Value = float | Missing


def ratio(numerator: Value, denominator: Value) -> Value:
    """Divide, or say which part is missing."""
    if isinstance(numerator, Missing):
        return numerator
    if isinstance(denominator, Missing):
        return denominator
    return numerator / denominator

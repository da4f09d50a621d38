"""Percentile curves by level, sex and age.

A curve gives median, spread and skewness of a quantity at each age (the LMS method),
so that a value has a z-score and a percentile. The curves hold for values by the
definitions of the reference only, never for ours in millimetres.

References
----------
Zheng HD et al. Nat Commun 2022;13:841: the values. Cole TJ, Green PJ. Stat Med
1992;11:1305-1319: the method.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from analysis.contract.errors import AnalysisFailed

CURVES_FILE = Path(__file__).with_name("curves.json")
BANDS = ((20, 30), (30, 40), (40, 50), (50, 60), (60, 70), (70, 90))
"""Ages (years) by which the values are published; the upper end belongs to the next."""
BAND_AGES = (25.0, 35.0, 45.0, 55.0, 65.0, 78.0)
"""Where the values of a band are placed: its middle, but below it in the last, in
which there are fewer people the older they are."""
MIN_AGE, MAX_AGE = 20.0, 90.0
_MIDDLE_AGE, _AGE_UNIT = 50.0, 25.0
SEXES = ("f", "m")
BOTH_SEXES = "all"
PARAMETERS = ("dhi", "hdr", "delta_si")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One quantity at one level, by age.

    Parameters
    ----------
    median : three numbers
        Coefficients of 1, t and t squared, where t is the age less 50 years in units
        of 25 years. Beyond the outermost bands' ages the curve stays level.
    log_spread : two numbers
        Of the logarithm of the coefficient of variation: of 1 and t.
    skew
        Power that makes the distribution normal; 1 is normal, towards 0 log-normal.
    counts
        Discs in each of `BANDS`.
    """

    median: tuple[float, float, float]
    log_spread: tuple[float, float]
    skew: float
    counts: tuple[int, ...]

    def median_at(self, age_years: float) -> float:
        """Return the median at an age."""
        return self.value_at(0.0, age_years)

    def z_score(self, value: float, age_years: float) -> float:
        """Return the distance from the median in standard deviations."""
        median, spread = self._at(age_years)
        power = max(value / median, 0.0) ** self.skew
        return float((power - 1) / (self.skew * spread))

    def value_at(self, z_score: float, age_years: float) -> float:
        """Return the value that has a z-score at an age."""
        median, spread = self._at(age_years)
        base = max(1 + self.skew * spread * z_score, 0.0)
        return float(median * base ** (1 / self.skew))

    def count_at(self, age_years: float) -> int:
        """Return how many discs of the person's age band the curve rests on."""
        return self.counts[band_of(age_years)]

    def _at(self, age_years: float) -> tuple[float, float]:
        age = min(max(age_years, BAND_AGES[0]), BAND_AGES[-1])
        t = (age - _MIDDLE_AGE) / _AGE_UNIT
        constant, linear, square = self.median
        level, trend = self.log_spread
        return constant + linear * t + square * t * t, math.exp(level + trend * t)


def band_of(age_years: float) -> int:
    """Return the index in `BANDS` of an age from 20 to 90 years."""
    return sum(age_years >= start for start, _ in BANDS) - 1


def percentile_of(z_score: float) -> float:
    """Return the percentile, 0 to 100, of a z-score."""
    return 50 * math.erfc(-z_score / math.sqrt(2))


@lru_cache(maxsize=1)
def load_curves() -> dict[tuple[str, str, str], Curve]:
    """Read the curves of this package, by parameter, level and sex.

    Sex is `f`, `m`, or `all` where the values are published without it.

    Raises
    ------
    AnalysisFailed
        If the file is missing or damaged.
    """
    try:
        raw: dict[str, Any] = json.loads(CURVES_FILE.read_text(encoding="utf-8"))
        return {
            (row["parameter"], row["level"], row["sex"]): Curve(
                median=tuple(row["median"]),
                log_spread=tuple(row["log_spread"]),
                skew=float(row["skew"]),
                counts=tuple(row["counts"]),
            )
            for row in raw["curves"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{CURVES_FILE.name}: the norms cannot be read"
        raise AnalysisFailed(message) from error

"""Contrast of an MR series, as far as its attributes tell."""

from __future__ import annotations

import re

from analysis.contract.plugin import Weighting
from dicom_node.decode.headers import InstanceHeader

# Spin echo: a long echo time weights by T2; a short echo time weights by T1 if the
# repetition time is short too, else by proton density [1]. Echo time alone decides on
# T2, for 3D sequences with variable flip angles reach it at a repetition time of 1 s.
# Of the 423 lumbar series in SPIDER's overview.csv, T1 has echo times of 7 to 14 ms and
# repetition times of 446 to 746 ms, T2 has 80 to 124 ms and 1000 to 5570 ms [2].
#
# [1] Westbrook C, Talbot J. MRI in Practice, 5th ed. Wiley 2018, chapter 2.
# [2] van der Graaf JW et al. Sci Data 2024;11:264 (SPIDER).
_LONG_ECHO_MS = 60.0
_SHORT_ECHO_MS = 35.0
_T1_MAX_REPETITION_MS = 1300.0
"""T1 spin echo at 3 T reaches 1 s; proton density starts near 2 s."""
_PD_MIN_REPETITION_MS = 1500.0

_CONTRASTS = {
    "T1": Weighting.T1,
    "T2": Weighting.T2,
    "STIR": Weighting.STIR,
    "PROTON_DENSITY": Weighting.PD,
}
"""Acquisition Contrast (0008,9209); every other defined term is OTHER.

PS3.3 C.8.13.3.1.1."""
_NO_CONTRAST = frozenset({"", "UNKNOWN", "MIXED"})

_INVERSION_WORDS = re.compile(r"STIR|FLAIR|\bTIRM?\b|\bT2 ?IR\b")
_SHORT_INVERSION_WORDS = re.compile(r"STIR|\bTIRM?\b")
_SHORT_INVERSION_MS = 300.0
"""Fat gives no signal at 0.69 of its T1: 110 to 260 ms from 0.2 to 3 T. FLAIR, which
takes fluid's, inverts for 700 ms or more, so that fluid is dark [1]."""
_FAT_WORDS = re.compile(
    r"SPAIR|SPIR|FAT[-_ ]?(?:SAT|SUP)|\bFS\b|\bT2W?FS|\bWATER\b|DIXON[-_ ]W"
    r"|FETTGES|FETTS[ÄU]|GRAISSE|GRASA|GRASSO|压脂|抑脂|脂肪抑制"
)
"""Fat suppression in English, German, French, Spanish, Italian and Chinese."""
_OTHER_WORDS = re.compile(r"MYELO|\bDWI|\bDIFF(USION)?\b|\bMEDIC\b|T2\*|\bSWI\b|MAVRIC")
_BEFORE = r"(?<![A-Z0-9])(?:O?SAG|[FT]?SE|S|E)?"
"""What senders write together with the contrast, as in `OSagT2`, `sT2W_TSE`."""
_T1_WORD = re.compile(_BEFORE + r"T1(?![0-9])")
_T2_WORD = re.compile(_BEFORE + r"T2(?![0-9*])")
_PD_WORD = re.compile(_BEFORE + r"(?:PD|DP)W?(?![A-Z0-9])")
_NOT_ALNUM = re.compile(r"[_.\-/]+")

_DIXON_WATER = frozenset({"WATER", "W"})
_DIXON_OTHERS = frozenset({"FAT", "F", "IN_PHASE", "OPP_PHASE", "FAT_FRACTION"})
_FAT_OPTIONS = frozenset({"FS", "FATSAT", "SPIR", "SPAIR", "FAT_SAT"})


def weighting_of(header: InstanceHeader) -> Weighting:
    """Return the contrast of a series by the attributes of one of its instances.

    Enhanced MR says it; else inversion, echo and repetition time tell; else, where
    these are missing, the description. Attributes win over the description, but for
    inversion recovery and fat suppression, which senders often only write there.
    FLAIR is `Weighting.OTHER`, and so is inversion of unknown time and name.
    """
    weighting = _by_attributes(header)
    if weighting is Weighting.UNKNOWN:
        weighting = _by_description(header)
    if weighting is Weighting.OTHER or _is_special(header):
        return Weighting.OTHER
    if _has_inversion(header):
        return Weighting.STIR if _has_short_inversion(header) else Weighting.OTHER
    if weighting is Weighting.T2 and _has_fat_suppression(header):
        return Weighting.T2_FAT_SUPPRESSED
    return weighting


def is_stated(header: InstanceHeader) -> bool:
    """Tell whether attributes, not the description alone, give the contrast."""
    return _by_attributes(header) is not Weighting.UNKNOWN


def _by_attributes(header: InstanceHeader) -> Weighting:
    if header.contrast not in _NO_CONTRAST:
        return _CONTRASTS.get(header.contrast, Weighting.OTHER)
    if not {"SE", "RM", "IR"}.intersection(header.sequence) and header.sequence:
        return Weighting.OTHER  # gradient echo, echo planar: T2*, not T2
    echo, repetition = header.echo_time_ms or 0.0, header.repetition_time_ms or 0.0
    if echo >= _LONG_ECHO_MS:
        return Weighting.T2
    if 0 < echo <= _SHORT_ECHO_MS and repetition > 0:
        return _by_repetition(repetition)
    return Weighting.UNKNOWN


def _by_repetition(repetition_ms: float) -> Weighting:
    if repetition_ms <= _T1_MAX_REPETITION_MS:
        return Weighting.T1
    if repetition_ms >= _PD_MIN_REPETITION_MS:
        return Weighting.PD
    return Weighting.UNKNOWN


def _by_description(header: InstanceHeader) -> Weighting:
    description = _spaced(header.description)
    found = [
        weighting
        for word, weighting in (
            (_T1_WORD, Weighting.T1),
            (_T2_WORD, Weighting.T2),
            (_PD_WORD, Weighting.PD),
        )
        if word.search(description)
    ]
    return found[0] if len(found) == 1 else Weighting.UNKNOWN


def _has_inversion(header: InstanceHeader) -> bool:
    return (
        header.inversion_recovery
        or "IR" in header.sequence
        or _INVERSION_WORDS.search(_spaced(header.description)) is not None
    )


def _has_short_inversion(header: InstanceHeader) -> bool:
    if header.inversion_time_ms:
        return 0 < header.inversion_time_ms <= _SHORT_INVERSION_MS
    words = _spaced(header.description)
    return header.contrast == "STIR" or _SHORT_INVERSION_WORDS.search(words) is not None


def _is_special(header: InstanceHeader) -> bool:
    return (
        not _DIXON_OTHERS.isdisjoint(header.image_type[2:])
        or _OTHER_WORDS.search(_spaced(header.description)) is not None
    )


def _has_fat_suppression(header: InstanceHeader) -> bool:
    return (
        header.fat_suppressed
        or not _FAT_OPTIONS.isdisjoint(header.options)
        or not _DIXON_WATER.isdisjoint(header.image_type[2:])
        or _FAT_WORDS.search(_spaced(header.description)) is not None
    )


def _spaced(description: str) -> str:
    return _NOT_ALNUM.sub(" ", description.upper())

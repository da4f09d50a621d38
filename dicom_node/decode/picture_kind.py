"""What a picture shows, by the words of its header: anatomy, a map, a phase.

References
----------
PS3.3 C.7.6.1.1.2 and C.8.3.1.1.1 (Image Type), C.8.13.3.1.1 (Frame Type, Complex Image
Component, Acquisition Contrast of enhanced MR); C.8.13.2 Pixel Presentation. The words
of vendors are those of their conformance statements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum


class PictureKind(StrEnum):
    """What a picture shows; the values stand in messages."""

    MAGNITUDE = "magnitude"
    WATER = "water"
    IN_PHASE = "in-phase"
    OPPOSED_PHASE = "opposed-phase"
    FAT = "fat"
    FAT_FRACTION = "fat fraction"
    PHASE = "phase"
    REAL = "real part"
    IMAGINARY = "imaginary part"
    MAP = "parametric map"
    PROJECTION = "projection or reformat"
    SUBTRACTION = "subtraction"
    MOSAIC = "mosaic of slices"
    COLOUR = "colour"


MEASURABLE = (PictureKind.MAGNITUDE, PictureKind.WATER)
"""In the order in which they are wanted: of a Dixon series without a plain picture the
one of water is a T2 with fat suppressed."""

_COMPONENTS = {
    "PHASE": PictureKind.PHASE,
    "REAL": PictureKind.REAL,
    "IMAGINARY": PictureKind.IMAGINARY,
}
"""Complex Image Component (0008,9208); MAGNITUDE and MIXED say nothing against it."""

_WORDS = {
    **dict.fromkeys(("P", "PHASE", "PHASE MAP", "PHASE_MAP"), PictureKind.PHASE),
    **dict.fromkeys(("R", "REAL"), PictureKind.REAL),
    **dict.fromkeys(("I", "IMAGINARY"), PictureKind.IMAGINARY),
    **dict.fromkeys(("W", "WATER", "WATER_FRACTION"), PictureKind.WATER),
    **dict.fromkeys(("F", "FAT"), PictureKind.FAT),
    **dict.fromkeys(("IP", "IN_PHASE", "INPHASE"), PictureKind.IN_PHASE),
    **dict.fromkeys(
        ("OP", "OPP_PHASE", "OUT_PHASE", "OUT_OF_PHASE", "OPPOSED_PHASE", "OUTPHASE"),
        PictureKind.OPPOSED_PHASE,
    ),
    **dict.fromkeys(
        ("FF", "FAT_FRACTION", "FAT_FRAC", "FATFRAC", "FAT FRACTION", "FAT_PERCENTAGE"),
        PictureKind.FAT_FRACTION,
    ),
    **dict.fromkeys(
        ("MPR", "MIP", "MINIP", "MIN_IP", "MNIP", "PROJECTION IMAGE", "REFORMATTED",
         "MAXIMUM", "MINIMUM", "CPR"),
        PictureKind.PROJECTION,
    ),
    **dict.fromkeys(("SUBTRACTION", "SUB"), PictureKind.SUBTRACTION),
    # Siemens: all slices of a volume side by side in one picture.
    "MOSAIC": PictureKind.MOSAIC,
    **dict.fromkeys(
        ("ADC", "EADC", "FA", "TRACEW", "TTP", "MTT", "CBV", "CBF", "VELOCITY",
         "R2STAR", "R2_STAR", "T2STAR", "T2_STAR", "R1", "R2", "R2*", "T2*",
         "PARAMETRIC MAP", "METABOLITE_MAP", "STD_DEVIATION", "T_TEST",
         "Z_SCORE", "DIVISION", "MAP", "QMAP"),
        PictureKind.MAP,
    ),
}  # fmt: skip
_PHILIPS = re.compile(r"([PRIWF])_(?:SE|FFE|TFE|TSE|IR|MSE|GRASE|EPI)")
"""Value 3 of Philips where not MAGNITUDE (`M_SE`): `P_SE`, `R_FFE`, `I_FFE`."""
_MAP_WORD = re.compile(
    r"(?:T1|T2|R1|R2|PD|B0|B1|RHO|FIELD|SUSCEPTIBILITY|PERFUSION|VELOCITY|PROTON_DENSITY)"
    r"(?:[_ ]?(?:STAR|\*))?[_ ]?MAP|R2[_ ]?UNSPECIFIED|.*[_ ]MAP"
)

_MAP_DESCRIPTIONS = re.compile(
    r"(?<![A-Z0-9])(?:T1|T2|R1|R2)(?:\*|[ _]?STAR)?[ _-]?MAP(?:S|PING)?(?![A-Z])"
    r"|(?<![A-Z0-9])R2\*|(?<![A-Z0-9])Q-?(?:T1|T2|R1|R2|PD)(?![A-Z0-9])|(?<![A-Z])ADC(?![A-Z])|PARAMETRIC"
)
_DIXON_BEFORE = re.compile(
    r"^\W*(?P<kind>WATER|FAT|IN[ _-]?PHASE|OUT[ _-]?PHASE|OPP?[ _-]?PHASE"
    r"|FAT[ _-]?FRAC\w*|R2\*|T2\*)\s*:"
)
"""How GE begins the description of a series computed by IDEAL or LAVA-Flex."""
_DIXON_AFTER = re.compile(r"(?:^|[ _-])(?P<kind>W|F|FAT|WATER|IN|OPP|FF|PDFF)\W*$")
"""How Siemens and UIH end the description of a Dixon series: `t2_tse_dixon_sag_opp`."""
_DIXON = re.compile(r"DIXON|IDEAL|FLEX|WFI")
_DIXON_KINDS = {
    "W": PictureKind.WATER,
    "WATER": PictureKind.WATER,
    "F": PictureKind.FAT,
    "FAT": PictureKind.FAT,
    "IN": PictureKind.IN_PHASE,
    "INPHASE": PictureKind.IN_PHASE,
    "OPP": PictureKind.OPPOSED_PHASE,
    "OPPHASE": PictureKind.OPPOSED_PHASE,
    "OPPPHASE": PictureKind.OPPOSED_PHASE,
    "OUTPHASE": PictureKind.OPPOSED_PHASE,
    "FF": PictureKind.FAT_FRACTION,
    "PDFF": PictureKind.FAT_FRACTION,
    "R2*": PictureKind.MAP,
    "T2*": PictureKind.MAP,
}
_COLOURS = frozenset({"COLOR", "MIXED", "TRUE_COLOR"})


def kind_of(
    image_type: Iterable[str],
    *,
    component: str = "",
    presentation: str = "",
    description: str = "",
) -> PictureKind:
    """Return what a picture shows.

    Parameters
    ----------
    image_type
        Image Type (0008,0008) or Frame Type (0008,9007), upper case, all values.
    component
        Complex Image Component (0008,9208).
    presentation
        Pixel Presentation (0008,9205).
    description
        Series Description; it counts where the attributes say nothing else.
    """
    if presentation in _COLOURS:
        return PictureKind.COLOUR
    if component in _COMPONENTS:
        return _COMPONENTS[component]
    found = [_of_word(word) for word in list(image_type)[2:]]
    said = [kind for kind in found if kind is not None]
    # Philips writes `T2 MAP\T2`, GE `PHASE\P`: the first word that tells decides, and
    # any other word than one of water or of a magnitude speaks against measuring.
    for kind in said:
        if kind not in MEASURABLE:
            return kind
    return said[0] if said else _of_description(description.upper())


def _of_word(word: str) -> PictureKind | None:
    if word in _WORDS:
        return _WORDS[word]
    philips = _PHILIPS.fullmatch(word)
    if philips is not None:
        return _WORDS[philips[1]]
    return PictureKind.MAP if _MAP_WORD.fullmatch(word) else None


def _of_description(description: str) -> PictureKind:
    before = _DIXON_BEFORE.match(description)
    if before is not None:
        return _of_dixon(before["kind"])
    if _MAP_DESCRIPTIONS.search(description):
        return PictureKind.MAP
    after = _DIXON_AFTER.search(description)
    if after is not None and _DIXON.search(description):
        return _of_dixon(after["kind"])
    return PictureKind.MAGNITUDE


def _of_dixon(word: str) -> PictureKind:
    plain = re.sub(r"[ _-]", "", word)
    if plain.startswith("FATFRAC"):
        return PictureKind.FAT_FRACTION
    return _DIXON_KINDS[plain]

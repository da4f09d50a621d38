"""The type face that pages are written with where Latin letters are not enough.

Noto Sans CJK SC, cut to Latin, Greek, Cyrillic and GB 2312 (`deploy/typeface/cut.py`),
under the SIL Open Font License 1.1, which lies beside it. What it lacks it draws as a
clear box.
"""

from __future__ import annotations

from pathlib import Path

FACE = Path(__file__).with_name("typeface") / "NotoSansSC-cut.otf"
_BEYOND_LATIN = "\u0250"
"""First character that Pillow's own type face lacks."""
_UNSEEN = {
    ord(one): None
    for one in "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d"
    "\u202e\u2066\u2067\u2068\u2069"
}
"""No width, or another direction: what is drawn must not depend on what is unseen."""


def drawable(text: str) -> str:
    """Return a text as one line that can be drawn whatever it holds."""
    plain = text.translate(_UNSEEN)
    return "".join(_drawable(one) for one in plain)


def is_latin(text: str) -> bool:
    """Tell whether Pillow's own type face has all letters of a text."""
    return max(text, default="") < _BEYOND_LATIN


def _drawable(one: str) -> str:
    if "\ud800" <= one <= "\udfff":  # half of a pair: no character
        return "\ufffd"
    return one if one >= " " and not "\x7f" <= one <= "\x9f" else " "

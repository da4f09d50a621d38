"""Where a line may end.

References
----------
Unicode Standard Annex 14, in the little that pages need: between words, and between
Chinese characters, yet not before what closes nor after what opens.
"""

from __future__ import annotations

import unicodedata

_FIRST_WIDE = "\u2e80"
"""From here on characters stand without spaces between them."""
_SIGN = "\u00b1"
_CLOSING = frozenset({"Pe", "Pf", "Po"})
_OPENING = frozenset({"Ps", "Pi"})
"""Of the categories of Unicode: what ends and what begins something."""


def pieces_of(text: str) -> list[str]:
    """Return a text in pieces after each of which a line may end.

    A piece holds the spaces behind it. Joined, the pieces are the text, with single
    spaces and none at its ends.
    """
    pieces: list[str] = []
    for one in " ".join(text.split()):
        if pieces and not _may_end(pieces[-1], one):
            pieces[-1] += one
        else:
            pieces.append(one)
    return pieces


def _may_end(piece: str, following: str) -> bool:
    """Tell whether a line may end between a piece and the character behind it."""
    last = piece[-1]
    if following == " " or unicodedata.category(following) in _CLOSING:
        return False
    before = piece.rstrip()[-1:]
    if before == _SIGN or unicodedata.category(last) in _OPENING:
        return False
    return last == " " or last >= _FIRST_WIDE or following >= _FIRST_WIDE

"""UIDs and ids derived from their source, so that a retry makes the same object."""

from __future__ import annotations

import hashlib

MANUFACTURER = "lumbar-node"
"""(0008,0070) of everything that we make; what carries it is never analysed again."""

_UUID_BITS = 128
_VERSION, _VARIANT = 8, 0x2


def digest(*parts: str) -> str:
    """Return the SHA-256 of the parts, as 64 hexadecimal digits.

    Parts are length-prefixed, so `("ab", "c")` and `("a", "bc")` differ.
    """
    state = hashlib.sha256()
    for part in parts:
        # A name of a foreign file need not be text.
        encoded = part.encode("utf-8", "surrogatepass")
        state.update(len(encoded).to_bytes(8, "big"))
        state.update(encoded)
    return state.hexdigest()


def derived_uid(*parts: str) -> str:
    """Return a UID that is the same whenever the parts are.

    References
    ----------
    PS3.5 B.2: a UID may be `2.25.` and a UUID as a decimal number. The UUID is of
    version 8, custom (RFC 9562 5.8), filled from a SHA-256.
    """
    number = int(digest(*parts)[: _UUID_BITS // 4], 16)
    number &= ~(0xF << 76) & ~(0x3 << 62)
    number |= (_VERSION << 76) | (_VARIANT << 62)
    return f"2.25.{number}"


def is_derived(uid: str) -> bool:
    """Tell whether a UID has the form of those that `derived_uid` makes.

    One in a hundred of the UIDs that some viewers draw by lot has it too.
    """
    root, _, digits = uid.rpartition(".")
    if root != "2.25" or not digits.isdecimal():
        return False
    number = int(digits)
    return number >> 76 & 0xF == _VERSION and number >> 62 & 0x3 == _VARIANT


def folder_name(uid: str) -> str:
    """Return a file-system name for a UID, however hostile its characters are."""
    return digest(uid)[:32]

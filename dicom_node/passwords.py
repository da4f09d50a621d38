"""Users of the page, and their passwords as scrypt keys.

References
----------
RFC 7914; the parameters are the smallest in memory that the OWASP Password Storage
Cheat Sheet lists: 16 MiB, five times.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

LEAST_CHARS = 12
MOST_CHARS = 256
_N, _R, _P = 2**14, 8, 5
_MOST_N, _MOST_P = 2**17, 16
_MEMORY_BYTES = 160 * 2**20
"""More than `_MOST_N` takes."""
_SALT_BYTES, _KEY_BYTES = 16, 32
_LEAST_SALT_BYTES = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_KIND = "scrypt"
_FIELDS = 7


class PasswordLineError(ValueError):
    """A line that is no user; the message names its number and not its content."""


@dataclass(frozen=True, slots=True)
class PasswordKey:
    """What a password is compared with."""

    n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    def fits(self, password: str) -> bool:
        """Tell whether this is the password; takes a quarter of a second."""
        if len(password) > MOST_CHARS:
            return False
        derived = hashlib.scrypt(
            password.encode("utf-8", "surrogatepass"),
            salt=self.salt,
            n=self.n,
            r=self.r,
            p=self.p,
            maxmem=_MEMORY_BYTES,
            dklen=len(self.key),
        )
        return hmac.compare_digest(derived, self.key)


NOBODY = PasswordKey(_N, _R, _P, b"\0" * _SALT_BYTES, b"\0" * _KEY_BYTES)
"""That of a user who is not there: to find out takes as long as a wrong password."""


def is_user_name(text: str) -> bool:
    """Tell whether a user may be named so."""
    return _NAME.fullmatch(text) is not None


def line_of(user: str, password: str) -> str:
    """Return the line of a password file for a user.

    Raises
    ------
    ValueError
        If the name or the password cannot be one.
    """
    if not is_user_name(user):
        message = f"{user!r} is no user name (1 to 64 of a-z, A-Z, 0-9 and ._@-)"
        raise ValueError(message)
    if not LEAST_CHARS <= len(password) <= MOST_CHARS:
        message = f"a password has {LEAST_CHARS} to {MOST_CHARS} characters"
        raise ValueError(message)
    salt = secrets.token_bytes(_SALT_BYTES)
    key = hashlib.scrypt(
        password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY_BYTES,
        dklen=_KEY_BYTES,
    )  # fmt: skip
    words = (user, _KIND, str(_N), str(_R), str(_P), _text(salt), _text(key))
    return ":".join(words)


def users_in(text: str) -> Mapping[str, PasswordKey]:
    """Return the users of a password file; blank lines and those with # are none.

    Raises
    ------
    PasswordLineError
        If a line is no user, or one stands there twice.
    """
    users: dict[str, PasswordKey] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, key = _user(line.strip(), number)
        if user in users:
            message = f"line {number}: this user stands there twice"
            raise PasswordLineError(message)
        users[user] = key
    return users


def _user(line: str, number: int) -> tuple[str, PasswordKey]:
    words = line.split(":")
    try:
        if len(words) != _FIELDS or words[1] != _KIND or not is_user_name(words[0]):
            raise ValueError  # noqa: TRY301 - one message for all that may be wrong
        n, r, p = (int(word) for word in words[2:5])
        salt, key = (base64.b64decode(word, validate=True) for word in words[5:])
        is_power = n > 1 and n & (n - 1) == 0
        if not (is_power and n <= _MOST_N and r == _R and 1 <= p <= _MOST_P):
            raise ValueError  # noqa: TRY301
        if len(salt) < _LEAST_SALT_BYTES or len(key) != _KEY_BYTES:
            raise ValueError  # noqa: TRY301
    except (ValueError, binascii.Error) as error:
        message = f"line {number}: not made by `lumbar-node password`"
        raise PasswordLineError(message) from error
    return words[0], PasswordKey(n, r, p, salt, key)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()

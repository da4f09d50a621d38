"""What a form carries so that it is sent by our page, by this user, and once.

References
----------
OWASP Cross-Site Request Forgery Prevention Cheat Sheet: HMAC-based tokens.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable

_VALID_S = 3600.0
_MOST_USED = 4096
_NONCE_BYTES = 12
_PARTS = 3


class Tokens:
    """Makes and takes the tokens of forms.

    Parameters
    ----------
    clock
        Returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._used: dict[str, float] = {}

    def make(self, who: str, path: str) -> str:
        """Return a token for one form.

        Parameters
        ----------
        who
            What tells the user, or his session, from every other.
        path
            To which the form is sent.
        """
        until = f"{self._clock() + _VALID_S:.0f}"
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        return f"{until}.{nonce}.{self._mac(who, path, until, nonce)}"

    def take(self, token: str, who: str, path: str) -> bool:
        """Tell whether a token is ours, for this, not too old, and not used before."""
        parts = token.split(".")
        if len(parts) != _PARTS:
            return False
        until, nonce, mac = parts
        expected = self._mac(who, path, until, nonce)
        if not hmac.compare_digest(expected.encode(), mac.encode("utf-8", "replace")):
            return False
        now_s = self._clock()
        if float(until) < now_s or nonce in self._used:
            return False
        self._remember(nonce, float(until), now_s)
        return True

    def _remember(self, nonce: str, until_s: float, now_s: float) -> None:
        self._used[nonce] = until_s
        if len(self._used) > _MOST_USED:
            self._used = {one: at for one, at in self._used.items() if at >= now_s}
        if len(self._used) > _MOST_USED:
            # Rather no form that was made until now than one that is sent twice.
            self._secret = secrets.token_bytes(32)
            self._used.clear()

    def _mac(self, *parts: str) -> str:
        text = "\n".join(parts).encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, text, "sha256").hex()

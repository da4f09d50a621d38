"""Who is asking: a user who has logged in, or whom a reverse proxy names."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from starlette.requests import Request

from dicom_node import log
from dicom_node.node_report import PagePlan
from dicom_node.passwords import NOBODY, PasswordKey, PasswordLineError, users_in

COOKIE = "lumbar-session"
_IDLE_S = 3600.0
_LONGEST_S = 10 * 3600.0
_MOST_SESSIONS = 256
_MOST_NAME_CHARS = 64


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is known by name.

    Parameters
    ----------
    session
        What his forms are bound to.
    has_logged_in
        Here, so that he can log out.
    """

    name: str
    session: str
    has_logged_in: bool


@dataclass(slots=True)
class _Session:
    user: str
    key: PasswordKey
    began_s: float
    seen_s: float


class PasswordFile:
    """The users of a password file, read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._users: Mapping[str, PasswordKey] = {}
        self._trouble = ""

    def users(self) -> Mapping[str, PasswordKey]:
        """Return the users; none while the file cannot be read."""
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._users = users_in(self._path.read_text("utf-8"))
                self._seen, self._trouble = seen, ""
        except (OSError, UnicodeDecodeError, PasswordLineError) as error:
            is_line = isinstance(error, PasswordLineError)
            trouble = str(error) if is_line else type(error).__name__
            if trouble != self._trouble:
                log.error("page_users_unreadable", reason=trouble)
            self._trouble, self._seen, self._users = trouble, None, {}
        return self._users


class Gate:
    """Knows users, and lets them in.

    Parameters
    ----------
    clock
        Returns monotonic seconds.
    """

    def __init__(
        self, plan: PagePlan, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        path = plan.password_file
        self._file = None if path is None else PasswordFile(path)

    @property
    def asks_who(self) -> bool:
        """Whether nobody may look who is not known."""
        return self._plan.asks_who

    @property
    def takes_passwords(self) -> bool:
        """Whether one can log in here."""
        return self._file is not None

    def user_of(self, request: Request) -> User | None:
        """Return who is asking; None if nobody we know."""
        name = self._named_by_proxy(request)
        if name:
            return User(name, f"proxy {name}", has_logged_in=False)
        return self._in_session(request.cookies.get(COOKIE, ""))

    def fits(self, name: str, password: str) -> PasswordKey | None:
        """Return the key of a user whose password this is; takes a while."""
        users = {} if self._file is None else self._file.users()
        key = users.get(name, NOBODY)
        return key if key.fits(password) and name in users else None

    def begin(self, name: str, key: PasswordKey) -> str:
        """Begin a session, and return the word by which its cookie is known."""
        word = secrets.token_urlsafe(32)
        now_s = self._clock()
        while len(self._sessions) >= _MOST_SESSIONS:
            oldest = min(self._sessions, key=lambda one: self._sessions[one].seen_s)
            del self._sessions[oldest]
        self._sessions[_hidden(word)] = _Session(name, key, now_s, now_s)
        return word

    def end(self, user: User) -> None:
        """End a session."""
        self._sessions.pop(user.session, None)

    def _in_session(self, word: str) -> User | None:
        if not word or self._file is None:
            return None
        name = _hidden(word)
        session = self._sessions.get(name)
        if session is None:
            return None
        now_s = self._clock()
        is_over = (
            now_s - session.seen_s > _IDLE_S
            or now_s - session.began_s > _LONGEST_S
            or self._file.users().get(session.user) != session.key
        )
        if is_over:
            del self._sessions[name]
            return None
        session.seen_s = now_s
        return User(session.user, name, has_logged_in=True)

    def _named_by_proxy(self, request: Request) -> str:
        client = request.client
        if not self._plan.proxy_address or client is None:
            return ""
        if ip_address(client.host) != ip_address(self._plan.proxy_address):
            return ""
        names = request.headers.getlist(self._plan.proxy_header)
        if len(names) != 1:
            return ""
        name = names[0].strip()
        is_name = name.isprintable() and 0 < len(name) <= _MOST_NAME_CHARS
        return name if is_name else ""


def _hidden(word: str) -> str:
    """Return what is kept of the word of a session: it does not open one."""
    return hashlib.sha256(os.fsencode(word)).hexdigest()

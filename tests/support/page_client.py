"""A browser without a window or a script: cookies, links and forms of the page."""

from __future__ import annotations

import html
import http.client
import re
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.support.peers import HOST

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; status 0 if nothing did."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def leads_to(self) -> str:
        """The address to which it leads; empty if to none."""
        return self.headers.get("location", "")


@dataclass
class PageClient:
    """Asks one port, and keeps the cookies that it is given."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a page."""
        return self._ask("GET", path, None, headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Send a form."""
        return self._ask("POST", path, urlencode(fields), headers)

    def token(self, at: str, path: str) -> str:
        """Return the token of the form on one page that is sent to a path."""
        text = self.get(at).text
        field = r'<input[^>]*name="token" value="([^"]+)"'
        form = re.search(rf'action="{re.escape(path)}"[^>]*>\s*{field}', text)
        assert form is not None, f"no form for {path} at {at}: {text}"
        return html.unescape(form[1])

    def send(self, at: str, path: str, **fields: str) -> Answer:
        """Send a form of one page, as a browser does."""
        return self.post(path, {"token": self.token(at, path), **fields})

    def log_in(self, user: str, password: str) -> Answer:
        """Log in."""
        return self.send("/login", "/login", user=user, password=password, next="/")

    def _ask(
        self, method: str, path: str, body: str | None, more: dict[str, str]
    ) -> Answer:
        headers = {"Content-Type": FORM} if body is not None else {}
        if self.cookies:
            pairs = (f"{name}={value}" for name, value in self.cookies.items())
            headers["Cookie"] = "; ".join(pairs)
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            for line in response.headers.get_all("Set-Cookie") or []:
                name, _, value = line.partition(";")[0].partition("=")
                self.cookies[name] = value
            return Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.getheaders()},
                text=response.read().decode(),
            )
        except (OSError, http.client.HTTPException):
            return Answer(status=0)
        finally:
            connection.close()

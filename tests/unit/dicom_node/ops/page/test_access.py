"""Who is let in, and which forms are taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from dicom_node import passwords
from dicom_node.node_report import PagePlan
from dicom_node.ops.page import tokens
from dicom_node.ops.page.forms import is_from_here
from dicom_node.ops.page.pages import safe_path
from dicom_node.ops.page.tokens import Tokens
from dicom_node.ops.page.users import COOKIE, Gate
from dicom_node.passwords import PasswordLineError, line_of, users_in

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_N", 2)
    monkeypatch.setattr(passwords, "_P", 1)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def request(client: str = "127.0.0.1", **headers: str) -> Request:
    named = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/", "query_string": b"",
        "headers": named, "client": (client, 1), "server": ("127.0.0.1", 80),
        "scheme": "http",
    }  # fmt: skip
    return Request(scope)


def test_a_token_is_taken_once_by_whom_and_for_what_it_was_made() -> None:
    made = Tokens(Clock())
    token = made.make("ann", "/jobs/1/retry")
    assert not made.take(token, "bob", "/jobs/1/retry")
    assert not made.take(token, "ann", "/jobs/2/retry")
    assert not made.take(token, "ann", "/jobs/1/cancel")
    assert not Tokens(Clock()).take(token, "ann", "/jobs/1/retry")
    assert made.take(token, "ann", "/jobs/1/retry")
    assert not made.take(token, "ann", "/jobs/1/retry")


@pytest.mark.parametrize(
    "token", ["", "..", "a.b.c", "1.2.3.4", "9e9.x.\N{SNOWMAN}", "9999999999.x."]
)
def test_what_is_no_token_is_not_taken(token: str) -> None:
    assert not Tokens(Clock()).take(token, "ann", "/")


def test_a_token_is_too_old_after_an_hour() -> None:
    clock = Clock()
    made = Tokens(clock)
    early, late = made.make("", "/"), made.make("", "/")
    clock.now_s += 3599
    assert made.take(early, "", "/")
    clock.now_s += 2
    assert not made.take(late, "", "/")


def test_no_token_is_taken_twice_however_many_were_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "_MOST_USED", 10)
    made = Tokens(Clock())
    used = [made.make("", "/") for _ in range(10)]
    assert all(made.take(one, "", "/") for one in used)
    last = made.make("", "/")
    assert made.take(last, "", "/")
    assert not any(made.take(one, "", "/") for one in (*used, last))
    assert made.take(made.make("", "/"), "", "/")


def gate(tmp_path: Path, clock: Clock, *users: str) -> Gate:
    path = tmp_path / "users"
    path.write_text("\n".join(line_of(user, PASSWORD) for user in users))
    return Gate(PagePlan(peers=(), password_file=path), clock)


def logged_in(gate: Gate, user: str) -> str:
    key = gate.fits(user, PASSWORD)
    assert key is not None
    return f"{COOKIE}={gate.begin(user, key)}"


def test_only_the_right_password_of_a_user_fits(tmp_path: Path) -> None:
    door = gate(tmp_path, Clock(), "ann")
    assert door.fits("ann", PASSWORD) is not None
    for name, password in (
        ("ann", PASSWORD + " "), ("ann", ""), ("bob", PASSWORD), ("", ""),
        ("ann", "x" * 10_000), ("ann", "\ud800"),
    ):  # fmt: skip
        assert door.fits(name, password) is None


def test_a_session_ends_when_it_is_left_or_the_user_is_removed(tmp_path: Path) -> None:
    clock = Clock()
    door = gate(tmp_path, clock, "ann", "bob")
    ann, bob = logged_in(door, "ann"), logged_in(door, "bob")
    user = door.user_of(request(cookie=ann))
    assert user is not None
    assert (user.name, user.has_logged_in) == ("ann", True)
    assert door.user_of(request(cookie=f"{COOKIE}=x")) is None
    assert door.user_of(request(cookie=f"{COOKIE}={user.session}")) is None
    (tmp_path / "users").write_text("# nobody but\n" + line_of("bob", PASSWORD) + "\n")
    assert door.user_of(request(cookie=ann)) is None
    # His line is another one: whoever gave him a new password wants the old one gone.
    assert door.user_of(request(cookie=bob)) is None
    bob = logged_in(door, "bob")
    for _ in range(9):
        clock.now_s += 3600
        assert door.user_of(request(cookie=bob)) is not None
    clock.now_s += 3601
    assert door.user_of(request(cookie=bob)) is None
    bob = logged_in(door, "bob")
    user = door.user_of(request(cookie=bob))
    assert user is not None
    door.end(user)
    assert door.user_of(request(cookie=bob)) is None


def test_no_session_lasts_longer_than_ten_hours(tmp_path: Path) -> None:
    clock = Clock()
    door = gate(tmp_path, clock, "ann")
    ann = logged_in(door, "ann")
    seen = []
    for _ in range(12):
        seen.append(door.user_of(request(cookie=ann)) is not None)
        clock.now_s += 3599
    assert seen == [True] * 11 + [False]


def test_a_password_file_that_cannot_be_read_lets_nobody_in(tmp_path: Path) -> None:
    door = gate(tmp_path, Clock(), "ann")
    ann = logged_in(door, "ann")
    good = (tmp_path / "users").read_text()
    for bad in (b"ann:secret\n", b"\xff\xfe", b""):
        (tmp_path / "users").write_bytes(bad)
        assert door.user_of(request(cookie=ann)) is None
        assert door.fits("ann", PASSWORD) is None
    (tmp_path / "users").unlink()
    assert door.fits("ann", PASSWORD) is None
    (tmp_path / "users").write_text(good)
    assert door.fits("ann", PASSWORD) is not None


def test_a_proxy_is_believed_from_its_address_alone() -> None:
    door = Gate(
        PagePlan(peers=(), proxy_address="10.0.0.5", proxy_header="X-Remote-User")
    )
    named = door.user_of(request("10.0.0.5", x_remote_user="Dr. Ann"))
    assert named is not None
    assert (named.name, named.has_logged_in) == ("Dr. Ann", False)
    assert door.user_of(request("10.0.0.6", x_remote_user="ann")) is None
    assert door.user_of(request("10.0.0.5")) is None
    for name in ("", " ", "a" * 65, "a\x7fb"):
        assert door.user_of(request("10.0.0.5", x_remote_user=name)) is None
    # The client may have sent one, and the proxy have added its own.
    twice = request("10.0.0.5", x_remote_user="ann")
    twice.scope["headers"].append((b"x-remote-user", b"root"))
    assert door.user_of(Request(twice.scope)) is None


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        ({}, True),
        ({"origin": "http://node.example:11180"}, True),
        ({"origin": "http://[::1]:11180"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://[evil"}, False),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "http://node.example"}, False),
    ],
)
def test_a_form_of_another_site_is_known(
    headers: dict[str, str], is_ours: bool
) -> None:
    hosts = frozenset({"node.example", "[::1]"})
    assert is_from_here(request(**headers), hosts) is is_ours


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/jobs?state=failed", "/jobs?state=failed"),
        ("/jobs/ab#x", "/jobs/ab"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("jobs", "/"),
        ("", "/"),
        ("http://[", "/"),
    ],
)
def test_nobody_is_led_away_after_he_has_logged_in(text: str, path: str) -> None:
    assert safe_path(text) == path


@pytest.mark.parametrize(
    "line",
    [
        "ann", "ann:secret", "ann:scrypt:16384:8:5:AAAA:AAAA",
        "ann:scrypt:16383:8:5:{s}:{k}", "ann:scrypt:1048576:8:5:{s}:{k}",
        "ann:scrypt:16384:8:500:{s}:{k}", "ann:scrypt:16384:8:0:{s}:{k}",
        "ann:bcrypt:16384:8:5:{s}:{k}", "a b:scrypt:16384:8:5:{s}:{k}",
        "ann:scrypt:16384:8:5:!!:{k}", ":scrypt:16384:8:5:{s}:{k}",
    ],
)  # fmt: skip
def test_a_line_that_is_no_user_is_told_by_its_number(line: str) -> None:
    *_, salt, key = line_of("ann", PASSWORD).split(":")
    text = "# users\n\n" + line.format(s=salt, k=key)
    with pytest.raises(PasswordLineError, match=r"^line 3: ") as caught:
        users_in(text)
    assert key not in str(caught.value)
    assert set(users_in(line_of("ann", PASSWORD))) == {"ann"}


def test_a_user_stands_in_the_file_once_and_has_a_long_password() -> None:
    line = line_of("ann", PASSWORD)
    assert line != line_of("ann", PASSWORD)
    with pytest.raises(PasswordLineError, match="line 2: this user stands there twice"):
        users_in(f"{line}\n{line}")
    for user, password in (("ann", "x" * 11), ("ann", "x" * 257), ("a:b", PASSWORD)):
        with pytest.raises(ValueError, match=r"."):
            line_of(user, password)

"""Who may look at the page, and do something there, by the settings."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from dicom_node.cli.main import main
from dicom_node.errors import SettingsError
from dicom_node.passwords import users_in
from dicom_node.settings.load import load
from dicom_node.settings.ops_plan import ops_plan
from dicom_node.settings.sections import Settings

REST = """\
version: 1
spool: {folder: spool}
peers: {pacs: {ae_title: PACS, host: pacs.example, port: 104}}
routes: [{name: lumbar, deliver_to: [pacs]}]
"""


def loaded(folder: Path, ops: str) -> Settings:
    path = folder / "node.yaml"
    path.write_text(f"ops: {ops}\n{REST}")
    return load(path, analyses=["lumbar-mri"])


def test_there_is_no_page_unless_the_settings_say_so_and_then_it_only_shows(
    tmp_path: Path,
) -> None:
    assert ops_plan(loaded(tmp_path, "{}")).page is None
    page = ops_plan(loaded(tmp_path, "{page: {}}")).page
    assert page is not None
    assert (page.actions, page.patient_data, page.asks_who) == (False, False, False)
    (peer,) = page.peers
    assert (peer.name, peer.ae_title, peer.port) == ("pacs", "PACS", 104)


def test_the_password_file_is_taken_from_the_folder_of_the_settings(
    tmp_path: Path,
) -> None:
    (tmp_path / "users").write_text("# nobody yet\n")
    page = "{page: {password_file: users, actions: true}}"
    plan = ops_plan(loaded(tmp_path, page))
    assert plan.page is not None
    assert plan.page.password_file == tmp_path / "users"
    assert plan.page.asks_who


def test_a_proxy_names_users_in_one_header(tmp_path: Path) -> None:
    proxy = "{address: '::1', user_header: X-User}"
    page = ops_plan(loaded(tmp_path, f"{{page: {{proxy: {proxy}}}}}")).page
    assert page is not None
    assert (page.proxy_address, page.proxy_header) == ("::1", "X-User")


@pytest.mark.parametrize(
    ("ops", "told"),
    [
        (
            "{page: {actions: true}}",
            "1 ops.page.actions: true needs ops.page.password_file or ops.page.proxy: "
            "whoever looks has to be known by name",
        ),
        (
            "{page: {patient_data: true}}",
            "1 ops.page.patient_data: true needs ops.page.password_file or "
            "ops.page.proxy: whoever looks has to be known by name",
        ),
        (
            "{bind: 0.0.0.0, page: {}}",
            "1 ops.page: on 0.0.0.0 needs ops.page.password_file or ops.page.proxy: "
            "others than this machine reach it",
        ),
        (
            "{page: {password_file: none}}",
            "1 ops.page.password_file: {folder}/none cannot be read",
        ),
        (
            "{page: {password_file: bad}}",
            "1 ops.page.password_file: {folder}/bad: line 2: not made by "
            "`lumbar-node password`",
        ),
        (
            "{page: {proxy: {address: proxy.example}}}",
            "1 ops.page.proxy.address: proxy.example is not an IP address",
        ),
        (
            "{page: {proxy: {address: 10.0.0.1, user_header: 'a b'}}}",
            "1 ops.page.proxy.user_header: a b is not the name of an HTTP header",
        ),
        (
            "{page: {action: true}}",
            "1 ops.page.action: unknown key (did you mean actions?)",
        ),
    ],
)
def test_a_mistake_is_told_with_what_is_missing(
    tmp_path: Path, ops: str, told: str
) -> None:
    (tmp_path / "bad").write_text("# users\nann:secret\n")
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, ops)
    (line,) = caught.value.problems
    expected = told.format(folder=tmp_path)
    assert line.removeprefix(f"{tmp_path / 'node.yaml'}:") == expected


def test_the_command_prints_a_line_that_the_page_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse battery\nmore\n"))
    assert main(["password", "ann"]) == 0
    (key,) = users_in(capsys.readouterr().out).values()
    assert key.fits("correct horse battery")


@pytest.mark.parametrize(
    ("user", "typed"), [("ann", "short\n"), ("ann", ""), ("a:n", "x" * 20 + "\n")]
)
def test_the_command_takes_no_weak_password_and_no_odd_name(
    user: str,
    typed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert main(["password", user]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("lumbar-node: ")

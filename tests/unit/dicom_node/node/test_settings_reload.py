"""The process that reads settings: what comes of it, and what if it does not end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from dicom_node.node import settings_reload
from dicom_node.node.settings_reload import (
    SettingsReader,
    changed_sections,
    unchangeable,
)
from dicom_node.settings.sections import Settings
from dicom_node.supervisor_messages import SettingsRead, SettingsRefused
from tests.support.peers import wait_until

WORKING = {
    "version": 1,
    "peers": {"pacs": {"ae_title": "PACS", "host": "pacs.example"}},
    "spool": {"folder": "/var/lib/lumbar-node"},
    "routes": [{"name": "lumbar", "deliver_to": ["pacs"]}],
}


def read(reader: SettingsReader) -> SettingsRead | SettingsRefused:
    found: list[SettingsRead | SettingsRefused] = []

    def is_read() -> bool:
        answer = reader.turn(time.monotonic())
        found.extend([] if answer is None else [answer])
        return bool(found)

    wait_until(is_read, what="an answer", every_s=0.02)
    return found[0]


def test_a_file_without_an_end_is_refused_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_reload, "_WITHIN_S", 0.3)
    config = tmp_path / "node.yaml"
    os.mkfifo(config)
    reader = SettingsReader(config)
    assert reader.turn(0.0) is None  # nobody has asked
    reader.ask()
    refused = read(reader)
    assert refused == SettingsRefused((f"{config}: is not read within 0.3 s",))

    def is_gone() -> bool:
        reader.turn(time.monotonic())
        return reader.children == ()

    wait_until(is_gone, what="the process is gone", every_s=0.02)


def test_a_process_that_dies_refuses_and_the_next_one_reads(tmp_path: Path) -> None:
    config = tmp_path / "node.yaml"
    os.mkfifo(config)
    reader = SettingsReader(config)
    reader.ask()
    assert reader.turn(time.monotonic()) is None
    (child,) = reader.children
    reader.ask()  # while it is being read: it is read once more
    child.kill()
    refused = read(reader)
    assert isinstance(refused, SettingsRefused)
    assert "has ended" in refused.problems[0]
    config.unlink()
    refused = read(reader)
    assert refused == SettingsRefused((f"{config}: no such file or directory",))


@pytest.mark.parametrize(
    ("section", "change", "key"),
    [
        ("node", {"ae_title": "OTHER"}, "node.ae_title"),
        ("node", {"bind": "127.0.0.1"}, "node.bind"),
        ("node", {"port": 104}, "node.port"),
        ("node", {"acceptors": 3}, "node.acceptors"),
        ("work", {"processes": 2}, "work.processes"),
        ("spool", {"folder": "/elsewhere"}, "spool.folder"),
    ],
)
def test_what_only_a_restart_changes_is_named(
    section: str, change: dict[str, object], key: str
) -> None:
    running = Settings.model_validate(WORKING)
    new = Settings.model_validate({**WORKING, section: change})
    told = list(unchangeable(Path("node.yaml"), running, new, {section: 3, key: 7}))
    assert any(line.startswith(f"node.yaml:7 {key}: is ") for line in told)
    assert changed_sections(running, new) == (section,)


def test_a_key_that_was_left_out_stands_where_its_section_does(
    tmp_path: Path,
) -> None:
    config = tmp_path / "node.yaml"
    mine = {**WORKING, "spool": {"folder": str(tmp_path / "spool")}}
    config.write_text(json.dumps({**mine, "node": {"port": 104}}, indent=1))
    rows = config.read_text().splitlines()
    node, port = rows.index(' "node": {') + 1, rows.index('  "port": 104') + 1
    running = Settings.model_validate({**mine, "node": {"bind": "127.0.0.1"}})
    reader = SettingsReader(config)
    reader.ask()
    found = read(reader)
    assert isinstance(found, SettingsRead), found
    new = Settings.model_validate_json(found.text)
    told = unchangeable(config, running, new, found.lines)
    assert [line.partition(": ")[0] for line in told] == [
        f"{config}:{node} node.bind",
        f"{config}:{port} node.port",
    ]


def test_the_url_of_a_database_is_not_repeated() -> None:
    running = Settings.model_validate(WORKING)
    url = "postgresql://lumbar:secret@db.example/lumbar"
    new = Settings.model_validate({**WORKING, "database": url})
    (line,) = unchangeable(Path("node.yaml"), running, new, {"database": 12})
    assert line.startswith("node.yaml:12 database: ")
    assert "secret" not in line


def test_all_else_may_change() -> None:
    running = Settings.model_validate(WORKING)
    new = Settings.model_validate(
        {
            **WORKING,
            "node": {"max_associations": 3, "time_zone": "Asia/Shanghai"},
            "series": {"quiet_s": 1},
            "spool": {**WORKING["spool"], "keep_days": 1},  # type: ignore[dict-item]
            "work": {"threads": 1},
            "log": {"level": "debug"},
            "ops": {},
        }
    )
    assert list(unchangeable(Path("node.yaml"), running, new, {})) == []

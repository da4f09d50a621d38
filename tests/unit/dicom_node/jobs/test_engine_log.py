"""What the log has of DBOS' warnings: each kind, and not each of them."""

from __future__ import annotations

import json
import logging

import pytest

from dicom_node import log
from dicom_node.jobs.dbos_setup import open_client, prepare_database


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> logging.Logger:
    url = f"sqlite:///{tmp_path_factory.mktemp('jobs') / 'node.sqlite'}"
    # As of a process that has just begun.
    logging.getLogger("dbos").handlers.clear()
    prepare_database(url)
    open_client(url).destroy()
    return logging.getLogger("dbos")


def test_a_database_that_is_away_does_not_fill_the_log(
    engine: logging.Logger,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 1000.0
    monkeypatch.setattr("dicom_node.jobs.dbos_setup.time.monotonic", lambda: now_s)
    log.configure()

    for queue in ("triages", "analyses"):
        for _ in range(200):
            engine.warning("Exception listing queue %s: server is away\nmore", queue)
    now_s += 61
    engine.warning("Exception listing queue triages: server is away")
    engine.warning("")

    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["event"] for row in rows} == {"job_engine_reported"}
    assert [row["reason"] for row in rows] == [
        "Exception listing queue triages: server is away",
        "Exception listing queue analyses: server is away",
        "Exception listing queue triages: server is away"
        " (and 199 times since this was last told)",
        "",
    ]

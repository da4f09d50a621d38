"""What each command says, and the code with which it ends."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from pydicom import config as pydicom_config

from analysis.contract.errors import AnalysisFailed
from analysis.lumbar.plugin import LumbarMri
from dicom_node.cli import main as cli
from dicom_node.cli.main import main
from dicom_node.input_codes import REFUSALS, WARNINGS
from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.queue import JobQueue
from dicom_node.plugins import registry
from dicom_node.work import analyse_folder
from tests.support.mr_series import build_series, write_series
from tests.support.peers import free_port, wait_until
from tests.support.spine_phantom import frame_of
from tests.support.toy_worker import Toy, toy_job

DONE, FAILED, WRONG_USAGE, UNREACHABLE, UNSUITABLE = 0, 1, 2, 3, 4

SETTINGS = """\
version: 1
node: {{port: 11112}}
peers:
  pacs: {{ae_title: PACS, host: 127.0.0.1, port: {port}, timeout_s: 1}}
spool: {{folder: spool, min_free_gb: 0.001}}
routes: [{{name: lumbar, deliver_to: [pacs]}}]
"""

VOXELS = np.arange(144, dtype=np.float32).reshape(3, 8, 6)

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "node.yaml"
    path.write_text(SETTINGS.format(port=free_port()))
    return str(path)


def test_status_says_what_it_sees_of_a_node_that_does_not_run(
    config_with_jobs: str, capsys: Captured
) -> None:
    path = Path(config_with_jobs)
    path.write_text(
        path.read_text().replace("11112", str(free_port()))
        + f"ops: {{port: {free_port()}}}\n"
    )
    assert main(["status", "--config", config_with_jobs]) == UNREACHABLE
    told = capsys.readouterr()
    assert "does not answer: " in told.err
    states = {
        words[1]: words[0]
        for line in told.out.splitlines()[1:-1]
        if (words := line.split())
    }
    assert states == {
        "supervisor": "unknown",
        "acceptors": "failed",
        "workers": "unknown",
        "database": "ok",
        "disk": "ok",
        "jobs": "ok",
    }
    assert told.out.endswith("NOT READY\n")
    assert main(["status", "--json", "--config", config_with_jobs]) == UNREACHABLE
    assert json.loads(capsys.readouterr().out)["ready"] is False


@pytest.fixture
def config_with_jobs(config: str) -> str:
    folder = Path(config).parent / "spool"
    url = f"sqlite:///{folder / 'node.sqlite'}"
    prepare_database(url)
    with JobQueue(url) as queue:
        queue.enqueue(toy_job("0123456789abcdef"))
    return config


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dance"],
        ["jobs"],
        ["analyse", "x"],
        ["analyse", "x", "--out", "y", "--threads", "0"],
        ["analyse", "x", "--out", "y", "--threads", "many"],
        ["analyse", "x", "--out", ""],
        ["analyse", "", "--out", "y"],
    ],
)
def test_wrong_words_are_answered_with_usage(
    words: list[str], capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == WRONG_USAGE
    assert "usage: lumbar-node" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "check", "describe"])
def test_wrong_settings_are_told_all_at_once(
    command: str, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("version: 1\nnode: {port: 0}\nspool: {}\n")
    assert main([command, "--config", str(path)]) == WRONG_USAGE
    assert capsys.readouterr().err.splitlines() == [
        f"{path}:1 routes: is missing",
        f"{path}:2 node.port: 0 is not a TCP port (1 to 65535)",
        f"{path}:3 spool.folder: is missing",
    ]


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_echo_that_nobody_answers_ends_with_3(config: str, capsys: Captured) -> None:
    assert main(["echo", "pacs", "--config", config]) == UNREACHABLE
    assert capsys.readouterr().err.startswith("lumbar-node: no association with PACS")


def test_an_echo_to_an_unknown_peer_names_the_known_ones(
    config: str, capsys: Captured
) -> None:
    assert main(["echo", "moon", "--config", config]) == WRONG_USAGE
    assert "no peer is named moon (peers: pacs)" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_probe_of_nobody_is_wrong_usage_and_of_a_silent_peer_ends_with_3(
    config: str, capsys: Captured
) -> None:
    assert main(["probe", "moon", "--config", config]) == WRONG_USAGE
    assert "no peer is named moon (peers: pacs)" in capsys.readouterr().err
    assert main(["probe", "pacs", "--config", config]) == UNREACHABLE
    assert capsys.readouterr().err.startswith("lumbar-node: no association with pacs")


def test_jobs_of_a_node_that_never_ran_are_told_so(
    config: str, capsys: Captured
) -> None:
    assert main(["jobs", "list", "--config", config]) == FAILED
    assert "there are no jobs yet" in capsys.readouterr().err
    Path(config).write_text(Path(config).read_text().replace("11112", str(free_port())))
    assert main(["status", "--config", config]) == UNREACHABLE
    assert "the node has never run with these settings" in capsys.readouterr().out


def test_jobs_are_listed_shown_and_cancelled(
    config_with_jobs: str, capsys: Captured
) -> None:
    configured = ["--config", config_with_jobs]
    assert main(["jobs", "list", *configured]) == DONE
    assert "0123456789ab  waiting" in capsys.readouterr().out
    assert main(["jobs", "cancel", "0123", *configured, "--json"]) == DONE
    cancelled = json.loads(capsys.readouterr().out)
    assert (cancelled["id"], cancelled["state"]) == ("0123456789abcdef", "cancelled")
    assert main(["jobs", "show", "0123", *configured]) == DONE
    assert "state:      cancelled" in capsys.readouterr().out
    assert main(["jobs", "cancel", "0123", *configured]) == FAILED
    assert "is cancelled: nothing to cancel" in capsys.readouterr().err
    assert main(["jobs", "retry", "0123", *configured]) == DONE
    assert "state:      waiting" in capsys.readouterr().out


def test_a_job_that_a_peer_lacks_is_shown_with_the_reason_and_the_next_attempt(
    tmp_path: Path, capsys: Captured
) -> None:
    toy = Toy(tmp_path)
    toy.has("down-beta-one")
    try:
        toy.start()
        toy.queue.enqueue(toy_job("one"))
        wait_until(lambda: len(toy.attempts("one", "beta")) > 1, what="second attempt")
    finally:
        toy.close()
    with sqlite3.connect(toy.url.removeprefix("sqlite:///")) as connection:
        connection.execute(
            "UPDATE workflow_status SET status = 'DELAYED', delay_until_epoch_ms = ? "
            "WHERE workflow_uuid LIKE 'one:beta:%' AND completed_at IS NULL",
            (2_000_000_000_000,),
        )
    config = tmp_path / "node.yaml"
    settings = SETTINGS.format(port=free_port()).replace("pacs", "beta")
    config.write_text(f"{settings}database: {toy.url}\n")
    assert main(["jobs", "show", "one", "--config", str(config)]) == DONE
    shown = capsys.readouterr().out.splitlines()
    (last,) = (line for line in shown if line.startswith("last beta:"))
    assert last.endswith("down: is down")
    (following,) = (line for line in shown if line.startswith("next beta:"))
    assert following.split()[2].startswith("2033-05-")
    assert not any(line.startswith("next alpha") for line in shown)
    assert main(["jobs", "retry", "--peer", "beta", "--config", str(config)]) == DONE
    said = capsys.readouterr().out
    assert said.startswith("0 jobs are delivered to beta again; 1 others are still ")


def test_a_table_that_cannot_be_written_is_named(
    config_with_jobs: str, tmp_path: Path, capsys: Captured
) -> None:
    words = ["jobs", "export", "--since", "1d", "--config", config_with_jobs]
    out = tmp_path / "nowhere" / "out.csv"
    assert main([*words, "--out", str(out)]) == FAILED
    said = capsys.readouterr().err
    assert said == f"lumbar-node: {out}: No such file or directory\n"


def test_a_retry_takes_a_job_or_a_peer(config_with_jobs: str, capsys: Captured) -> None:
    configured = ["--config", config_with_jobs]
    for words in ([], ["0123", "--peer", "pacs"], ["--peer", "nobody"]):
        assert main(["jobs", "retry", *words, *configured]) == WRONG_USAGE
    assert "no peer is named nobody (peers: " in capsys.readouterr().err
    assert main(["jobs", "retry", "--peer", "pacs", *configured]) == DONE
    assert "0 jobs are delivered to pacs again" in capsys.readouterr().out


def test_jobs_are_listed_by_state_peer_and_time(
    config_with_jobs: str, capsys: Captured
) -> None:
    configured = ["--config", config_with_jobs]
    for words, is_listed in (
        (["--state", "waiting"], True),
        (["--state", "failed", "--state", "waiting"], True),
        (["--state", "failed"], False),
        (["--peer", "pacs"], False),  # none of its results is on its way yet
        (["--since", "1970-01-01"], True),
        (["--since", "1h"], True),
        (["--since", "2999-01-01T00:00"], False),
    ):
        assert main(["jobs", "list", *words, *configured]) == DONE
        said = capsys.readouterr().out
        assert ("0123456789ab  waiting" in said) == is_listed
        assert ("no jobs" in said) != is_listed


def test_a_list_of_jobs_for_nobody_says_that_there_is_no_such_peer(
    config_with_jobs: str, capsys: Captured
) -> None:
    words = ["jobs", "list", "--peer", "pacz", "--config", config_with_jobs]
    assert main(words) == DONE
    assert capsys.readouterr().out == "no jobs: no peer is named pacz\n"


@pytest.mark.parametrize("when", ["yesterday", "7", "2026-13-01", "999999w", "-1d"])
def test_a_time_that_is_none_is_wrong_usage(when: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["jobs", "list", f"--since={when}"])
    assert ended.value.code == WRONG_USAGE
    assert "is no date (2026-11-28)" in capsys.readouterr().err


def test_all_that_failed_begins_again(config_with_jobs: str, capsys: Captured) -> None:
    configured = ["--config", config_with_jobs]
    assert main(["jobs", "retry", "--failed", *configured]) == DONE
    assert "0 jobs begin again" in capsys.readouterr().out
    assert main(["jobs", "retry", "--failed", "--peer", "pacs", *configured]) == DONE
    assert "0 jobs are delivered to pacs again" in capsys.readouterr().out
    assert main(["jobs", "retry", "0123", "--failed", *configured]) == WRONG_USAGE


def test_a_resend_takes_a_job_with_results_or_a_study(
    config_with_jobs: str, capsys: Captured
) -> None:
    configured = ["--config", config_with_jobs]
    for words in ([], ["0123", "--study", "1.2"], ["0123", "--peer", "nobody"]):
        assert main(["jobs", "resend", *words, *configured]) == WRONG_USAGE
    capsys.readouterr()
    assert main(["jobs", "resend", "--study", "1.2.3", *configured]) == DONE
    assert "the results of 0 jobs are sent again" in capsys.readouterr().out
    assert main(["jobs", "resend", "0123", *configured]) == FAILED
    assert "`jobs rerun 0123456789ab` makes them anew" in capsys.readouterr().err


def test_a_table_that_cannot_be_written_is_told_by_its_name(
    config_with_jobs: str, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "nowhere" / "table.csv"
    words = ["jobs", "export", "--config", config_with_jobs, "--out", str(out)]
    assert main(words) == FAILED
    said = capsys.readouterr().err
    assert said == f"lumbar-node: {out}: No such file or directory\n"


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_limit_that_is_none_is_wrong_usage(
    config_with_jobs: str, limit: str, capsys: Captured
) -> None:
    words = ["jobs", "list", "--config", config_with_jobs, "--limit", limit]
    assert main(words) == WRONG_USAGE
    assert f"{limit} is no number of jobs from 1" in capsys.readouterr().err


def test_a_job_that_is_not_there_is_told(
    config_with_jobs: str, capsys: Captured
) -> None:
    assert main(["jobs", "show", "ffff", "--config", config_with_jobs]) == FAILED
    assert "no job begins with 'ffff'" in capsys.readouterr().err


def test_describe_tells_routes_peers_and_what_is_accepted(
    config: str, capsys: Captured
) -> None:
    assert main(["describe", "--config", config]) == DONE
    said = capsys.readouterr().out
    for word in ("LUMBAR_AI on", "pacs", "lumbar-mri", "seg sr sc", "JPEG 2000"):
        assert word in said
    assert main(["describe", "--config", config, "--json"]) == DONE
    told = json.loads(capsys.readouterr().out)
    assert told["settings"]["peers"]["pacs"]
    (analysis,) = told["analyses"]
    assert (analysis["name"], analysis["reason"]) == ("lumbar-mri", "")
    assert analysis["version"].endswith(f".{analysis['runtime']}")
    assert f"{analysis['version']}  {analysis['runtime']}" in said


def test_describe_tells_why_an_analysis_cannot_be_loaded(
    config: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        message = "OpenVINO cannot be imported: no such file"
        raise AnalysisFailed(message)

    monkeypatch.setattr(LumbarMri, "prepare", fail)
    assert main(["describe", "--config", config]) == DONE
    assert "OpenVINO cannot be imported: no such file" in capsys.readouterr().out
    assert main(["describe", "--config", config, "--json"]) == DONE
    (analysis,) = json.loads(capsys.readouterr().out)["analyses"]
    assert (analysis["version"], analysis["runtime"]) == ("", "")


def test_describe_tells_each_code_of_an_input_with_what_to_do(
    config: str, capsys: Captured
) -> None:
    assert main(["describe", "--config", config]) == DONE
    said = capsys.readouterr().out
    for code, what, advice in (*WARNINGS, *REFUSALS):
        assert f"  {code}: {what}\n    to do: {advice}\n" in said
    assert main(["describe", "--config", config, "--json"]) == DONE
    told = json.loads(capsys.readouterr().out)
    assert told["warnings"][0]["code"] == WARNINGS[0].code
    assert told["refusals"][-1]["advice"] == REFUSALS[-1].advice


def test_a_gpu_that_is_not_used_is_told_before_the_start(
    config: str, capsys: Captured
) -> None:
    path = Path(config)
    path.write_text(path.read_text() + "work: {device: 'cuda:99'}\n")
    assert main(["check", "--config", config]) == DONE
    (line,) = (one for one in capsys.readouterr().out.splitlines() if "warn" in one)
    assert line.startswith("warn  device: work.device is cuda:99, but torch ")
    assert line.endswith(": it computes on the CPU")
    assert main(["check", "--config", config, "--json"]) == DONE
    (finding,) = (one for one in json.loads(capsys.readouterr().out) if one["warning"])
    assert (finding["subject"], finding["good"]) == ("device", True)


def test_the_settings_alone_are_checked_without_loading_an_analysis(
    config: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "Registry", lambda _: pytest.fail("loaded"))
    assert main(["check", "--settings-only", "--config", config]) == DONE
    assert capsys.readouterr().out == f"ok    settings: {config}\n"
    path = Path(config)
    path.write_text(path.read_text() + "jobs: {time_limit_s: soon}\n")
    assert main(["check", "--settings-only", "--config", config]) == WRONG_USAGE
    assert "jobs.time_limit_s" in capsys.readouterr().err


def test_check_names_an_address_that_no_message_would_reach_and_repeats_none(
    config: str, tmp_path: Path, capsys: Captured
) -> None:
    path = Path(config)
    path.write_text(f"{path.read_text()}notify: {{urls_file: urls}}\n")
    urls = tmp_path / "urls"
    urls.write_text("json://hook.example/secret\nmailtoo://user:secret@x.example\n")
    assert main(["check", "--config", config]) == FAILED
    told = capsys.readouterr()
    assert f"ok    notify: address 1 of {urls} is one that apprise" in told.out
    assert f"WRONG notify: address 2 of {urls} is none that apprise" in (
        told.out + told.err
    )
    assert "secret" not in told.out + told.err


def test_check_tells_whether_an_analysis_can_compare_examinations(
    config: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(config).read_text()
    asked = "deliver_to: [pacs], follow_up: {peer: pacs}"
    Path(config).write_text(text.replace("deliver_to: [pacs]", asked))
    assert main(["check", "--config", config]) == DONE
    assert "ok    route lumbar: lumbar-mri can compare" in capsys.readouterr().out
    monkeypatch.setattr(registry, "can_follow_up", lambda _: False)
    assert main(["check", "--config", config]) == FAILED
    assert "WRONG route lumbar: lumbar-mri cannot compare" in capsys.readouterr().err


def test_a_folder_that_does_not_exist_is_wrong_usage(
    tmp_path: Path, capsys: Captured
) -> None:
    nowhere, out = tmp_path / "nowhere", tmp_path / "out"
    assert main(["analyse", str(nowhere), "--out", str(out)]) == WRONG_USAGE
    assert "does not exist" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("in", "holds the series itself"),
        ("in/../in", "holds the series itself"),
        ("file", "is not a folder"),
        ("file/below", "cannot be made: Not a directory"),
        ("x" * 300, "cannot be made: File name too long"),
    ],
)
def test_results_need_a_folder_of_their_own(
    tmp_path: Path, capsys: Captured, out: str, why: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "seg.dcm").write_text("a picture")
    (tmp_path / "file").touch()
    assert main(["analyse", str(folder), "--out", str(tmp_path / out)]) == WRONG_USAGE
    assert why in capsys.readouterr().err
    assert (folder / "seg.dcm").exists()


def test_a_run_that_fails_says_so_and_leaves_no_older_result(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        message = "weights are missing"
        raise AnalysisFailed(message)

    monkeypatch.setattr(analyse_folder, "analyse_series", broken)
    folder, out = tmp_path / "in", tmp_path / "out"
    write_series(folder, build_series(VOXELS, frame_of(VOXELS.shape)))
    out.mkdir()
    for name in ("seg.dcm", "report.json", "overlay.png"):
        (out / name).write_text("of an earlier run")
    assert main(["analyse", str(folder), "--out", str(out)]) == FAILED
    assert capsys.readouterr().err == "lumbar-node: weights are missing\n"
    report = json.loads((out / "report.json").read_text())
    assert (report["status"], report["reason"]) == ("failed", "analysis_failed")
    assert report["reason_text"] == "weights are missing"
    assert [path.name for path in out.iterdir()] == ["report.json"]


def test_names_that_nobody_can_print_spoil_nothing(
    tmp_path: Path, capsys: Captured
) -> None:
    folder, out = (tmp_path / os.fsdecode(name) for name in (b"in\xff", b"out\xff"))
    with pydicom_config.disable_value_validation():
        datasets = build_series(
            VOXELS, frame_of(VOXELS.shape), SeriesInstanceUID="1.2\x1b[2J"
        )
        write_series(folder, datasets)
    assert main(["analyse", str(folder), "--out", str(out)]) == UNSUITABLE
    assert "passed over: series 1.2?[2J: bad_uid" in capsys.readouterr().out
    assert json.loads((out / "report.json").read_text())["reason"] == "bad_uid"
    empty = tmp_path / os.fsdecode(b"empty\xff")
    empty.mkdir()
    assert main(["analyse", str(empty), "--out", str(out)]) == UNSUITABLE


def test_a_disk_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(analyse_folder, "write_report", full)
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    assert main(["analyse", str(folder), "--out", str(out)]) == FAILED
    said = capsys.readouterr().err
    assert said == f"lumbar-node: {out} cannot be written: No space left on device\n"
    assert list(out.iterdir()) == []


def test_a_folder_without_dicom_is_unsuitable_and_its_files_are_counted(
    tmp_path: Path, capsys: Captured
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "notes.txt").write_text("hello")
    (folder / "a.dcm").write_bytes(b"no dicom" * 100)
    out.mkdir()
    (out / "seg.dcm").write_text("of an earlier run")
    assert main(["analyse", str(folder), "--out", str(out)]) == UNSUITABLE
    said = capsys.readouterr()
    assert "2 files that are not DICOM" in said.out
    assert "holds no DICOM instance" in said.err
    report = json.loads((out / "report.json").read_text())
    assert (report["status"], report["reason"]) == ("unsuitable", "no_dicom")
    assert [path.name for path in out.iterdir()] == ["report.json"]


def test_a_bug_of_ours_shows_no_traceback_unless_asked(
    config: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_arguments: object) -> int:
        message = "Doe^John"
        raise RuntimeError(message)

    monkeypatch.setitem(cli._COMMANDS, "check", broken)
    assert main(["check", "--config", config]) == FAILED
    said = capsys.readouterr().err
    assert said.startswith("lumbar-node: internal error: RuntimeError")
    assert "Traceback" not in said
    assert "Doe" not in said
    monkeypatch.setenv("LUMBAR_NODE_DEBUG", "1")
    main(["check", "--config", config])
    assert "Traceback" in capsys.readouterr().err

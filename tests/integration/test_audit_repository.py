"""Audit messages reach a real syslog server, and none is lost while it is not there."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node import log
from dicom_node.audit import events
from dicom_node.audit.audit_process import Sender
from dicom_node.audit.auditor import Auditor
from dicom_node.audit.plan import AuditPlan, Transport
from dicom_node.audit.spool import AuditSpool, AuditSpoolFullError
from dicom_node.tls import TlsFiles
from tests.support.certificates import Identity, authority, signed
from tests.support.peers import HOST, free_port, wait_until
from tests.support.rsyslog import Rsyslog, require_rsyslog


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    by = authority(folder)
    for name in ("server", "node"):
        signed(folder, name, by)
    signed(folder, "elsewhere", by, alternative="DNS:elsewhere.example")
    signed(folder, "stranger", authority(folder, "others"))
    return folder


def identity(keys: Path, name: str) -> Identity:
    return Identity(certificate=keys / f"{name}.pem", key=keys / f"{name}.key")


@pytest.fixture
def server(keys: Path, tmp_path: Path) -> Iterator[Rsyslog]:
    require_rsyslog()
    with Rsyslog(
        tmp_path / "rsyslog", keys / "authority.pem", identity(keys, "server")
    ) as one:
        yield one


def plan_for(
    folder: Path, keys: Path, port: int, *, shows: str = "", most: int = 1000
) -> AuditPlan:
    own = identity(keys, shows) if shows else None
    return AuditPlan(
        host=HOST,
        port=port,
        transport=Transport.TLS,
        folder=folder / "audit",
        most=most,
        source_id="NODE",
        ae_title="NODE",
        tls=TlsFiles(
            certificate=None if own is None else own.certificate,
            key=None if own is None else own.key,
            authorities=keys / "authority.pem",
        ),
    )


def told(plan: AuditPlan, count: int, first: int = 0) -> set[str]:
    """Spool so many messages, and return by what each is known."""
    auditor = Auditor(plan)
    users = {f"user-{number}" for number in range(first, first + count)}
    for user in sorted(users):
        auditor.tell(events.user_action("NODE", user, address=HOST, what="test"))
    return users


def users_in(server: Rsyslog) -> list[str]:
    found = []
    for message in server.messages():
        found += message.values("ActiveParticipant[2]/@UserID")
    return found


def waiting(plan: AuditPlan) -> int:
    return AuditSpool(plan.folder, most=plan.most).count()


def test_messages_come_by_tls_once_and_valid(
    server: Rsyslog, keys: Path, tmp_path: Path
) -> None:
    plan = plan_for(tmp_path, keys, server.port)
    users = told(plan, 250)
    sender = Sender(plan)
    assert sender.turn() == 0.0  # there are more
    sender.turn()
    assert waiting(plan) == 0
    wait_until(lambda: len(server.lines()) >= 250, what="rsyslog has written them")
    found = users_in(server)
    assert set(found) == users
    assert len(found) == len(users)


def test_nothing_is_lost_while_the_server_is_down_or_killed(
    server: Rsyslog, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure()
    plan = plan_for(tmp_path, keys, server.port)
    sender = Sender(plan)
    users = told(plan, 3)
    sender.turn()
    wait_until(lambda: len(server.lines()) == 3, what="rsyslog has written them")
    server.stop(signal.SIGKILL)
    users |= told(plan, 5, first=3)
    pauses_s = [sender.turn() for _ in range(8)]
    assert pauses_s == [2, 4, 8, 16, 32, 60, 60, 60]
    assert waiting(plan) == 5
    logged = capsys.readouterr().out
    assert logged.count("audit_not_sent") == 1
    server.start()
    sender.turn()
    wait_until(lambda: len(server.lines()) >= 8, what="rsyslog has written them")
    assert set(users_in(server)) == users
    assert "audit_sent_again" in capsys.readouterr().out


def test_a_server_that_reads_and_dies_before_the_end_gets_all_again(
    server: Rsyslog, keys: Path, tmp_path: Path
) -> None:
    """The relay reads what the node sends, and resets the connection."""
    plan = plan_for(tmp_path, keys, 0)
    users = told(plan, 20)
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        relay = threading.Thread(target=_break_off, args=(listener, server.port))
        relay.start()
        assert Sender(replace(plan, port=port)).turn() > 1
        relay.join()
    assert waiting(plan) == 20
    Sender(replace(plan, port=server.port)).turn()
    assert waiting(plan) == 0
    wait_until(lambda: set(users_in(server)) == users, what="rsyslog has all")


def _break_off(listener: socket.socket, port: int) -> None:
    client, _ = listener.accept()
    with client, socket.create_connection((HOST, port)) as onward:
        back = threading.Thread(target=_copy, args=(onward, client))
        back.start()
        left = 8000
        while left > 0 and (data := client.recv(4096)):
            onward.sendall(data)
            left -= len(data)
        reset = b"\1\0\0\0\0\0\0\0"  # SO_LINGER of no seconds: a reset, not an end
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        client.close()
        onward.shutdown(socket.SHUT_RDWR)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        return


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (
            "stranger",
            "self-signed certificate in certificate chain|unable to get local",
        ),
        ("elsewhere", "mismatch"),
    ],
)
def test_a_server_with_a_wrong_certificate_gets_nothing(
    keys: Path,
    tmp_path: Path,
    own: str,
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    require_rsyslog()
    log.configure()
    folder = tmp_path / "rsyslog"
    with Rsyslog(folder, keys / "authority.pem", identity(keys, own)) as server:
        plan = plan_for(tmp_path, keys, server.port)
        told(plan, 2)
        assert Sender(plan).turn() > 1
        assert server.lines() == []
    assert waiting(plan) == 2
    said = capsys.readouterr().out
    assert re.search(why, said), said


def test_a_server_that_asks_for_our_certificate_gets_messages_with_it_alone(
    keys: Path, tmp_path: Path
) -> None:
    require_rsyslog()
    with Rsyslog(
        tmp_path / "rsyslog",
        keys / "authority.pem",
        identity(keys, "server"),
        mode="x509/certvalid",
    ) as server:
        without = plan_for(tmp_path, keys, server.port)
        users = told(without, 2)
        assert Sender(without).turn() > 1
        assert waiting(without) == 2
        Sender(plan_for(tmp_path, keys, server.port, shows="node")).turn()
        assert waiting(without) == 0
        wait_until(lambda: set(users_in(server)) == users, what="rsyslog has all")


def test_messages_come_by_udp(server: Rsyslog, keys: Path, tmp_path: Path) -> None:
    plan = replace(plan_for(tmp_path, keys, server.port), transport=Transport.UDP)
    users = told(plan, 5)
    Sender(plan).turn()
    assert waiting(plan) == 0
    wait_until(lambda: set(users_in(server)) == users, what="rsyslog has all")


def test_a_spool_that_is_full_loses_what_comes_and_says_how_much(
    keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure()
    plan = plan_for(tmp_path, keys, free_port(), most=100)
    auditor = Auditor(plan)
    message = events.application_activity("NODE", is_start=True)
    for _ in range(103):
        auditor.tell(message)
    assert waiting(plan) == 100
    assert capsys.readouterr().out.count("audit_message_lost") == 1
    spool = AuditSpool(plan.folder, most=plan.most)
    with pytest.raises(AuditSpoolFullError):
        spool.put(b"one too many")
    spool.remove(spool.waiting(most=50))
    auditor.tell(message)
    assert waiting(plan) == 52
    assert b"110134" in spool.waiting(most=100)[-2].read_bytes()


def test_a_disk_that_fails_stops_nobody(keys: Path, tmp_path: Path) -> None:
    plan = plan_for(tmp_path, keys, free_port())
    log.configure()
    (tmp_path / "audit").write_text("no folder")
    Auditor(plan).tell(events.application_activity("NODE", is_start=True))
    assert Sender(plan).turn() > 1


def test_a_server_that_never_reads_holds_nobody_for_long(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.audit.syslog._TIMEOUT_S", 0.5)
    with socket.create_server((HOST, 0)) as listener:
        plan = plan_for(tmp_path, keys, listener.getsockname()[1])
        told(plan, 1)
        begun_s = time.monotonic()
        assert Sender(plan).turn() > 1
        assert time.monotonic() - begun_s < 30
    assert waiting(plan) == 1

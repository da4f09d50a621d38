"""Associations over TLS in both directions, with DCMTK on the other side."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dicom_node.ops.verification import echo, itself
from dicom_node.settings.load import load
from dicom_node.settings.ops_plan import ops_plan
from dicom_node.settings.tls_sections import AcceptorTls
from dicom_node.tls import acceptor_context
from tests.support import phantom_plugin
from tests.support.certificates import Identity, authority, signed
from tests.support.node_process import Node, node_for
from tests.support.peers import (
    HOST,
    WITHIN_S,
    Archive,
    connected,
    free_port,
    listens,
    run_dcmtk,
    wait_until,
)
from tests.support.raw_association import associate_request, read_pdu

pytestmark = pytest.mark.peer

RESULTS = 3


@dataclass(frozen=True, kw_only=True)
class Site:
    """A node and an archive that speak TLS and nothing else, and who may speak."""

    node: Node
    archived: Path
    trusted: Identity
    stranger: Identity
    ca: Path

    @contextlib.contextmanager
    def connected(self, who: Identity) -> Iterator[ssl.SSLSocket]:
        """Connect to the node over TLS."""
        context = ssl.create_default_context(cafile=self.ca)
        context.check_hostname = False
        context.load_cert_chain(who.certificate, who.key)
        with (
            connected(self.node.port) as plain,
            context.wrap_socket(plain) as connection,
        ):
            yield connection

    def dcmtk(self, program: str, *options: str, who: Identity | None) -> bool:
        """Run a DCMTK client against the node; return whether it was served."""
        tls: list[str] = []
        if who is not None:
            tls = ["+tls", str(who.key), str(who.certificate), "+cf", str(self.ca)]
        done = run_dcmtk(
            program, "-aet", "PACS", "-aec", "LUMBAR_AI", *tls,
            HOST, str(self.node.port), *options,
        )  # fmt: skip
        return done.returncode == 0


@contextlib.contextmanager
def storescp(folder: Path, port: int, who: Identity, ca: Path) -> Iterator[None]:
    """Run DCMTK's archive, which demands a certificate as well."""
    folder.mkdir()
    process = subprocess.Popen(
        [
            "storescp", "+tls", str(who.key), str(who.certificate), "+cf", str(ca),
            "-pm", "-od", str(folder), str(port),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: listens(port), what="storescp listens")
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    ours, theirs = authority(folder), authority(folder, "others")
    own, pacs = signed(folder, "node", ours), signed(folder, "pacs", ours)
    node = node_for(
        folder / "node",
        Archive(),
        analysis=phantom_plugin.NAME,
        environment=phantom_plugin.make_installed(folder / "installed"),
    )
    files = {
        "ca_file": str(ours.certificate),
        "certificate_file": str(own.certificate),
        "key_file": str(own.key),
    }
    node.settings["node"]["tls"] = files
    peer = node.settings["peers"]["pacs"]
    peer["tls"] = files
    node.settings["peers"]["deceived"] = {
        **peer,
        "ae_title": "OTHER",
        "tls": {**files, "ca_file": str(theirs.certificate)},
    }
    made = Site(
        node=node,
        archived=folder / "archived",
        trusted=pacs,
        stranger=signed(folder, "stranger", theirs),
        ca=ours.certificate,
    )
    with storescp(made.archived, peer["port"], pacs, ours.certificate):
        node.start(wait=False)
        try:
            wait_until(
                lambda: made.dcmtk("echoscu", who=pacs),
                what="the node answers C-ECHO",
            )
            yield made
        finally:
            node.stop()
            node.kill()


def test_a_series_comes_and_its_results_go_over_tls(
    site: Site, demo_series: Path
) -> None:
    assert site.dcmtk("storescu", "+sd", "-R", str(demo_series), who=site.trusted)
    wait_until(
        lambda: len(list(site.archived.iterdir())) == RESULTS,
        what="results in the archive",
    )
    (row,) = site.node.wait_settled(1)
    assert row["state"] == "done"


def test_who_speaks_plainly_or_has_a_strangers_certificate_is_not_served(
    site: Site,
) -> None:
    assert not site.dcmtk("echoscu", who=None)
    assert not site.dcmtk("echoscu", who=site.stranger)
    assert site.dcmtk("echoscu", who=site.trusted)

    def is_told() -> bool:
        return any(
            row["event"] == "protocol_violated" and row["reason"].startswith("TLS: ")
            for row in site.node.events()
        )

    wait_until(is_told, what="the log tells of it")


def test_the_node_is_ready_over_tls_and_not_for_whom_nobody_vouches(
    site: Site,
) -> None:
    plan = ops_plan(load(site.node.config, analyses=[phantom_plugin.NAME]))
    assert plan.node_tls is not None
    assert 0 < echo(itself(plan), WITHIN_S) < WITHIN_S
    nobody = replace(
        plan.node_tls, certificate=site.stranger.certificate, key=site.stranger.key
    )
    with pytest.raises(OSError, match=r"."):
        echo(itself(replace(plan, node_tls=nobody)), WITHIN_S)
    with pytest.raises(OSError, match=r"."):
        echo(itself(replace(plan, node_tls=None)), WITHIN_S)


def test_silent_clients_keep_nobody_waiting(site: Site) -> None:
    """pynetdicom's acceptor shakes hands where it accepts: one such client stops it."""
    with contextlib.ExitStack() as held:
        for _ in range(4):
            held.enter_context(connected(site.node.port))
        assert site.dcmtk("echoscu", who=site.trusted)


def test_whoever_comes_by_and_goes_disturbs_no_association(site: Site) -> None:
    """Load balancers connect and reset; browsers and scanners speak other languages."""
    acceptors = _pids(site.node, "acceptor-0")
    with site.connected(site.trusted) as held, contextlib.ExitStack() as others:
        held.sendall(associate_request())
        assert read_pdu(held)[:1] == b"\x02"
        for _ in range(40):
            with connected(site.node.port) as passing:
                reset_at_close = struct.pack("ii", 1, 0)
                passing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_at_close)
        for said in (
            b"",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
            b"\0" * 99,
        ):
            client = connected(site.node.port)
            others.enter_context(client).sendall(said)
        assert site.dcmtk("echoscu", who=site.trusted)
        held.sendall(struct.pack(">BxI", 5, 4) + bytes(4))
        assert read_pdu(held)[:1] == b"\x06"
    assert _pids(site.node, "acceptor-0") == acceptors


def _pids(node: Node, name: str) -> list[int]:
    return [
        row["pid"]
        for row in node.events()
        if row["event"] == "process_started" and row["process"] == name
    ]


def test_without_authorities_those_of_the_system_vouch_for_peers(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(site.ca))  # as OpenSSL looks for them
    files = AcceptorTls.model_validate(site.node.settings["node"]["tls"])
    context = acceptor_context(files.model_copy(update={"ca_file": None}).files)
    assert _is_served(context, site, site.trusted)
    assert not _is_served(context, site, site.stranger)


def _is_served(context: ssl.SSLContext, site: Site, who: Identity) -> bool:
    """Shake hands as `who` with an acceptor of this context."""
    ours, theirs = socket.socketpair()
    peer = ssl.create_default_context(cafile=site.ca)
    peer.check_hostname = False
    peer.load_cert_chain(who.certificate, who.key)
    with (
        ThreadPoolExecutor() as threads,
        ours,
        theirs,
        contextlib.suppress(ssl.SSLError),
    ):
        accepted = threads.submit(context.wrap_socket, ours, server_side=True)
        with peer.wrap_socket(theirs) as other, accepted.result(WITHIN_S) as connection:
            connection.sendall(b"x")
            return other.recv(1) == b"x"
    return False


def test_an_archive_that_nobody_vouches_for_gets_nothing(site: Site) -> None:
    good, bad = (site.node.command("echo", peer) for peer in ("pacs", "deceived"))
    assert good.returncode == 0, good.stderr
    assert bad.returncode == 3
    assert "Traceback" not in bad.stderr


def test_files_that_make_no_identity_are_told_before_the_start(
    site: Site, tmp_path: Path
) -> None:
    node = node_for(tmp_path, Archive())
    node.settings["node"]["tls"] = {
        "certificate_file": str(site.trusted.certificate),
        "key_file": str(site.stranger.key),
    }
    node.settings["peers"]["pacs"]["tls"] = {"ca_file": "missing.pem"}
    node.settings["node"]["port"] = free_port()
    tmp_path.mkdir(exist_ok=True)
    node.start(wait=False)
    assert node.process.wait(WITHIN_S) == 2
    said = node.log.read_text()
    assert "node.tls: the files make no TLS identity: key values mismatch" in said
    assert "peers.pacs.tls.ca_file: " in said
    assert "missing.pem cannot be read" in said

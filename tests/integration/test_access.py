"""AE titles bound to hosts and certificates, with real sockets and certificates."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from dicom_node.ops.verification import echo, itself
from dicom_node.settings.load import load
from dicom_node.settings.ops_plan import ops_plan
from tests.support.certificates import Identity, authority, signed
from tests.support.node_process import Node, node_for
from tests.support.peers import HOST, Archive, free_port, wait_until
from tests.support.raw_association import associate_request, read_pdu

ACCEPTED = "accepted"
NOT_RECOGNISED = "rejected 1 1 3"
ANOTHER_HOST = "calling AE title from another host"
ANOTHER_CERTIFICATE = "calling AE title with another certificate"
ELSEWHERE = "127.0.0.2"


@dataclass(frozen=True, kw_only=True)
class Site:
    node: Node
    ca: Path
    pacs: Identity
    modality: Identity
    server: Identity

    def asks(self, title: str, who: Identity | None, *, address: str = HOST) -> str:
        """Ask for an association, and return what is answered."""
        with (
            socket.create_connection(
                (HOST, self.node.port), timeout=20, source_address=(address, 0)
            ) as plain,
            _client(self.ca, who).wrap_socket(plain) as connection,
        ):
            connection.sendall(associate_request(title.encode().ljust(16)))
            answer = read_pdu(connection)
        if answer[0] == 2:
            return ACCEPTED
        return " ".join(["rejected", *map(str, answer[-3:])])

    def serial(self) -> str:
        """Return which certificate the node shows."""
        with (
            socket.create_connection((HOST, self.node.port), timeout=20) as plain,
            _client(self.ca, self.pacs).wrap_socket(plain) as connection,
        ):
            shown = connection.getpeercert() or {}
            return str(shown["serialNumber"])

    def rejections(self) -> dict[str, float]:
        """Return how many associations were rejected, by reason."""
        port = self.node.settings["ops"]["port"]
        connection = http.client.HTTPConnection(HOST, port, timeout=15)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except OSError:
            return {}
        finally:
            connection.close()
        return {
            sample.labels["reason"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "lumbar_node_associations_rejected_total"
        }


def _client(ca: Path, who: Identity | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    if who is not None:
        context.load_cert_chain(who.certificate, who.key)
    return context


def answers(site: Site) -> bool:
    try:
        return site.asks("PACS", site.pacs, address=ELSEWHERE) == ACCEPTED
    except OSError:
        return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("access")) as made:
        yield made


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """Run a node whose peers are bound."""
    ours = authority(folder)
    made = Site(
        node=node_for(folder / "node", Archive()),
        ca=ours.certificate,
        pacs=signed(folder, "pacs", ours, alternative="DNS:pacs.example"),
        modality=signed(folder, "mr", ours),
        server=signed(folder, "server", ours),
    )
    settings = made.node.settings
    settings["node"]["tls"] = {
        "ca_file": str(ours.certificate),
        "certificate_file": str(made.server.certificate),
        "key_file": str(made.server.key),
        "require_peer_certificate": False,
    }
    settings["ops"] = {"port": free_port()}
    peer = settings["peers"]["pacs"]
    settings["peers"] = {
        "pacs": {
            **peer,
            "calling_hosts": [ELSEWHERE, "192.0.2.0/24"],
            "certificate_names": ["PACS.example"],
        },
        "mr": {**peer, "ae_title": "MR1", "certificate_names": ["mr"]},
        "free": {**peer, "ae_title": "FREE"},
    }
    made.node.start(wait=False)
    try:
        wait_until(lambda: answers(made), what="the node answers")
        yield made
    finally:
        made.node.stop()
        made.node.kill()


def test_a_title_is_believed_from_its_host_with_its_certificate_alone(
    site: Site,
) -> None:
    wait_until(lambda: bool(site.rejections()), what="metrics")
    before, told = site.rejections(), len(site.node.events())
    assert (before[ANOTHER_HOST], before[ANOTHER_CERTIFICATE]) == (0, 0)
    assert site.asks("PACS", site.pacs, address=ELSEWHERE) == ACCEPTED
    assert site.asks("PACS", site.pacs) == NOT_RECOGNISED
    assert site.asks("PACS", site.modality, address=ELSEWHERE) == NOT_RECOGNISED
    assert site.asks("PACS", None, address=ELSEWHERE) == NOT_RECOGNISED
    # Without a DNS name in the certificate, the common name counts.
    assert site.asks("MR1", site.modality) == ACCEPTED
    assert site.asks("MR1", site.pacs) == NOT_RECOGNISED
    # A title that is not bound goes on as before, and an unknown one too.
    assert site.asks("FREE", None) == ACCEPTED
    assert site.asks("NOBODY", site.pacs) == NOT_RECOGNISED

    def counted() -> bool:
        now = site.rejections()
        return (now[ANOTHER_HOST], now[ANOTHER_CERTIFICATE]) == (1, 3)

    wait_until(counted, what="rejections are counted by reason")
    rows = site.node.events()[told:]
    rejected = [
        (row["calling_ae"], row["address"], row["reason"])
        for row in rows
        if row["event"] == "association_rejected"
    ]
    assert ("PACS", HOST, ANOTHER_HOST) in rejected
    assert ("PACS", ELSEWHERE, ANOTHER_CERTIFICATE) in rejected
    shown = [row["reason"] for row in rows if row["event"] == "certificate_refused"]
    assert shown == ["names: 127.0.0.1, mr", "names: none", "names: pacs.example"]


def test_the_node_itself_is_still_answered(site: Site) -> None:
    plan = ops_plan(load(site.node.config, analyses=["lumbar-mri"]))
    assert 0 < echo(itself(plan), 20) < 20


def test_a_reload_binds_anew_and_shows_the_renewed_certificate(tmp_path: Path) -> None:
    with served(tmp_path) as site:
        _bind_anew(site, tmp_path)


def _bind_anew(site: Site, tmp_path: Path) -> None:
    ours = Identity(certificate=site.ca, key=site.ca.with_suffix(".key"))
    renewed = signed(tmp_path, "renewed", ours)
    before = site.serial()
    certificate, key = site.server.certificate, site.server.key
    certificate.write_bytes(renewed.certificate.read_bytes())
    key.write_bytes(renewed.key.read_bytes())
    site.node.settings["peers"]["pacs"]["calling_hosts"] = [HOST]
    site.node.config.write_text(yaml.safe_dump(site.node.settings))
    site.node.process.send_signal(signal.SIGHUP)
    wait_until(lambda: site.asks("PACS", site.pacs) == ACCEPTED, what="it is bound")
    assert site.asks("PACS", site.pacs, address=ELSEWHERE) == NOT_RECOGNISED
    assert site.serial() != before

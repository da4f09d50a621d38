"""FHIR servers and HL7 receivers that refuse, break, and are away.

That a report is delivered when they come back stands in `test_stow_orthanc.py`, beside
other peers that are away.
"""

from __future__ import annotations

import argparse
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node.cli.probe_command import run_probe
from dicom_node.cli.setup_commands import run_echo
from dicom_node.errors import PeerUnreachableError
from dicom_node.jobs.step_outcome import Verdict
from dicom_node.node_report import PeerKind
from dicom_node.ops.reach import reach
from dicom_node.peers.fhir import post_report
from dicom_node.peers.mllp import send_message
from dicom_node.records import InstanceOutcome
from dicom_node.settings.hl7_peer import Hl7Peer
from dicom_node.settings.ops_plan import peer_plan
from dicom_node.settings.tls_sections import RequestorTls
from dicom_node.settings.web_peer import FhirPeer
from dicom_node.work.deliver import judge
from tests.support.certificates import authority, signed
from tests.support.fhir_server import FhirServer
from tests.support.hl7_receiver import Hl7Receiver, acknowledging, framed
from tests.support.node_process import settings_for
from tests.support.peers import HOST, free_port, wait_until

REPORT: dict[str, Any] = {"path": Path("sr.dcm"), "uid": "1.2.3"}
MESSAGE = "MSH|^~\\&|A||B||2026||ORU^R01^ORU_R01|42|P|2.5.1\rPID|1||7||SMITH^JOHN\r"
BUNDLE = json.dumps(
    {"entry": [{"resource": {}, "request": {"ifNoneExist": str(n)}} for n in range(2)]}
).encode()


def said_by_hl7(receiver: Hl7Receiver, **peer: Any) -> InstanceOutcome:
    where = Hl7Peer(host=HOST, port=receiver.port, **{"timeout_s": 30, **peer})
    return send_message("ris", where, MESSAGE.encode, control_id="42", **REPORT)


def said_by_fhir(server: FhirServer, **peer: Any) -> InstanceOutcome:
    return post_report(
        "his", FhirPeer(url=server.url, **peer), lambda: BUNDLE, **REPORT
    )


HL7_ANSWERS = [
    (acknowledging("AA"), "done", ""),
    (acknowledging("CA"), "done", ""),
    (acknowledging("AE"), "failed", "MSA-1 AE"),
    (acknowledging("AE", "101"), "failed", "MSA-1 AE, error 101"),
    (acknowledging("AE", "204"), "again", "MSA-1 AE, error 204"),
    (acknowledging("AE", "101", "207"), "again", "error 101, 207"),
    (acknowledging("AR"), "again", "MSA-1 AR"),
    (acknowledging("AR", "207"), "again", "MSA-1 AR, error 207"),
    (acknowledging("AR", "203"), "failed", "MSA-1 AR, error 203"),
    (acknowledging("AA", of="41"), "again", "MSA-1 AA, for another message"),
    (acknowledging("AE", of=""), "again", "MSA-1 AE, for another message"),
    (acknowledging("SMITH"), "again", "no known MSA-1"),
    (lambda _: b"", "again", "no answer"),
    (lambda _: framed("MSH|^~\\&|")[:-2], "again", "half an answer"),
    (lambda _: framed(""), "again", "no acknowledgement"),
    (lambda _: framed("PID|1||7||SMITH"), "again", "no acknowledgement"),
    (lambda _: b"HTTP/1.1 400 SMITH\x1c\r", "again", "no MLLP"),
    (lambda _: b"\x0b" + b"x" * 2**17, "again", "does not end"),
]


def test_an_acknowledgement_is_understood_and_none_of_its_text_is_told() -> None:
    with Hl7Receiver(acknowledging("AA")) as receiver:
        for receiver.answer, verdict, text in HL7_ANSWERS:
            judged = judge([said_by_hl7(receiver)], stored=())
            assert judged.verdict is Verdict(verdict), judged
            assert text in judged.text
            assert "SMITH" not in judged.text
    assert receiver.messages == [MESSAGE] * len(HL7_ANSWERS)


@pytest.mark.parametrize("segment_end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("frame_end", [b"\x1c\r", b"\x1c\n", b"\x1c"])
def test_what_a_receiver_has_acknowledged_carelessly_is_not_sent_again(
    segment_end: str, frame_end: bytes
) -> None:
    lines = ["MSH|^~\\&|RIS||LUMBAR_AI||2026||ACK|1|P|2.5.1", "MSA|AA|42", ""]
    answer = b"\x0b" + segment_end.join(lines).encode() + frame_end
    with Hl7Receiver(lambda _: answer) as receiver:
        assert said_by_hl7(receiver).stored


def test_a_receiver_that_says_nothing_is_cut_off_and_one_that_is_away_unreachable() -> (
    None
):
    with Hl7Receiver(acknowledging("AA")) as receiver:

        def slow(message: str) -> bytes:
            wait_until(lambda: bool(outcomes), what="the sender has given up")
            return acknowledging("AA")(message)

        outcomes: list[InstanceOutcome] = []
        receiver.answer = slow
        outcomes.append(said_by_hl7(receiver, timeout_s=0.3))
        assert (outcomes[0].stored, outcomes[0].retryable) == (False, True)
        assert outcomes[0].text == "no whole answer in time"
    with pytest.raises(PeerUnreachableError, match="Connection refused"):
        said_by_hl7(receiver)


def test_a_message_goes_over_tls_to_whom_the_certificate_names(tmp_path: Path) -> None:
    by = authority(tmp_path)
    tls = RequestorTls(ca_file=by.certificate)
    for name, alternative in (("right", f"IP:{HOST}"), ("wrong", "DNS:other.example")):
        own = signed(tmp_path, name, by, alternative=alternative)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.certificate, own.key)
        with Hl7Receiver(acknowledging("AA"), tls=context) as receiver:
            if name == "right":
                assert said_by_hl7(receiver, tls=tls).stored
            else:
                with pytest.raises(PeerUnreachableError, match="TLS"):
                    said_by_hl7(receiver, tls=tls)
                assert receiver.messages == []


OUTCOME = b'{"resourceType": "OperationOutcome", "text": "SMITH^JOHN"}'
BAD_ENTRIES = json.dumps(
    {
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [{"response": {"status": "201"}}, {"response": {"status": "404"}}],
    }
).encode()
FHIR_ANSWERS = [
    *((status, OUTCOME, "failed") for status in (400, 405, 412, 413, 415, 422)),
    *((status, OUTCOME, "again") for status in (301, 307, 401, 403, 404, 408, 409)),
    *((status, OUTCOME, "again") for status in (410, 429, 500, 502, 503)),
    (200, b"", "again"),
    (200, b"<html>SMITH</html>", "again"),
    (200, OUTCOME, "again"),
    (200, b"[" * 100_000, "again"),
    (200, b'{"resourceType": "Bundle", "type": "transaction-response"}', "again"),
    (200, BAD_ENTRIES, "again"),
    (201, BAD_ENTRIES, "again"),
]


def test_an_answer_of_fhir_is_understood_and_none_of_its_text_is_told() -> None:
    with FhirServer() as server:
        for status, body, verdict in FHIR_ANSWERS:

            def answer(_: Any, found: tuple[int, bytes] = (status, body)) -> Any:
                return found

            server.answer = answer
            judged = judge([said_by_fhir(server)], stored=())
            assert judged.verdict is Verdict(verdict), (status, body, judged)
            assert f"HTTP {status}" in judged.text
            assert "SMITH" not in judged.text
        # No redirect was followed.
        assert len(server.bundles) == len(FHIR_ANSWERS)


def test_a_transaction_that_comes_again_creates_nothing_twice() -> None:
    with FhirServer() as server:
        assert said_by_fhir(server).stored
        assert said_by_fhir(server).stored
    assert len(server.held) == 2
    with pytest.raises(PeerUnreachableError, match="Connection refused"):
        said_by_fhir(server)


CAPABLE = {
    "resourceType": "CapabilityStatement",
    "fhirVersion": "4.0.1",
    "rest": [
        {
            "mode": "server",
            "interaction": [{"code": "transaction"}],
            "resource": [
                {
                    "type": kind,
                    "interaction": [{"code": "create"}],
                    "conditionalCreate": True,
                }
                for kind in ("DiagnosticReport", "Observation")
            ],
        }
    ],
}


@pytest.fixture
def config(tmp_path: Path) -> Iterator[tuple[argparse.Namespace, FhirServer]]:
    (tmp_path / "secret").write_text("for the server alone")
    with FhirServer() as server, Hl7Receiver(acknowledging("AA")) as receiver:
        settings = settings_for(tmp_path, node_port=free_port(), peers={})
        address = {"url": server.url, "token_file": "secret"}
        settings |= {
            "web_peers": {"cloud": address},
            "fhir_peers": {"his": address},
            "hl7_peers": {"ris": {"host": HOST, "port": receiver.port}},
        }
        settings["routes"][0]["deliver_to"] = ["cloud", "his", "ris"]
        path = tmp_path / "node.yaml"
        path.write_text(json.dumps(settings))
        yield argparse.Namespace(config=path, json=False), server
        assert receiver.messages == []


def test_every_kind_of_peer_is_asked_whether_it_is_there(
    config: tuple[argparse.Namespace, FhirServer], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, server = config
    server.metadata = json.dumps(CAPABLE).encode()
    for arguments.peer, told in (
        ("cloud", "answers, HTTP 200 with our credentials"),
        ("his", "answers, HTTP 200 with our credentials"),
        ("ris", "takes connections; no message was sent"),
    ):
        for command in (run_echo, run_probe):
            assert command(arguments) == 0
            assert told in capsys.readouterr().out
    assert {one["Authorization"] for one in server.headers} == {
        "Bearer for the server alone"
    }
    assert server.bundles == []
    server.greeted = 401
    for arguments.peer in ("cloud", "his"):
        with pytest.raises(PeerUnreachableError, match="take our credentials"):
            run_echo(arguments)


def test_a_probe_tells_what_a_server_does_not_offer(
    config: tuple[argparse.Namespace, FhirServer], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, server = config
    arguments.peer = "his"
    server.metadata = json.dumps({**CAPABLE, "fhirVersion": "3.0.2"}).encode()
    assert run_probe(arguments) == 1
    assert "his does not offer FHIR R4" in capsys.readouterr().err
    server.metadata = b"<html>"
    with pytest.raises(PeerUnreachableError, match="no CapabilityStatement"):
        run_probe(arguments)


def test_the_page_reaches_every_kind_and_tells_of_credentials() -> None:
    with FhirServer() as server, Hl7Receiver(acknowledging("AA")) as receiver:
        his = peer_plan("his", FhirPeer(url=server.url))
        ris = peer_plan("ris", Hl7Peer(host=HOST, port=receiver.port))
        assert (his.kind, ris.kind) == (PeerKind.FHIR, PeerKind.HL7)
        assert reach(his, "LUMBAR_AI", 30) > 0
        assert reach(ris, "LUMBAR_AI", 30) > 0
        server.greeted = 403
        with pytest.raises(OSError, match="does not take our credentials"):
            reach(his, "LUMBAR_AI", 30)
        server.greeted = 503
        with pytest.raises(OSError, match="HTTP 503"):
            reach(his, "LUMBAR_AI", 30)
    for gone in (his, ris):
        with pytest.raises(OSError, match="refused"):
            reach(gone, "LUMBAR_AI", 30)

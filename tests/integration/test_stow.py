"""STOW-RS against services that answer wrongly, late, without an end, or not at all."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID, Comprehensive3DSRStorage, SegmentationStorage

from dicom_node.errors import PeerUnreachableError
from dicom_node.jobs.step_outcome import Verdict
from dicom_node.peers.stow import store_instances
from dicom_node.records import InstanceOutcome
from dicom_node.settings.tls_sections import RequestorTls
from dicom_node.settings.web_peer import WebPeer
from dicom_node.work.deliver import judge
from tests.support.certificates import authority, signed
from tests.support.dicom_files import mr_instance
from tests.support.peers import HOST, free_port
from tests.support.web_archive import (
    FAILED,
    REFERENCED,
    Asked,
    WebArchive,
    drips,
    named,
)

Answer = Callable[[Asked], None]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, paths = tmp_path_factory.mktemp("results"), []
    for number, sop_class in enumerate((SegmentationStorage, Comprehensive3DSRStorage)):
        found = mr_instance(number + 1)
        found.SOPClassUID = UID(sop_class)
        found.file_meta.MediaStorageSOPClassUID = UID(sop_class)
        path = folder / f"{number}.dcm"
        found.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def stored(asked: Asked) -> None:
    asked.reply(200, named(REFERENCED, asked.uid))


def always(status: int, body: bytes = b"", **more: Any) -> Answer:
    return lambda asked: asked.reply(status, body, **more)


def about(status: int, sequence: str, reason: int | None = None) -> Answer:
    return lambda asked: asked.reply(status, named(sequence, asked.uid, reason))


def outcomes_of(
    answer: Answer, paths: list[Path], **peer: Any
) -> tuple[list[Asked], tuple[InstanceOutcome, ...]]:
    with WebArchive(answer) as archive:
        found = store_instances("web", WebPeer(url=archive.url, **peer), paths)
    return archive.asked, found


def test_each_instance_comes_as_it_lies_on_disk(results: list[Path]) -> None:
    asked, outcomes = outcomes_of(stored, results)
    assert [one.content for one in asked] == [path.read_bytes() for path in results]
    assert {one.path for one in asked} == {"/dicom-web/studies"}
    assert all(one.stored for one in outcomes)
    assert [one.sop_instance_uid for one in outcomes] == [one.uid for one in asked]
    assert "Authorization" not in asked[0].headers


OTHER = named(REFERENCED, "1.2.3.4.5")
NEVER_SAID = "an answer that does not name the instance"


@pytest.mark.parametrize(
    ("answer", "verdict", "text"),
    [
        (always(409), "failed", "HTTP 409"),
        (about(409, FAILED, 0x0111), "done", ""),
        (about(409, FAILED, 0xA700), "again", "failure reason 0xa700"),
        (about(409, FAILED, 0xA900), "failed", "failure reason 0xa900"),
        (about(409, REFERENCED), "failed", "HTTP 409"),
        (about(202, FAILED, 0x0110), "again", "failure reason 0x0110"),
        (about(202, REFERENCED), "done", ""),
        (always(400), "failed", "HTTP 400"),
        (always(413), "failed", "HTTP 413"),
        (always(415), "failed", "HTTP 415"),
        (always(401), "again", "HTTP 401"),
        (always(404), "again", "HTTP 404"),
        (always(301), "again", "HTTP 301"),
        (always(429), "again", "HTTP 429"),
        (always(500), "again", "HTTP 500"),
        (always(503), "again", "HTTP 503"),
        (always(200), "again", "no DICOM JSON"),
        (always(200, b"<html>SMITH^JOHN</html>"), "again", "no DICOM JSON"),
        (always(200, b"[" * 100_000), "again", "no DICOM JSON"),
        (always(200, b'{"00081199": {"Value": [1]}}'), "again", "no DICOM JSON"),
        (always(200, b"{}"), "again", NEVER_SAID),
        (always(200, OTHER), "again", NEVER_SAID),
        (always(200, b" " * 2**21), "again", "no DICOM JSON"),
        (always(200, OTHER[:40], length=9999), "again", "no whole answer"),
    ],
)
def test_an_answer_is_understood_and_none_of_its_text_is_told(
    results: list[Path], answer: Answer, verdict: str, text: str
) -> None:
    _, outcomes = outcomes_of(answer, results[:1])
    judged = judge(outcomes, stored=())
    assert judged.verdict is Verdict(verdict)
    assert text in judged.text
    assert "SMITH" not in judged.text


def test_half_of_what_was_sent_is_stored_and_the_rest_is_tried_again(
    results: list[Path],
) -> None:
    uids: list[str] = []

    def half(asked: Asked) -> None:
        uids.append(asked.uid)
        (stored if len(uids) == 1 else always(500))(asked)

    _, outcomes = outcomes_of(half, results)
    judged = judge(outcomes, stored=())
    assert (judged.verdict, judged.stored) == (Verdict.AGAIN, tuple(uids[:1]))


def test_an_answer_that_never_ends_is_cut_off(
    results: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.peers.stow._LEAST_BYTES_PER_S", 2**30)
    with WebArchive(stored) as archive:
        archive.answer = drips(archive.ending)
        peer = WebPeer(url=archive.url, timeout_s=1)
        (outcome,) = store_instances("web", peer, results[:1])
    assert (outcome.stored, outcome.retryable) == (False, True)
    assert "no whole answer" in outcome.text


def test_a_service_that_says_nothing_is_given_up_and_tried_later(
    results: list[Path],
) -> None:
    with WebArchive(stored) as archive:

        def silent(_: Asked) -> None:
            archive.ending.wait()

        archive.answer = silent
        peer = WebPeer(url=archive.url, timeout_s=1)
        first, second = store_instances("web", peer, results)
        archive.ending.set()
    assert (first.stored, first.retryable) == (False, True)
    assert (second.stored, second.retryable) == (False, True)
    assert len(archive.asked) == 1


def test_a_service_that_is_not_there_is_unreachable(results: list[Path]) -> None:
    peer = WebPeer(url=f"http://{HOST}:{free_port()}/dicom-web")
    with pytest.raises(PeerUnreachableError, match="Connection refused"):
        store_instances("web", peer, results)


def test_a_token_is_read_for_each_delivery_and_a_password_likewise(
    results: list[Path], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first\r\nX-Forged: yes\n")
    with WebArchive(stored) as archive:
        peer = WebPeer(url=archive.url, token_file=secret)
        store_instances("web", peer, results[:1])
        secret.write_text("second\n")
        store_instances("web", peer, results[:1])
        basic = WebPeer(url=archive.url, user="node", password_file=secret)
        store_instances("web", basic, results[:1])
    assert [one.headers["Authorization"] for one in archive.asked] == [
        "Bearer first",
        "Bearer second",
        f"Basic {base64.b64encode(b'node:second').decode()}",
    ]
    assert "X-Forged" not in archive.asked[0].headers


def test_a_service_is_asked_over_tls_if_its_certificate_is_right(
    results: list[Path], tmp_path: Path
) -> None:
    by = authority(tmp_path)
    for name, alternative in (("right", f"IP:{HOST}"), ("wrong", "DNS:other.example")):
        own = signed(tmp_path, name, by, alternative=alternative)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.certificate, own.key)
        with WebArchive(stored, tls=context) as archive:
            peer = WebPeer(
                url=archive.url, tls=RequestorTls(ca_file=by.certificate), timeout_s=30
            )
            if name == "right":
                assert all(one.stored for one in store_instances("w", peer, results))
            else:
                with pytest.raises(PeerUnreachableError, match="TLS"):
                    store_instances("web", peer, results)
                assert archive.asked == []

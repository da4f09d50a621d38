"""E-mail and webhook of a running node, and servers that hang, refuse or babble."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
from pydicom.uid import SegmentationStorage

from dicom_node.ops.notification_sender import send as send_message
from tests.support import variants
from tests.support.node_process import Node, node_for
from tests.support.peers import HOST, Archive, free_port, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.post_office import answering, mail_server, webhook
from tests.support.variants import Series, fresh


@pytest.fixture(scope="module")
def little(demo_series: Path) -> Series:
    return variants.small(variants.read_bundled(demo_series))[:4]


def test_a_message_is_taken_by_mail_and_webhook() -> None:
    with mail_server() as mail, webhook() as hook:
        for box in (mail, hook):
            assert send_message(box.url, "a title", "New:\n- häufig\n") == ""
            ((title, text),) = box.messages
            assert (title, text.split()) == ("a title", ["New:", "-", "häufig"])


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [
        ("mailto", b"\xff\x00 rubbish\r\n" * 20),
        ("mailto", b""),
        ("json", b"\xff\x00 rubbish\r\n" * 20),
        ("json", b"HTTP/1.1 500 O"),
    ],
)
def test_a_server_that_babbles_has_taken_nothing(scheme: str, answer: bytes) -> None:
    with answering(answer) as port:
        assert send_message(address(scheme, port), "title", "text") == "not taken"


def address(scheme: str, port: int) -> str:
    return f"{scheme}://{HOST}:{port}/a@b.example?from=c@d.example"


def test_a_server_that_hangs_is_left_in_time_with_its_process() -> None:
    with answering(None) as port:
        started_s = time.monotonic()
        why = send_message(address("mailto", port), "title", "text", within_s=2.0)
        assert why == "no answer within 2 s"
        assert time.monotonic() - started_s < 8
    senders = [
        child
        for child in psutil.Process().children()
        if "notification_sender" in " ".join(child.cmdline())
    ]
    assert senders == []


def test_a_server_that_refuses_and_an_address_that_is_none() -> None:
    assert send_message(address("json", free_port()), "title", "text") == "not taken"
    with webhook(status=500) as hook:
        assert send_message(hook.url, "title", "text") == "not taken"
    why = send_message("carrier-pigeon://roof", "title", "text")
    assert why == "no address that apprise knows"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_message_follows_no_redirect_on_which_it_is_lost(status: int) -> None:
    with webhook() as other, webhook(status, leads_to=other.url) as hook:
        assert send_message(hook.url, "title", "text") == "not taken"
        assert (len(hook.messages), other.messages) == (1, [])


def told(node: Node, event: str) -> list[str]:
    return [row["reason"] for row in node.events() if row["event"] == event]


def failed_job(node: Node, little: Series) -> tuple[str, Series]:
    series = fresh(little)
    send(series, node.port)
    (row,) = node.settled_jobs_of(str(series[0].SeriesInstanceUID))
    assert row["state"] == "failed"
    return str(row["id"]), series


def test_a_node_tells_of_a_failed_job_once_also_over_a_restart(
    tmp_path: Path, little: Series
) -> None:
    urls = tmp_path / "urls"
    with (
        mail_server() as mail,
        webhook() as hook,
        answering(None) as silent,
        Archive(refused_classes=(SegmentationStorage,)) as archive,
    ):
        urls.write_text(
            f"{address('json', silent)}\n{mail.url}\n# one more\n{hook.url}"
        )
        node = node_for(
            tmp_path / "node",
            archive,
            analysis=NAME,
            environment=make_installed(tmp_path / "installed"),
        )
        # Without `ops`: no port is opened, and the process is there all the same.
        node.settings["notify"] = {"urls_file": str(urls), "every_s": 1}
        with node:
            first, series = failed_job(node, little)
            # The server that hangs comes first, and holds neither these nor us up.
            wait_until(lambda: bool(mail.messages and hook.messages), what="told")
            for title, text in (mail.messages[0], hook.messages[0]):
                assert title == "lumbar-node LUMBAR_AI: 1 new, 0 over"
                assert "1 job failed: delivery-refused (1)" in text
                assert first[:12] in text
                assert str(series[0].PatientName) not in text
                assert str(series[0].StudyInstanceUID) not in text
            wait_until(
                lambda: len(told(node, "notification_sent")) == 2, what="both noted"
            )
            assert node.stop() == 0
            node.start()
            second, _ = failed_job(node, little)
            wait_until(lambda: len(mail.messages) > 1, what="told again")
        title, text = mail.messages[1]
        assert title == "lumbar-node LUMBAR_AI: 1 new, 0 over"
        assert second[:12] in text
        assert first[:12] not in text
        assert "Told before, and not over: 1" in text
        assert "ops_listening" not in {row["event"] for row in node.events()}
        failures = told(node, "notification_failed")
        assert all(one.startswith("address 1 (json): ") for one in failures)

"""One verdict for what a peer answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicom_node.jobs.step_outcome import Verdict
from dicom_node.records import InstanceOutcome
from dicom_node.settings.hl7_peer import Hl7Peer
from dicom_node.settings.sections import Peer, Receiver, Settings
from dicom_node.settings.web_peer import FhirPeer, WebPeer
from dicom_node.spool_layout import deliverable
from dicom_node.work.deliver import deliver, judge, owed_to
from dicom_node.work.encode import takers_of_pages
from dicom_node.work.result_files import move_into
from tests.support.dicom_files import mr_instance


def outcome(name: str, *, stored: bool, retryable: bool = False) -> InstanceOutcome:
    return InstanceOutcome(
        path=Path(f"{name}.dcm"),
        sop_instance_uid=f"1.{len(name)}",
        stored=stored,
        status=0x0000 if stored else None,
        text="stored" if stored else "lost",
        retryable=retryable,
    )


SEG = outcome("seg", stored=True)
SR_LOST = outcome("sr", stored=False, retryable=True)
SC_REFUSED = outcome("sc_01", stored=False)


@pytest.mark.parametrize(
    ("answers", "verdict", "code"),
    [
        ([SEG], Verdict.DONE, ""),
        ([SEG, SR_LOST], Verdict.AGAIN, "not-stored"),
        ([SEG, SC_REFUSED], Verdict.FAILED, "delivery-refused"),
        ([SR_LOST, SC_REFUSED], Verdict.AGAIN, "not-stored"),
    ],
)
def test_it_is_tried_again_if_that_may_help_any_instance(
    answers: list[InstanceOutcome], verdict: Verdict, code: str
) -> None:
    judged = judge(answers, stored=())
    assert (judged.verdict, judged.code) == (verdict, code)


def test_what_was_stored_before_and_now_is_remembered() -> None:
    assert judge([SEG, SR_LOST], stored=("1.9",)).stored == ("1.9", "1.3")


def test_results_that_have_gone_are_told_and_not_waited_for(tmp_path: Path) -> None:
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=1)
    done = deliver(tmp_path, "pacs", peer, calling_ae="US", stored=())
    assert (done.verdict, done.code) == (Verdict.FAILED, "results-missing")


def test_a_report_peer_gets_the_report_alone_and_no_page(tmp_path: Path) -> None:
    his = FhirPeer(url="http://127.0.0.1:1/fhir")
    ris = Hl7Peer(host="127.0.0.1", port=1)
    cloud = WebPeer(url="http://127.0.0.1:1/dicom-web")
    (tmp_path / "seg.dcm").touch()
    assert [path.name for path in owed_to(cloud, tmp_path)] == ["seg.dcm"]
    for name, peer in (("his", his), ("ris", ris)):
        assert owed_to(peer, tmp_path) == ()
        done = deliver(tmp_path, name, peer, calling_ae="US", stored=())
        assert (done.verdict, done.code) == (Verdict.FAILED, "results-missing")
    (tmp_path / "sr.dcm").touch()
    assert {owed_to(peer, tmp_path) for peer in (his, ris)} == {(tmp_path / "sr.dcm",)}
    settings = Settings.model_validate(
        {
            "version": 1,
            "web_peers": {"cloud": cloud},
            "fhir_peers": {"his": his},
            "hl7_peers": {"ris": ris},
            "spool": {"folder": str(tmp_path)},
            "routes": [{"name": "one", "deliver_to": ["his", "ris", "cloud"]}],
        }
    )
    shown_to = takers_of_pages(settings.routes[0].deliver_to, settings)
    assert shown_to == ("cloud",)


@pytest.mark.parametrize("kind", ["cloud", "his", "ris", "strange"])
def test_secrets_that_cannot_be_read_now_are_waited_for(
    tmp_path: Path, kind: str
) -> None:
    # Whoever renews a token or a certificate may take the old one away first.
    mr_instance().save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    token, url = tmp_path / "token", "https://127.0.0.1:1/x"
    tls = {"ca_file": tmp_path / "ca.pem"}
    peers: dict[str, Receiver] = {
        "cloud": WebPeer(url=url, token_file=token),
        "his": FhirPeer(url=url, token_file=token),
        "ris": Hl7Peer.model_validate({"host": "127.0.0.1", "port": 1, "tls": tls}),
        "strange": WebPeer(url=url, token_file=token),
    }
    if kind == "strange":
        token.write_bytes(b"to\x00ken \xff")
    done = deliver(tmp_path, kind, peers[kind], calling_ae="US", stored=())
    assert (done.verdict, done.code) == (Verdict.AGAIN, "peer-unreachable")
    assert f"{kind} (127.0.0.1:1): " in done.text
    if kind != "ris":
        what = "No such file" if kind != "strange" else "holds what no HTTP header may"
        assert f"{token}: {what}" in done.text


def test_objects_go_out_with_what_is_referred_to_first(tmp_path: Path) -> None:
    for name in ("sc_02.dcm", "sr.dcm", "seg.dcm", "report.json", "sc_01.dcm"):
        (tmp_path / name).touch()
    names = [path.name for path in deliverable(tmp_path)]
    assert names == ["seg.dcm", "sr.dcm", "sc_01.dcm", "sc_02.dcm"]


def test_a_new_result_leaves_nothing_of_an_older_one_but_foreign_files(
    tmp_path: Path,
) -> None:
    out, partial = tmp_path / "out", tmp_path / "partial"
    for folder in (out, partial):
        folder.mkdir()
    for name in ("seg.dcm", "sc_01.dcm", "sc_02.dcm", "overlay.png", "notes.txt"):
        (out / name).write_text("old")
    for name in ("sc_01.dcm", "report.json"):
        (partial / name).write_text("new")
    move_into(partial, out)
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "sc_01.dcm": "new",
        "report.json": "new",
        "notes.txt": "old",
    }

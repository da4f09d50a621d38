"""Mistakes in `web_peers` and `audit`, each with line, path and limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicom_node.audit.plan import Transport
from dicom_node.cli.load_settings import receiver_named
from dicom_node.errors import PeerUnknownError, SettingsError
from dicom_node.settings.audit_plan import audit_plan
from dicom_node.settings.load import load
from dicom_node.settings.sections import Settings

GOOD = """\
version: 1
peers:
  pacs: {ae_title: PACS, host: 10.0.0.5}
web_peers:
  cloud: {url: "https://archive.example/dicom-web/"}
spool: {folder: spool}
routes:
  - {name: lumbar, deliver_to: [pacs, cloud]}
"""


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "node.yaml"
    path.write_text(text)
    return load(path, analyses=("lumbar-mri",))


def test_results_go_to_a_web_peer_by_its_name(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GOOD)
    assert settings.web_peers["cloud"].url == "https://archive.example/dicom-web"
    receiver_named("cloud", settings)
    receiver_named("pacs", settings)
    with pytest.raises(PeerUnknownError, match="cloud, pacs"):
        receiver_named("nobody", settings)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("cloud: {", "pacs: {", "5 web_peers.pacs: pacs is also the name of a peer"),
        ("cloud: {", "self-test: {", "5 web_peers.self-test: self-test is the name of"),
        ("https://", "ftp://", "5 web_peers.cloud.url: "),
        ("https://", "https://ann:x@", "5 web_peers.cloud.url: "),
        ("/dicom-web/", ":99999/", "5 web_peers.cloud.url: "),
        ("/dicom-web/", "/dicom web/", "5 web_peers.cloud.url: "),
        ("/dicom-web/", "/bilder-münchen/", "5 web_peers.cloud.url: "),
        ('web/"', 'web", user: ann', "5 web_peers.cloud: user and password_file go"),
        ('web/"', 'web", token_file: none', "web_peers.cloud.token_file: "),
        ("[pacs, cloud]", "[clod]", "no peer is named clod (peers: cloud, pacs)"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in GOOD
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, GOOD.replace(old, new))
    assert any(problem in one for one in caught.value.problems), caught.value.problems


REPORTS = GOOD.replace(
    "spool:",
    """fhir_peers:
  his: {url: "https://his.example/fhir", patient_system: "urn:oid:1.2.3"}
hl7_peers:
  ris: {host: ris.example, receiving_application: RIS}
spool:""",
).replace("[pacs, cloud]", "[pacs, his, ris]")


def test_reports_go_to_fhir_and_hl7_peers_by_their_names(tmp_path: Path) -> None:
    settings = loaded(tmp_path, REPORTS)
    assert set(settings.receivers) == {"pacs", "cloud", "his", "ris"}
    assert settings.hl7_peers["ris"].port == 2575


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("his: {", "cloud: {", "7 fhir_peers.cloud: cloud is also the name of a peer"),
        ("ris: {", "pacs: {", "9 hl7_peers.pacs: pacs is also the name of a peer"),
        ("ris: {", "self-test: {", "9 hl7_peers.self-test: self-test is the name of"),
        ("urn:oid:1.2.3", "hospital", "7 fhir_peers.his.patient_system: "),
        ("https://his", "ftp://his", "7 fhir_peers.his.url: "),
        ("RIS}", "'R|S'}", "9 hl7_peers.ris.receiving_application: "),
        ("ris.example", "'ris.example:1'", "9 hl7_peers.ris.host: "),
        ("RIS}", "RIS, tls: {ca_file: none}}", "hl7_peers.ris.tls.ca_file: "),
        ("ris]", "ris], objects: [sc]", "his, ris gets what the sr says"),
    ],
)
def test_a_mistake_about_reports_is_told(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in REPORTS
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, REPORTS.replace(old, new))
    assert any(problem in one for one in caught.value.problems), caught.value.problems


def test_a_token_goes_over_https_alone_but_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    text = GOOD.replace('web/"', 'web", token_file: token')
    loaded(tmp_path, text)
    loaded(tmp_path, text.replace("https://archive.example", "http://127.0.0.1"))
    with pytest.raises(SettingsError, match="credentials go over https alone"):
        loaded(tmp_path, text.replace("https://", "http://"))


def test_audit_messages_go_where_the_settings_say(tmp_path: Path) -> None:
    assert audit_plan(loaded(tmp_path, GOOD)) is None
    plan = audit_plan(loaded(tmp_path, GOOD + "audit: {host: log.example}\n"))
    assert plan is not None
    assert (plan.port, plan.transport, plan.source_id) == (
        6514, Transport.TLS, "LUMBAR_AI",
    )  # fmt: skip
    text = GOOD + "audit: {host: log.example, transport: udp}\n"
    plan = audit_plan(loaded(tmp_path, text))
    assert plan is not None
    assert (plan.port, plan.tls) == (514, None)
    with pytest.raises(SettingsError, match=r"audit\.tls\.ca_file"):
        loaded(tmp_path, GOOD + "audit: {host: a, tls: {ca_file: none.pem}}\n")

"""A whole node has its results proven, by Orthanc and by an archive that is slow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from tests.support import phantom_plugin, variants
from tests.support.committing_peer import CommittingPeer
from tests.support.node_process import Node, settings_for
from tests.support.orthanc import Orthanc
from tests.support.peers import free_port, send, wait_until
from tests.support.variants import fresh, saying

pytestmark = pytest.mark.peer


@dataclass(frozen=True)
class Site:
    """A node whose results go to Orthanc, under two names, and to a slow archive."""

    node: Node
    orthanc: Orthanc
    slow: CommittingPeer

    def job_of(self, series_uid: str) -> dict[str, Any]:
        """Return what the node says of the one job of a series; empty without one."""
        rows = [row for row in self.node.jobs() if row["series_uid"] == series_uid]
        return rows[0] if rows else {}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    node_port = free_port()
    orthanc = Orthanc(
        folder=folder / "orthanc", node_port=node_port, routes_nothing=True
    )
    slow = CommittingPeer(ae_title="SLOW", port=free_port())
    settings = settings_for(
        folder,
        node_port=node_port,
        peers={
            "pacs": ("TESTPACS", orthanc.dicom_port),
            "archive": ("TESTPACS", orthanc.dicom_port),
            "slow": ("SLOW", slow.port),
        },
        analysis=phantom_plugin.NAME,
    )
    settings["peers"]["pacs"]["proof"] = "committed"
    settings["peers"]["archive"]["proof"] = "found"
    settings["peers"]["slow"] |= {"proof": "committed", "may_send": False}
    node = Node(
        folder=folder,
        settings=settings,
        environment=phantom_plugin.make_installed(folder / "installed"),
    )
    with orthanc, slow, node:
        yield Site(node=node, orthanc=orthanc, slow=slow)


def test_a_job_says_what_proves_each_result_also_over_a_kill_of_the_node(
    site: Site, demo_series: Path
) -> None:
    node = site.node
    series = fresh(
        variants.small(variants.read_bundled(demo_series)),
        saying(StudyInstanceUID=generate_uid()),
    )
    uid = str(series[0].SeriesInstanceUID)
    assert set(send(series, node.port, calling="TESTPACS")) == {0x0000}

    def deliveries() -> dict[str, str]:
        found: dict[str, str] = site.job_of(uid).get("deliveries", {})
        return found

    wait_until(
        lambda: (
            deliveries() == {"pacs": "committed", "archive": "found", "slow": "proving"}
        ),
        what="Orthanc has proven all",
    )
    assert site.job_of(uid)["state"] == "delivering"
    request = site.slow.wait_asked()
    asked = {instance for _, instance in request.instances}
    assert (
        asked
        == set(site.slow.stored)
        == {row["sop_uid"] for row in site.orthanc.instances()}
    )
    # Killed before it has noted what it asked, it asks again, by another transaction.
    wait_until(
        lambda: any(
            row["event"] == "proof_attempted" and row["peer"] == "slow"
            for row in node.events()
        ),
        what="it has noted what it asked",
    )

    node.kill()
    node.start()
    assert site.slow.report(request, node.port) == 0x0000
    wait_until(lambda: site.job_of(uid)["state"] == "done", what="the job is done")
    assert len(site.slow.requests) == 1
    assert len(site.slow.stored) == len(asked)

    shown = site.job_of(uid)
    assert shown["deliveries"] == {
        "pacs": "committed",
        "archive": "found",
        "slow": "committed",
    }
    assert shown["proofs"] == {
        peer: dict.fromkeys(asked, proof) for peer, proof in shown["deliveries"].items()
    }
    text = node.command("jobs", "show", shown["id"]).stdout
    assert "to slow:    committed" in text
    assert all(f"at archive: {instance} found" in text for instance in asked)


def test_probe_tells_who_offers_storage_commitment(site: Site) -> None:
    told = site.node.command("probe", "pacs").stdout
    assert "commitment" in told

"""The node serves an anatomy that it has never heard of, and survives a bad one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from tests.support import variants
from tests.support.encoded import named
from tests.support.node_process import Node, node_for
from tests.support.peers import LABEL_MAP_STORAGE, Archive, echo, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.variants import AXIAL, SEGMENTATION, Series, fresh, saying

GIVE_UP_AFTER_S = 1.0
LEAST_SLICES = 6
POISON = generate_uid()
BROKEN = {
    "absent-mri": ("ANKLE", "tests.support.nothing:Nothing"),
    "strange-mri": ("HIP", "tests.support.peers:Archive"),
}
"""By the name of an analysis that cannot be had, its route and what it names."""

ASKED: dict[str, Any] = {
    "objects": ["gsps", "pdf", "seg", "sr", "sc"],
    "segmentation": "labelmap",
    "language": "zh-CN",
    "result_series": {"number": 700, "per_source": 0, "description": "Phantom"},
}
SUMMARY, COMMENT = "121111", "121106"


@dataclass(frozen=True)
class Site:
    """One node for every test; a series tells by its body part which route it goes."""

    node: Node
    archive: Archive
    picky: Archive

    def settled(self, series: Series) -> dict[str, Any]:
        """Return the job of a series once it is settled."""
        (row,) = self.node.settled_jobs_of(str(series[0].SeriesInstanceUID))
        return row


@pytest.fixture(scope="module")
def little(demo_series: Path) -> Series:
    return variants.small(variants.read_bundled(demo_series))


def of(series: Series, body_part: str, *changes: variants.Change) -> Series:
    """Return a series of its own, in a study of its own, for a route."""
    said = saying(BodyPartExamined=body_part, StudyInstanceUID=generate_uid())
    return fresh(series, said, *changes)


def route(
    body_part: str, *deliver_to: str, analysis: str = NAME, **asked: Any
) -> dict[str, Any]:
    return {
        "name": body_part.lower(),
        "accept": {"body_part": [body_part]},
        "analysis": analysis,
        "deliver_to": list(deliver_to),
        **asked,
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    installed = make_installed(folder / "installed")
    (entries,) = (folder / "installed").glob("*/entry_points.txt")
    with entries.open("a") as file:
        for name, (_, target) in BROKEN.items():
            file.write(f"{name} = {target}\n")
    with (
        Archive() as archive,
        Archive(ae_title="PICKY", refused_classes=(SEGMENTATION,)) as picky,
    ):
        node = node_for(
            folder / "node",
            archive,
            picky,
            environment={
                **installed,
                "PHANTOM_POISON": POISON,
                "PHANTOM_MIN_SLICES": str(LEAST_SLICES),
            },
            is_counted=True,
        )
        node.settings["routes"] = [
            route("SPINE", "pacs"),
            route("KNEE", "pacs", "picky"),
            route("SSPINE", "pacs", when_unsuitable="note"),
            route("HAND", "pacs", **ASKED),
            *(route(part, "pacs", analysis=name) for name, (part, _) in BROKEN.items()),
        ]
        node.settings["jobs"] = {
            "retry_first_s": 0.5,
            "retry_longest_s": 0.5,
            "retry_days": GIVE_UP_AFTER_S / 86400,
        }
        with node:
            yield Site(node=node, archive=archive, picky=picky)


def test_a_plugin_is_served_and_a_poison_series_is_given_up(
    site: Site, little: Series
) -> None:
    poison = of(little, "SPINE", saying(SeriesInstanceUID=POISON))
    good = of(little, "SPINE")
    axial = of(little, "SPINE", variants.turned(AXIAL, axis=2))
    send([*poison, *good, *axial], site.node.port)
    site.node.hasten_giving_up(POISON)
    uids = [str(series[0].SeriesInstanceUID) for series in (poison, good, axial)]
    rows = site.node.settled_series(uids)
    listed = site.node.command("jobs", "list", "--json")
    assert echo(site.node.port)
    told = {row["series_uid"]: row for row in json.loads(listed.stdout)}
    assert {uid: told[uid] for uid in uids} == rows
    assert [rows[uid]["state"] for uid in uids] == ["failed", "done", "rejected"]
    assert rows[POISON]["reason"].startswith("worker_crashed")
    # A process that never needs the lumbar science never imports it.
    kinds = [str(one.SOPClassUID) for one in site.archive.results_of(good)]
    assert kinds[0] == SEGMENTATION
    assert len(kinds) == 3
    assert site.archive.results_of([*poison, *axial]) == []


def test_one_peer_refuses_seg_and_aborts_and_the_other_has_it_all(
    site: Site, little: Series
) -> None:
    series, picky = of(little, "KNEE"), site.picky
    send(series, site.node.port)
    row = site.settled(series)
    assert row["state"] == "failed"
    assert row["deliveries"]["pacs"] == "stored"
    assert "seg.dcm: the peer accepts no such SOP class" in row["reason"]
    assert len(picky.received) == 2

    # The site mends its archive, which aborts half-way at first.
    picky.stop()
    picky.refused_classes = ()
    picky.abort_at, picky.requests = 1, 0
    picky.start()
    shown = site.node.command("jobs", "retry", row["id"][:8], "--json")
    assert json.loads(shown.stdout)["state"] == "delivering"
    site.settled(series)
    picky.abort_at = None
    retried = site.node.command("jobs", "retry", row["id"])
    assert retried.returncode in {0, 1}, retried.stderr
    assert site.settled(series)["state"] == "done"
    kinds = [str(one.SOPClassUID) for one in site.archive.results_of(series)]
    assert sorted(picky.classes()) == sorted(kinds)
    assert len(kinds) == 3


def test_an_unsuitable_series_brings_a_note_where_the_route_asks_for_one(
    site: Site, little: Series
) -> None:
    series = of(little, "SSPINE")[: LEAST_SLICES - 1]
    send(series, site.node.port)
    wait_until(
        lambda: site.settled(series)["deliveries"] == {"pacs": "stored"},
        what="the note is delivered",
    )
    row = site.settled(series)
    done = site.node.command("jobs", "show", row["id"])
    assert row["state"] == "rejected"
    assert "too_few_slices: 5 slices, 6 are needed" in done.stdout
    (note,) = (
        one
        for one in site.archive.received
        if one.StudyInstanceUID == series[0].StudyInstanceUID
    )
    assert note.SOPClassUID.name == "Secondary Capture Image Storage"


def test_a_route_asks_for_kinds_language_numbers_and_names_of_its_own(
    site: Site, little: Series
) -> None:
    series = of(little, "HAND")
    send(series, site.node.port)
    row = site.settled(series)
    assert row["state"] == "done", row["reason"]
    received = {
        str(found.Modality): found
        for found in site.archive.received
        if found.StudyInstanceUID == series[0].StudyInstanceUID
    }
    assert [
        (name, found.SeriesNumber, found.SeriesDescription)
        for name, found in received.items()
    ] == [
        ("SEG", 700, "SEG 序列 4，Phantom"),
        ("SR", 701, "SR 序列 4，Phantom"),
        ("OT", 702, "SC 序列 4，Phantom"),
        ("DOC", 703, "PDF 序列 4，Phantom"),
        ("PR", 704, "GSPS 序列 4，Phantom"),
    ]
    assert received["SEG"].SOPClassUID == LABEL_MAP_STORAGE
    (summary,) = named(received["SR"], SUMMARY)
    assert [item.TextValue for item in named(summary, COMMENT)] == ["一个体模。"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_fails_its_jobs_and_stops_nobody(
    site: Site, little: Series, name: str
) -> None:
    body_part, _ = BROKEN[name]
    series = of(little, body_part)
    send(series, site.node.port)
    row = site.settled(series)
    assert echo(site.node.port)
    assert row["state"] == "failed"
    assert row["reason"].startswith("analysis-unavailable: ")
    assert name in row["reason"]
    assert site.archive.results_of(series) == []


def test_the_check_names_each_broken_plugin(site: Site) -> None:
    checked = site.node.command("check")
    assert checked.returncode == 1
    for name in BROKEN:
        assert name in checked.stdout + checked.stderr

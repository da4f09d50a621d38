"""What a route asks for beside the default is what its peers get."""

from __future__ import annotations

from pathlib import Path

from tests.support import variants
from tests.support.encoded import named
from tests.support.node_process import node_for
from tests.support.peers import LABEL_MAP_STORAGE, Archive, send
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.variants import fresh

SUMMARY, COMMENT = "121111", "121106"


def test_a_route_asks_for_kinds_language_numbers_and_names_of_its_own(
    tmp_path: Path, demo_series: Path
) -> None:
    series = fresh(variants.read_bundled(demo_series))
    with Archive() as archive:
        node = node_for(
            tmp_path / "node",
            archive,
            analysis=NAME,
            environment=make_installed(tmp_path / "site"),
        )
        node.settings["routes"][0].update(
            objects=["gsps", "pdf", "seg", "sr", "sc"],
            segmentation="labelmap",
            language="zh-CN",
            result_series={"number": 700, "per_source": 0, "description": "Phantom"},
        )
        with node:
            send(series, node.port)
            (row,) = node.wait_settled(1)
    assert row["state"] == "done", row["reason"]
    received = {found.Modality: found for found in archive.received}
    assert [
        (name, found.SeriesNumber, found.SeriesDescription)
        for name, found in received.items()
    ] == [
        ("SEG", 700, "SEG of series 4, Phantom"),
        ("SR", 701, "SR of series 4, Phantom"),
        ("OT", 702, "SC of series 4, Phantom"),
        ("DOC", 703, "PDF of series 4, Phantom"),
        ("PR", 704, "GSPS of series 4, Phantom"),
    ]
    assert received["SEG"].SOPClassUID == LABEL_MAP_STORAGE
    (summary,) = named(received["SR"], SUMMARY)
    assert [item.TextValue for item in named(summary, COMMENT)] == ["一个体模。"]

"""How a node calls a series complete: by count, or when the longest wait is over."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from tests.support import variants
from tests.support.node_process import Node, node_for
from tests.support.peers import Archive, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed


def completions(node: Node) -> list[dict[str, Any]]:
    """Return what the node logged of complete series."""
    return [row for row in node.events() if row["event"] == "series_complete"]


def jobs_named(node: Node) -> list[str]:
    """Return the ids of the jobs that were made of complete series, in order."""
    return [row["job_id"] for row in node.events() if row["event"] == "series_triaged"]


def has_settled(node: Node, count: int) -> bool:
    """Return whether the log calls this many jobs settled."""
    settled = [row for row in node.events() if row["event"] == "job_settled"]
    return len(settled) >= count


def warnings_in(result: Path) -> set[str]:
    """Return the codes of what a report warns of."""
    report = json.loads((result / "report.json").read_text())
    return {warning["code"] for warning in report["warnings"]}


def test_an_aborted_transfer_is_waited_for_and_the_count_of_an_old_study_is_believed(
    tmp_path: Path, demo_series: Path
) -> None:
    series = variants.small(variants.read_bundled(demo_series))
    half, uid = len(series) // 2, str(series[0].SeriesInstanceUID)
    with Archive() as archive:
        archive.counts[uid], archive.study_date = len(series), "20200101"
        node = node_for(
            tmp_path / "node",
            archive,
            analysis=NAME,
            environment=make_installed(tmp_path / "site"),
        )
        node.settings["peers"]["pacs"]["answers_c_find"] = True
        node.settings["series"] = {"quiet_s": 0.5, "max_wait_s": 6}
        with node:
            send(series[:half], node.port, release=False)
            wait_until(partial(has_settled, node, 1), what="job 1")
            # Now nothing is complete because it was quiet.
            node.stop()
            node.settings["series"] = {"quiet_s": 600, "max_wait_s": 600}
            node.start()
            send(series[half:], node.port)
            wait_until(partial(has_settled, node, 2), what="job 2")
            first, second = completions(node)
            job_ids = jobs_named(node)
    assert (first["completion"], first["level"]) == ("max-wait", "warning")
    assert (second["completion"], second["level"]) == ("count-confirmed", "info")
    assert (first["instances"], second["instances"]) == (half, len(series))
    outbox = tmp_path / "node" / "spool" / "outbox"
    told = [warnings_in(outbox / job_id) for job_id in job_ids]
    assert told == [{"transfer_interrupted"}, {"revised"}]

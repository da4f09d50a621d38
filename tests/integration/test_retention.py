"""What a node removes and what it keeps: rejected, delivered, and not delivered."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from tests.support import variants
from tests.support.node_process import Node, node_for
from tests.support.peers import Archive, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.variants import AXIAL, SEGMENTATION, fresh, small, turned

HOUR_S = 3600.0
SHORTEST_DAYS = 1e-6


def test_what_a_peer_lacks_is_kept_and_the_rest_goes_also_early_when_the_disk_fills(
    tmp_path: Path, demo_series: Path
) -> None:
    bundled = small(variants.read_bundled(demo_series))
    good, axial = fresh(bundled), fresh(bundled, turned(AXIAL, axis=2))
    spool = tmp_path / "node" / "spool"
    with Archive(refused_classes=(SEGMENTATION,)) as archive:
        node = node_for(
            tmp_path / "node",
            archive,
            analysis=NAME,
            environment=make_installed(tmp_path / "site"),
        )
        with node:
            send([*good, *axial], node.port)
            rows = {row["series_uid"]: row for row in node.wait_settled(2)}
            owed = rows[str(good[0].SeriesInstanceUID)]
            assert owed["state"] == "failed"
            assert rows[str(axial[0].SeriesInstanceUID)]["state"] == "rejected"
            outbox = spool / "outbox" / owed["id"]

            restart(node, keep_days=SHORTEST_DAYS)
            wait_until(lambda: not any((spool / "inbox").iterdir()))
            assert outbox.is_dir()
            wait_until(lambda: bool(told(node, "results_undelivered")))
            (*_, last) = told(node, "results_undelivered")
            assert last["peer"] == "pacs"
            assert last["bytes"] > 0

            archive.stop()
            archive.refused_classes = ()
            archive.start()
            assert node.command("jobs", "retry", owed["id"]).returncode == 0
            (row,) = (one for one in node.wait_settled(1) if one["id"] == owed["id"])
            assert row["state"] == "done"

            send(fresh(bundled), node.port)
            wait_until(lambda: any((spool / "inbox").iterdir()))
            node.wait_settled(2)
            # A disk that is never free enough, and nothing is too old.
            restart(node, keep_days=3, free_early_below_gb=1e9)
            wait_until(lambda: not any((spool / "inbox").iterdir()))
            wait_until(lambda: not any((spool / "outbox").iterdir()))
            wait_until(lambda: bool(told(node, "disk_not_freed")))
            assert told(node, "disk_filling")


def told(node: Node, event: str) -> list[dict[str, Any]]:
    """Return the lines of the log that tell of an event."""
    return [line for line in node.events() if line["event"] == event]


def restart(node: Node, **spool: float) -> None:
    """Stop the node, make its spool an hour old, and start it with other settings."""
    assert node.stop() == 0
    folder = Path(node.settings["spool"]["folder"])
    an_hour_ago_s = time.time() - HOUR_S
    for path in folder.rglob("*"):
        os.utime(path, (an_hour_ago_s, an_hour_ago_s))
    node.settings["spool"] |= spool
    node.start()

"""What a former version had accepted when it was killed, this one finishes, once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.former_spool import FOLDER, PEER, SEEDS, series, unpack
from tests.support.node_process import node_for
from tests.support.peers import Archive
from tests.support.phantom_plugin import NAME, make_installed

VERSIONS = sorted(path.name.removesuffix(".tar.gz") for path in FOLDER.iterdir())


@pytest.mark.parametrize("version", VERSIONS)
def test_jobs_of_a_former_version_are_finished_and_delivered_once(
    version: str, tmp_path: Path
) -> None:
    spool = unpack(version, tmp_path)
    with Archive() as archive:
        node = node_for(
            tmp_path,
            archive,
            analysis=NAME,
            environment=make_installed(tmp_path / "site"),
        )
        assert list(node.settings["peers"]) == [PEER]
        node.settings["spool"]["folder"] = str(spool)
        # The one that was arriving is waited for, as nobody will repeat it.
        node.settings["series"]["max_wait_s"] = 3
        with node:
            jobs = node.wait_settled(len(SEEDS))
        assert [job["state"] for job in jobs] == ["done"] * len(SEEDS)
        assert list((spool / "unreadable").iterdir()) == []
        uids = {str(series(seed)[0].SeriesInstanceUID) for seed in SEEDS}
        assert {job["series_uid"] for job in jobs} == uids
        for seed in SEEDS:
            results = archive.results_of(series(seed))
            kinds = Counter(str(found.Modality) for found in results)
            assert kinds == {"SEG": 1, "SR": 1, "OT": 1}, seed

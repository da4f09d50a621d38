"""A PACS that routes to the node, and gets the results back into the same study."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import variants
from tests.support.node_process import Node, settings_for
from tests.support.orthanc import Orthanc
from tests.support.peers import dcmsend, free_port, run_dcmtk, storescu, wait_until
from tests.support.variants import fresh

pytestmark = pytest.mark.peer

DCIODVFY = str(Path(sys.executable).with_name("dciodvfy"))


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Orthanc, Node]]:
    """Return a PACS that routes everything, the results included, and its node."""
    folder = tmp_path_factory.mktemp("site")
    node_port, dicom_port = free_port(), free_port()
    settings = settings_for(
        folder, node_port=node_port, peers={"pacs": ("TESTPACS", dicom_port)}
    )
    orthanc = Orthanc(
        folder=folder / "orthanc",
        node_port=node_port,
        dicom_port=dicom_port,
        routes_everything=True,
    )
    with Node(folder=folder, settings=settings) as node, orthanc:
        yield orthanc, node


def results_in(orthanc: Orthanc, study_uid: str) -> list[dict[str, str]]:
    return [
        row
        for row in orthanc.instances()
        if row["study_uid"] == study_uid and row["modality"] != "MR"
    ]


def test_a_routed_series_gets_its_results_once_and_they_make_no_loop(
    site: tuple[Orthanc, Node], demo_series: Path, tmp_path: Path
) -> None:
    orthanc, node = site
    source = variants.read_bundled(demo_series)
    done = run_dcmtk(
        "storescu", "-aec", "TESTPACS", "+sd", "-R", "127.0.0.1",
        str(orthanc.dicom_port), str(demo_series),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    study = str(source[0].StudyInstanceUID)

    def complete() -> bool:
        kinds = {row["modality"] for row in results_in(orthanc, study)}
        return {"SEG", "SR"} <= kinds and len(kinds) >= 3

    wait_until(complete, within_s=90, what="SEG, SR and SC at the PACS")

    # The PACS routes what became stable, our results too: wait until they were here.
    def routed_back() -> bool:
        jobs = node.jobs()
        own = [job for job in jobs if "own_result" in job["reason"]]
        return len(own) >= 3 and all(
            job["state"] in {"done", "rejected"} for job in jobs
        )

    wait_until(routed_back, within_s=60, what="results routed back")

    rows = results_in(orthanc, study)
    kinds = Counter(row["modality"] for row in rows)
    assert kinds["SEG"] == kinds["SR"] == 1
    assert {row["patient_id"] for row in rows} == {str(source[0].PatientID)}
    states = Counter(job["state"] for job in node.jobs())
    assert states["done"] == 1
    assert_valid(orthanc, rows, tmp_path)


def assert_valid(orthanc: Orthanc, rows: list[dict[str, Any]], folder: Path) -> None:
    """Check each object, as the PACS holds it, with dciodvfy."""
    for row in rows:
        path = orthanc.file_of(row["id"], folder / f"{row['id']}.dcm")
        said = subprocess.run(
            [DCIODVFY, "-new", str(path)], capture_output=True, text=True, check=False
        ).stderr
        errors = [line for line in said.splitlines() if re.match("Error", line)]
        assert errors == [], row["modality"]


@pytest.mark.parametrize("program", [storescu, dcmsend], ids=["storescu", "dcmsend"])
def test_dcmtk_sends_and_the_results_reach_the_pacs(
    site: tuple[Orthanc, Node], demo_series: Path, tmp_path: Path, program: Any
) -> None:
    orthanc, node = site
    made = fresh(variants.read_bundled(demo_series))
    for number, instance in enumerate(made):
        instance.save_as(tmp_path / f"{number:02d}.dcm")
    before = len(orthanc.instances())
    program(tmp_path, node.port, options=["-aet", "TESTPACS"])
    wait_until(
        lambda: len(orthanc.instances()) >= before + 3, within_s=60, what="results"
    )


def test_dcmtk_echoes_the_node(site: tuple[Orthanc, Node]) -> None:
    _, node = site
    done = run_dcmtk(
        "echoscu", "-aet", "TESTPACS", "-aec", "LUMBAR_AI", "127.0.0.1", str(node.port)
    )
    assert done.returncode == 0, done.stderr


def test_the_node_echoes_the_pacs(site: tuple[Orthanc, Node]) -> None:
    _, node = site
    done = node.command("echo", "pacs")
    assert done.returncode == 0, done.stderr

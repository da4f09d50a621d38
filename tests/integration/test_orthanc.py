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
from pydicom.uid import generate_uid

from tests.support import regrid, variants
from tests.support.node_process import Node, settings_for
from tests.support.orthanc import Orthanc
from tests.support.peers import dcmsend, free_port, run_dcmtk, storescu, wait_until
from tests.support.variants import fresh, saying

pytestmark = pytest.mark.peer

KINDS = {"SEG", "SR", "OT"}
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
        jobs = [job for job in node.jobs() if job["study_uid"] == study]
        return any(job["state"] == "done" for job in jobs)

    wait_until(complete, what="the routed series is analysed")

    # The PACS routes what became stable, our results too: wait until they were here.
    rows = results_in(orthanc, study)

    def reasons() -> dict[str, str]:
        own = {row["series_uid"] for row in rows}
        return {
            job["series_uid"]: job["reason"].partition(":")[0]
            for job in node.jobs()
            if job["series_uid"] in own and job["state"] == "rejected"
        }

    wait_until(
        lambda: len(reasons()) == len({row["series_uid"] for row in rows}),
        what="results routed back",
    )
    assert set(reasons().values()) == {"own_result"}
    assert results_in(orthanc, study) == rows

    kinds = Counter(row["modality"] for row in rows)
    assert set(kinds) == KINDS
    assert kinds["SEG"] == kinds["SR"] == 1
    assert {row["patient_id"] for row in rows} == {str(source[0].PatientID)}
    states = [
        job["state"]
        for job in node.jobs()
        if job["series_uid"] == str(source[0].SeriesInstanceUID)
    ]
    assert states == ["done"]
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
    study = generate_uid()
    three = regrid.blocks(variants.read_bundled(demo_series)[3:6], rows=2, columns=2)
    made = fresh(three, saying(StudyInstanceUID=study))
    for number, instance in enumerate(made):
        instance.save_as(tmp_path / f"{number:02d}.dcm")
    program(tmp_path, node.port, options=["-aet", "TESTPACS"])
    wait_until(
        lambda: {row["modality"] for row in results_in(orthanc, study)} >= KINDS,
        what="results",
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

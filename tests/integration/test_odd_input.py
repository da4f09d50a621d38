"""Series that are odd in one way each, offline and through one node: the picture is
that of the straight series, what is doubtful is told, and the results are valid."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicom_node.decode.headers import read_headers
from dicom_node.decode.volume import read_volume
from tests.support import odd_series, phantom_plugin, regrid, variants
from tests.support.dicom3tools import errors_of
from tests.support.node_process import Node, node_for
from tests.support.odd_series import Written, named
from tests.support.peers import Archive, echo
from tests.support.raw_association import store_raw
from tests.support.variants import Series

SUCCESS = 0x0000
GBK_NAME = "张^三".encode("gbk")
LATIN_NAME = "Müller^Jörg".encode("latin-1")
UTF_8 = "ISO_IR 192"
MENDED, LEFT_OUT = "attributes_mended", "instances_left_out"
DELIMITED = "delimiters_mended"


@dataclass(frozen=True)
class Case:
    """An odd series, the warnings about it, and the name that its results bear.

    Parameters
    ----------
    rim
        Pixels at the edge that are other than in the straight series.
    """

    make: Callable[[Series, Path], Written]
    codes: frozenset[str] = frozenset()
    label: str = UTF_8
    name: bytes = b"SPIDER^54"
    rim: int = 0


def case(make: Callable[[Series, Path], Written], *codes: str, **more: Any) -> Case:
    return Case(make, frozenset(codes), **more)


CASES = {
    "straight": case(odd_series.write),
    "air at -100": case(odd_series.air_at_minus_100, "signal_zero_moved"),
    "a rim of padding": case(odd_series.a_rim_of_padding, "padding_ignored", rim=1),
    "illegal where only copied": case(odd_series.illegal_where_only_copied, MENDED),
    "implicit items": case(odd_series.implicit_items),
    "UN of undefined length": case(odd_series.un_of_undefined_length),
    "a stray delimiter": case(odd_series.a_stray_delimiter),
    "a stray end of an item": case(odd_series.a_stray_end_of_an_item, DELIMITED),
    "a sequence without end": case(odd_series.a_sequence_without_end, DELIMITED),
    "an item without end": case(odd_series.an_item_without_end, DELIMITED),
    "GBK under Latin 1": case(
        named("ISO_IR 100", GBK_NAME), MENDED, label="ISO_IR 100", name=GBK_NAME
    ),
    "GBK under nothing": case(named(None, GBK_NAME), MENDED, name="ÕÅ^Èý".encode()),
    "Latin 1 under UTF-8": case(
        named("ISO_IR 192", LATIN_NAME), MENDED, name="Müller^Jörg".encode()
    ),
    "Latin 1": case(
        named("ISO_IR 100", LATIN_NAME), label="ISO_IR 100", name=LATIN_NAME
    ),
    "three strays": case(odd_series.three_strays, LEFT_OUT),
    "an enhanced instance a frame": case(odd_series.an_enhanced_instance_a_frame),
    "a concatenation": case(odd_series.a_concatenation),
    "commas in the geometry": case(odd_series.commas_in_the_geometry, MENDED),
    "geometry under other VRs": case(odd_series.geometry_under_other_vrs),
    "an overlay in bit 12": case(odd_series.an_overlay_in_bit_12),
}


@pytest.fixture(scope="module")
def little(demo_series: Path) -> Series:
    """Return the middle of the bundled series at a quarter of its resolution."""
    return regrid.blocks(variants.read_bundled(demo_series)[2:7], rows=4, columns=4)


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, little: Series
) -> dict[str, Written]:
    return {
        what: one.make(variants.fresh(little), tmp_path_factory.mktemp("written"))
        for what, one in CASES.items()
    }


def assert_of_the_patient(results: list[Path], wanted: Case) -> None:
    for path in results:
        result = dcmread(path)
        assert result.SpecificCharacterSet == wanted.label
        if wanted.name != Case.name:
            found = result.get_item("PatientName").value
            assert isinstance(found, bytes)
            assert found.rstrip() == wanted.name


@pytest.mark.parametrize("what", CASES)
def test_the_picture_is_that_of_the_straight_series(
    written: dict[str, Written], what: str
) -> None:
    """The measurement is a function of it: it cannot differ, either."""
    wanted = CASES[what]
    straight = read_volume(written["straight"]).volume
    decoded = read_volume(written[what])
    found = decoded.volume
    rim = wanted.rim
    inner = (slice(None), *(slice(rim, size - rim) for size in found.voxels.shape[1:]))
    assert np.abs(found.voxels - straight.voxels)[inner].max() <= 1
    for part in ("origin_mm", "directions", "spacing_mm"):
        assert getattr(found.frame, part) == pytest.approx(
            getattr(straight.frame, part), abs=1e-5
        )
    # What is mended of the patient's attributes is told with the results.
    assert {warning.code for warning in decoded.warnings} | {MENDED} == (
        wanted.codes | {MENDED}
    )


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, archive: Archive) -> Iterator[Node]:
    phantom = phantom_plugin.make_installed(tmp_path_factory.mktemp("installed"))
    folder = tmp_path_factory.mktemp("node")
    node = node_for(folder, archive, analysis=phantom_plugin.NAME, environment=phantom)
    # Each instance comes by an association of its own, at the pace of the machine.
    node.settings["series"]["quiet_s"] = 5
    with node:
        yield node


@pytest.fixture(scope="module")
def jobs(node: Node, written: dict[str, Written]) -> dict[str, dict[str, Any]]:
    """Return the jobs of all series, each of which was sent byte for byte."""
    sent = {}
    for what, paths in written.items():
        for header in read_headers(paths):
            whole = header.path.read_bytes()
            status = store_raw(
                whole[odd_series.dataset_at(whole) :],
                node.port,
                sop_uid=header.sop_instance_uid,
                sop_class=header.sop_class_uid,
                syntax=header.transfer_syntax_uid,
            )
            assert status == SUCCESS, what
            sent[what] = header.series_uid
    found = node.settled_series(sent.values())
    return {what: found[uid] for what, uid in sent.items()}


def test_each_is_measured_once_and_the_node_still_answers(
    node: Node,
    archive: Archive,
    jobs: dict[str, dict[str, Any]],
    written: dict[str, Written],
) -> None:
    states = {what: job["state"] for what, job in jobs.items()}
    assert states == dict.fromkeys(CASES, "done")
    sources = {what: sources_of(paths) for what, paths in written.items()}
    owners = [
        [what for what, uids in sources.items() if uids & referred(result)]
        for result in archive.received
        if result.Modality in ("SEG", "SR")
    ]
    assert sorted(owners) == sorted([what] for what in (*CASES, *CASES))
    assert echo(node.port)


def sources_of(paths: Written) -> set[str]:
    return {header.sop_instance_uid for header in read_headers(paths)}


def referred(result: Dataset) -> set[str]:
    return {
        str(element.value)
        for element in result.iterall()
        if element.keyword == "ReferencedSOPInstanceUID"
    }


@pytest.mark.parametrize("what", CASES)
def test_the_node_says_the_same_and_sends_valid_results(
    node: Node, jobs: dict[str, dict[str, Any]], what: str
) -> None:
    outbox = node.folder / "spool" / "outbox" / jobs[what]["id"]
    told = json.loads((outbox / "report.json").read_text())
    assert {warning["code"] for warning in told["warnings"]} == CASES[what].codes
    results = sorted(outbox.glob("*.dcm"))
    assert len(results) >= 3
    assert [errors_of("dciodvfy", path) for path in results] == [[]] * len(results)
    assert_of_the_patient(results, CASES[what])

"""What breaks whoever reads it fails with a reason, and the node goes on, and again."""

from __future__ import annotations

import signal
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom.dsutils import encode

from tests.support import variants
from tests.support.node_process import Node, node_for
from tests.support.peers import Archive, echo, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.raw_association import store_raw
from tests.support.variants import Series, fresh

SUCCESS = 0x0000
CUT_OFF_BYTES = 2310
DEPTH = 400
ENDS_AT, RAISES_AT = 5, 6
NEVER_IN_THE_SUPERVISOR = {
    *("pydicom", "pynetdicom", "highdicom", "numpy", "scipy", "PIL", "openvino"),
    *("analysis", "tests", "dicom_node.work", "dicom_node.prior"),
    *("dicom_node.plugins.choose_route", "dicom_node.plugins.analyse_series"),
    *("dicom_node.corrections", "dicom_node.decode", "dicom_node.encode"),
    "dicom_node.peers",
}
TELLS_ITS_MODULES = """
import os, signal, sys

def tell(*_):
    with open(os.environ["MODULES_OF"] + f"/{os.getpid()}", "w") as file:
        file.write("\\n".join(list(sys.modules)) + "\\nall\\n")

signal.signal(signal.SIGUSR2, tell)
"""


@pytest.fixture(scope="module")
def little(demo_series: Path) -> Series:
    return variants.small(variants.read_bundled(demo_series))


@pytest.fixture
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture
def node(tmp_path: Path, archive: Archive) -> Iterator[Node]:
    site = tmp_path / "site"
    environment = make_installed(site)
    (site / "sitecustomize.py").write_text(TELLS_ITS_MODULES)
    environment |= {
        "MODULES_OF": str(tmp_path),
        "PHANTOM_ENDS": str(ENDS_AT),
        "PHANTOM_RAISES": str(RAISES_AT),
    }
    node = node_for(tmp_path / "node", archive, analysis=NAME, environment=environment)
    node.settings["series"]["confirm_by_c_find"] = True
    node.settings["peers"]["pacs"]["answers_c_find"] = True
    with node:
        yield node


def plain(instance: Dataset) -> bytes:
    """Return a dataset in explicit little endian, without its file's meta."""
    content = encode(instance, is_implicit_vr=False, is_little_endian=True)
    assert content is not None
    return content


def alone(series: Series) -> Dataset:
    """Return one instance of a series of its own."""
    return fresh(series)[0]


def store_cut_off(instance: Dataset, port: int) -> int:
    """Send a dataset whose deflate stream ends in its midst."""
    content = plain(instance)
    pixels_at = content.rindex(struct.pack("<HH", 0x7FE0, 0x0010))
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = stream.compress(content[:pixels_at]) + stream.flush(zlib.Z_SYNC_FLUSH)
    assert len(head) < CUT_OFF_BYTES
    content = head + stream.compress(content[pixels_at:]) + stream.flush()
    assert len(content) > CUT_OFF_BYTES
    return store_raw(
        content[:CUT_OFF_BYTES],
        port,
        sop_uid=str(instance.SOPInstanceUID),
        syntax=DeflatedExplicitVRLittleEndian,
    )


def store_nested(instance: Dataset, port: int) -> int:
    """Send a dataset that ends in sequences within sequences."""
    item, item_end, end, undefined = 0xE000, 0xE00D, 0xE0DD, 0xFFFFFFFF
    begin = struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"SQ", 0, undefined)
    begin += struct.pack("<HHI", 0xFFFE, item, undefined)
    close = struct.pack("<HHIHHI", 0xFFFE, item_end, 0, 0xFFFE, end, 0)
    content = plain(instance) + begin * DEPTH + close * DEPTH
    return store_raw(content, port, sop_uid=str(instance.SOPInstanceUID))


def of_slices(series: Series, count: int) -> Series:
    return fresh(series)[:count]


def rows_by_series(node: Node, count: int) -> dict[str, dict[str, object]]:
    rows = node.wait_settled(count)
    assert len(rows) == count
    return {row["series_uid"]: row for row in rows}


def modules_of(node: Node, folder: Path) -> set[str]:
    """Return what the supervisor has imported, asked while it runs."""
    node.process.send_signal(signal.SIGUSR2)
    path = folder / str(node.process.pid)
    wait_until(
        lambda: path.exists() and path.read_text().endswith("all\n"),
        what="the supervisor tells its modules",
    )
    return set(path.read_text().splitlines())


def test_what_breaks_its_reader_fails_and_the_node_goes_on_also_after_kill_9(
    node: Node, archive: Archive, little: Series, tmp_path: Path
) -> None:
    cut_off, nested = alone(little), alone(little)
    ends, raises = of_slices(little, ENDS_AT), of_slices(little, RAISES_AT)
    good = fresh(little)
    assert store_cut_off(cut_off, node.port) == SUCCESS
    assert store_nested(nested, node.port) == SUCCESS
    for series in (ends, raises, good):
        send(series, node.port)
    node.hasten_giving_up(str(ends[0].SeriesInstanceUID))
    before = rows_by_series(node, 5)
    assert before[str(good[0].SeriesInstanceUID)]["state"] == "done"
    for poison in (cut_off, nested):
        row = before[str(poison.SeriesInstanceUID)]
        assert row["state"] in {"rejected", "failed"}
        assert str(poison.SOPInstanceUID) in str(row["reason"])
    of_plugin = before[str(raises[0].SeriesInstanceUID)]
    assert of_plugin["state"] == "failed"
    assert NAME in str(of_plugin["reason"])
    assert str(before[str(ends[0].SeriesInstanceUID)]["reason"]).startswith(
        "worker_crashed: "
    )
    found = modules_of(node, tmp_path)
    assert "dicom_node.node.supervisor" in found
    strangers = {
        name
        for name in found
        if any(
            name == one or name.startswith(f"{one}.") for one in NEVER_IN_THE_SUPERVISOR
        )
    }
    assert strangers == set()
    assert [row["pid"] for row in node.events() if row["event"] == "node_started"] == [
        node.process.pid
    ]

    # It lies on the disk still, and is read by nobody when the node starts again.
    node.kill()
    node.start()
    assert echo(node.port)
    after = fresh(little)
    send(after, node.port)
    rows = rows_by_series(node, 6)
    assert rows[str(after[0].SeriesInstanceUID)]["state"] == "done"
    assert {uid: rows[uid]["state"] for uid in before} == {
        uid: row["state"] for uid, row in before.items()
    }
    assert len(archive.results_of(after)) == len(archive.results_of(good)) == 3


def test_a_plugin_that_ends_its_process_on_import_costs_its_own_series_only(
    tmp_path: Path, archive: Archive, little: Series
) -> None:
    site = tmp_path / "site"
    environment = make_installed(site, target="ends:Nothing")
    (site / "ends.py").write_text("import os\nos._exit(4)\n")
    node = node_for(tmp_path / "node", archive, analysis=NAME, environment=environment)
    computed = fresh(little)
    for instance in computed:
        instance.Modality = "CT"
    with node:
        sagittal = fresh(little)
        send(sagittal, node.port)
        send(computed, node.port)
        node.hasten_giving_up(str(sagittal[0].SeriesInstanceUID))
        rows = rows_by_series(node, 2)
        assert echo(node.port)
    assert str(rows[str(sagittal[0].SeriesInstanceUID)]["reason"]).startswith(
        "worker_crashed: "
    )
    assert rows[str(computed[0].SeriesInstanceUID)]["state"] == "rejected"

"""Files that nobody should have written: each is refused within a limit, by name."""

from __future__ import annotations

import errno
import io
import os
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.decode import decoder_process, pixels, read_file
from dicom_node.decode.headers import read_headers
from dicom_node.decode.read_file import (
    BrokenDicomError,
    NotDicomError,
    ReadLimits,
)
from dicom_node.decode.volume import read_volume
from dicom_node.decode.walk_dataset import StructureLimits
from dicom_node.errors import (
    InstanceMissingError,
    MachineTroubleError,
    PixelDataError,
    SeriesRejectedError,
)
from tests.support import odd_series
from tests.support.mr_series import build_series, write_series
from tests.support.odd_series import Written
from tests.support.peers import wait_until
from tests.support.spine_phantom import frame_of
from tests.support.variants import Series

SHAPE = (1, 8, 6)
VOXELS = np.arange(48, dtype=np.float32).reshape(SHAPE)
UNDEFINED = 0xFFFFFFFF
WAITS_FOR_A_DECODER = """
import os, subprocess, sys
command = [sys.executable, "-I", sys.argv[1], str(os.getpid())]
with subprocess.Popen(command) as decoder:
    print(decoder.pid, flush=True)
"""
ITEM, ITEM_END, SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD


def write_one(folder: Path, *, syntax: str | None = None) -> Path:
    datasets = build_series(VOXELS, frame_of(SHAPE))
    return write_series(folder, datasets, syntax=syntax)[0]


def uid_of(path: Path) -> str:
    return str(read_file_meta_info(path).MediaStorageSOPInstanceUID)


def after_meta(content: bytes) -> int:
    return 144 + int.from_bytes(content[140:144], "little")


def insert_first(path: Path, element: bytes) -> None:
    """Put an element before (0008,0005), the first of the dataset."""
    content = path.read_bytes()
    at = after_meta(content)
    path.write_bytes(content[:at] + element + content[at:])


def undefined_sequences(depth: int) -> bytes:
    begin = struct.pack("<HH2sHI", 0x0007, 0x1010, b"SQ", 0, UNDEFINED)
    begin += struct.pack("<HHI", 0xFFFE, ITEM, UNDEFINED)
    end = struct.pack("<HHIHHI", 0xFFFE, ITEM_END, 0, 0xFFFE, SEQUENCE_END, 0)
    return begin * depth + end * depth


def defined_sequences(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = struct.pack("<HHI", 0xFFFE, ITEM, len(content)) + content
        content = (
            struct.pack("<HH2sHI", 0x0007, 0x1010, b"SQ", 0, len(content)) + content
        )
    return content


@pytest.mark.parametrize("sequences", [undefined_sequences, defined_sequences])
def test_sequences_nested_400_deep_are_refused_by_instance_and_limit(
    tmp_path: Path, sequences: object
) -> None:
    path = write_one(tmp_path)
    assert callable(sequences)
    insert_first(path, sequences(400))
    for read in (read_headers, read_volume):
        with pytest.raises(SeriesRejectedError, match="more than 32 deep") as caught:
            read([path])
        assert caught.value.reason == "over_limit"
        assert uid_of(path) in caught.value.text


def test_sequences_at_the_limit_are_read_and_copied(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    insert_first(path, defined_sequences(32))
    read_headers([path])
    dataset = read_file.read_file(path).dataset
    dataset.decode()


def test_a_truncated_deflate_stream_is_refused_by_its_instance(tmp_path: Path) -> None:
    path = write_one(tmp_path, syntax=DeflatedExplicitVRLittleEndian)
    uid = uid_of(path)
    path.write_bytes(path.read_bytes()[:-60])
    for read in (read_headers, read_volume):
        with pytest.raises(PixelDataError, match="cut off") as caught:
            read([path])
        assert caught.value.reason == "unreadable_instance"
        assert uid in caught.value.text


def deflated(path: Path, dataset: bytes, spare: int) -> None:
    """Write a dataset, and zeros behind it, as one deflate stream."""
    content = path.read_bytes()
    stream = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    with path.open("wb") as file:
        file.write(content[: after_meta(content)])
        file.write(stream.compress(dataset))
        for _ in range(spare // 2**20):
            file.write(stream.compress(bytes(2**20)))
        file.write(stream.flush())


def plain_dataset(folder: Path) -> bytes:
    content = write_one(folder).read_bytes()
    return content[after_meta(content) :]


_PEAK = """
import re, sys
from pathlib import Path
from dicom_node.decode.headers import read_headers
from dicom_node.decode.volume import read_volume
from dicom_node.errors import SeriesRejectedError
for read in (read_headers, read_volume):
    try:
        read([Path(sys.argv[1])])
    except SeriesRejectedError as error:
        print(error.reason, error.text)
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) // 1024)
"""
"""VmHWM is the peak of this program; ru_maxrss has also that of whoever started it."""


def test_half_a_gigabyte_of_deflated_zeros_takes_no_memory(tmp_path: Path) -> None:
    dataset = plain_dataset(tmp_path / "plain")
    path = write_one(tmp_path / "bomb", syntax=DeflatedExplicitVRLittleEndian)
    deflated(path, dataset, spare=2**29)
    assert path.stat().st_size < 4 * 2**20
    run = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[4],
    )
    first, second, peak_mib = run.stdout.splitlines()
    assert first == second
    assert first.startswith("over_limit")
    assert "its header needs" in first
    assert uid_of(path) in first
    assert int(peak_mib) < 300


def test_zeros_before_any_pixel_are_refused(tmp_path: Path) -> None:
    path = write_one(tmp_path, syntax=DeflatedExplicitVRLittleEndian)
    element = struct.pack("<HH2sHI", 0x0009, 0x1010, b"OB", 0, 2**28)
    deflated(path, element, spare=2**25)
    with pytest.raises(SeriesRejectedError) as caught:
        read_headers([path])
    assert caught.value.reason == "over_limit"


def test_the_setting_limits_what_an_honest_header_needs(tmp_path: Path) -> None:
    path = write_one(tmp_path, syntax=DeflatedExplicitVRLittleEndian)
    limits = ReadLimits(inflated_bytes=600)
    with pytest.raises(SeriesRejectedError, match="600") as caught:
        read_volume([path], limits=limits)
    assert caught.value.reason == "over_limit"


def test_a_million_elements_are_refused(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    items = struct.pack("<HHI", 0xFFFE, ITEM, 0) * 2**18
    head = struct.pack("<HH2sHI", 0x0007, 0x1010, b"SQ", 0, len(items))
    insert_first(path, head + items)
    with pytest.raises(SeriesRejectedError, match="262144 elements"):
        read_headers([path])


def test_numbers_without_end_in_implicit_vr_are_refused(tmp_path: Path) -> None:
    path = write_one(tmp_path, syntax=ImplicitVRLittleEndian)
    value = b"0\\" * 2**20
    position = struct.pack("<HHI", 0x0020, 0x0032, len(value)) + value
    insert_first(path, position)
    with pytest.raises(SeriesRejectedError, match=r"\(0020,0032\) has 2097152 bytes"):
        read_headers([path])


def test_a_long_private_value_is_refused(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    head = struct.pack("<HH2sHI", 0x0007, 0x1010, b"OB", 0, 4096)
    insert_first(path, head + bytes(4096))
    limits = ReadLimits(structure=StructureLimits(value_bytes=1024))
    read_headers([path])
    with pytest.raises(SeriesRejectedError, match="has 4096 bytes, the limit is 1024"):
        read_headers([path], limits=limits)


def test_a_walk_counts_what_pydicom_reads(tmp_path: Path) -> None:
    inner, outer = Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning = "1", "One"
    outer.ConceptNameCodeSequence = Sequence([inner, inner])
    for name, undefined in (("defined", False), ("undefined", True)):
        datasets = build_series(VOXELS, frame_of(SHAPE), ContentSequence=[outer, outer])
        datasets[0]["ContentSequence"].is_undefined_length = undefined
        (path,) = write_series(tmp_path / name, datasets)
        dataset = dcmread(path)
        known = sum(1 for _ in dataset.iterall()) + 2 + 4  # elements and items
        found = read_file.read_file(path, with_pixels=True).elements
        assert found == known + undefined  # the sequence delimiter


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    content = path.read_bytes()
    (whole,) = read_headers([path])
    for begin in (132, after_meta(content)):
        path.write_bytes(content[begin:])
        (header,) = read_headers([path])
        assert header.sop_instance_uid == whole.sop_instance_uid
        assert header.transfer_syntax_uid == whole.transfer_syntax_uid
        assert read_volume([path]).volume.voxels.shape == SHAPE


def test_a_letter_is_no_dicom(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("To whom it may concern. " * 40)
    with pytest.raises(NotDicomError) as caught:
        read_file.read_file(path)
    assert not isinstance(caught.value, BrokenDicomError)


def test_a_missing_file_is_told_as_such(tmp_path: Path) -> None:
    for read in (read_headers, read_volume):
        with pytest.raises(InstanceMissingError):
            read([tmp_path / "gone.dcm"])


def test_no_descriptor_left_is_the_machines_trouble(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    read_headers([path])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        for read in (read_headers, read_volume):
            with pytest.raises(MachineTroubleError, match="Too many open files"):
                read([path])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM, errno.ENOSPC])
def test_a_failing_disk_is_the_machines_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    # A real disk does not fail to order.
    class FailingFile(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError(number, os.strerror(number))

    path = write_one(tmp_path)
    monkeypatch.setattr(Path, "open", lambda *_, **__: FailingFile())
    with pytest.raises(MachineTroubleError):
        read_headers([path])


def test_a_decoder_that_is_killed_is_the_machines_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = build_series(VOXELS, frame_of(SHAPE))
    path = write_series(tmp_path, datasets, syntax="1.2.840.10008.1.2.4.70")[0]
    decoder = tmp_path / "decoder.py"
    monkeypatch.setattr(decoder_process, "__file__", str(decoder))
    for script, error in (
        ("import os; os.kill(os.getpid(), 9)", MachineTroubleError),
        ("raise SystemExit(75)", MachineTroubleError),
        ("import os; os.kill(os.getpid(), 11)", PixelDataError),
        ("raise SystemExit(1)", PixelDataError),
    ):
        decoder.write_text(script)
        with pytest.raises(error):
            read_volume([path])
    decoder.write_text("import time; time.sleep(30)")
    monkeypatch.setattr(pixels, "_ISOLATED_TIMEOUT_S", 0.5)
    with pytest.raises(MachineTroubleError, match="did not end"):
        read_volume([path])


def test_a_decoder_that_does_not_end_goes_with_whoever_waits_for_it() -> None:
    # It waits for what is to be decoded, which comes by a pipe of ours.
    reading, writing = os.pipe()
    with (
        os.fdopen(writing, "wb"),
        subprocess.Popen(
            [sys.executable, "-c", WAITS_FOR_A_DECODER, decoder_process.__file__],
            stdin=reading,
            stdout=subprocess.PIPE,
        ) as worker,
    ):
        os.close(reading)
        assert worker.stdout is not None
        decoder = Path("/proc", worker.stdout.readline().decode().strip())
        assert decoder.exists()
        worker.kill()
        wait_until(lambda: not decoder.exists(), within_s=30, what="the decoder ends")


@pytest.mark.parametrize(
    "write_odd",
    [
        odd_series.a_sequence_without_end,
        odd_series.an_item_without_end,
        odd_series.a_stray_end_of_an_item,
    ],
)
def test_delimiters_are_set_right(
    tmp_path: Path, write_odd: Callable[[Series, Path], Written]
) -> None:
    (straight,) = build_series(VOXELS, frame_of(SHAPE))
    (path,) = write_odd([straight], tmp_path)
    stored = read_file.read_file(path, with_pixels=True)
    assert (stored.has_pixels, stored.is_mended) == (True, True)
    assert stored.dataset.PixelData == straight.PixelData
    assert stored.dataset.PatientID == straight.PatientID
    for code in stored.dataset.get("ProcedureCodeSequence", ()):
        assert (code.CodeValue, code.CodeMeaning) == ("T-1234", "words")


def test_lossless_jpeg_behind_mended_delimiters_is_decoded(tmp_path: Path) -> None:
    """Its decoder runs in another process, and gets what was mended here."""
    straight = build_series(VOXELS, frame_of(SHAPE))
    paths = write_series(tmp_path, straight, syntax="1.2.840.10008.1.2.4.70")
    odd = tmp_path / "odd"
    odd.mkdir()
    written = odd_series.a_stray_end_of_an_item([*map(dcmread, paths)], odd)
    decoded = read_volume(written)
    assert [warning.code for warning in decoded.warnings] == ["delimiters_mended"]
    assert np.array_equal(decoded.volume.voxels, read_volume(paths).volume.voxels)


def test_a_sequence_that_cannot_be_ended_is_named_with_its_instance(
    tmp_path: Path,
) -> None:
    (straight,) = build_series(VOXELS, frame_of(SHAPE))
    (path,) = odd_series.nothing_ends([straight], tmp_path)
    what = r"instance [0-9.]+: sequence \(0040,0275\) has no end"
    with pytest.raises(BrokenDicomError, match=what):
        read_file.read_file(path)


@pytest.mark.parametrize("content", [b"1234", b"12345678901234567890", b"\xfe\xff"])
def test_a_sequence_that_is_none_hides_nothing(tmp_path: Path, content: bytes) -> None:
    (straight,) = build_series(VOXELS, frame_of(SHAPE))
    tag = 0x00101002  # Other Patient IDs Sequence
    sequence = odd_series.element(tag, b"UN", content)
    (path,) = odd_series.inserted([straight], tmp_path, tag, sequence)
    stored = read_file.read_file(path)
    assert (stored.has_pixels, stored.is_mended) == (True, False)

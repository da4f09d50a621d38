"""Which SEG may be a correction, and which is nothing of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from dicom_node.corrections.match import drawn_in
from dicom_node.decode.read_file import DEFAULT_LIMITS, ReadLimits
from dicom_node.decode.walk_dataset import StructureLimits
from dicom_node.records import ReceivedSeries
from tests.support.dicom_files import mr_instance
from tests.support.toy_worker import toy_job


def seg_of_another(folder: Path) -> ReceivedSeries:
    seg = mr_instance()
    seg.SOPClassUID = seg.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    source = Dataset()
    source.SeriesInstanceUID = "1.2.3"
    seg.ReferencedSeriesSequence = [source]
    seg.save_as(folder / "seg.dcm", enforce_file_format=True)
    series = toy_job("seg", paths=[folder / "seg.dcm"]).series
    kept = replace(series.instances[0], sop_class_uid=SegmentationStorage)
    return replace(series, instances=(kept,))


def test_a_seg_larger_than_any_that_we_make_is_no_correction_and_no_failure(
    tmp_path: Path,
) -> None:
    # As those of other programs are that outline a whole body.
    series = seg_of_another(tmp_path)
    drawn = drawn_in(series, DEFAULT_LIMITS)
    assert drawn is not None
    assert drawn.source_uids == ("1.2.3",)
    few = ReadLimits(structure=StructureLimits(elements=3))
    assert drawn_in(series, few) is None

"""Series cut into several enhanced instances: measured, and referred to as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import EnhancedMRImageStorage

from dicom_node.decode.volume import read_volume
from dicom_node.encode.result_context import ROLES
from dicom_node.encode.result_objects import encode_result
from dicom_node.encode.write_part10 import encode_file
from tests.support.dicom3tools import errors_of
from tests.support.encoded import REQUEST, SHAPE, SPACING_MM, by_name, lopsided
from tests.support.mr_series import build_enhanced, write_series
from tests.support.phantom_result import phantom_result
from tests.support.spine_phantom import phantom_spine


def parts(counts: tuple[int, ...]) -> list[FileDataset]:
    """Return the phantom as instances of so many frames each."""
    voxels, frame, _ = phantom_spine(SHAPE, SPACING_MM)
    made, begin = [], 0
    for number, count in enumerate(counts):
        order = range(begin, begin + count)
        part = build_enhanced(voxels, frame, frame_order=list(order))
        part.SOPInstanceUID = f"1.2.3.{number + 1}"
        part.file_meta.MediaStorageSOPInstanceUID = part.SOPInstanceUID
        part.InstanceNumber = number + 1
        made.append(part)
        begin += count
    return made


@pytest.mark.parametrize("counts", [(1, 1, 1, 1, 1), (3, 2), (2, 1, 2)])
def test_a_cut_series_is_joined_and_referred_to(
    tmp_path: Path, counts: tuple[int, ...]
) -> None:
    voxels, frame, labels = phantom_spine(SHAPE, SPACING_MM)
    datasets = parts(counts)
    decoded = read_volume(write_series(tmp_path, [datasets[-1], *datasets[:-1]]))
    assert np.array_equal(decoded.volume.voxels, np.round(voxels))
    assert np.allclose(decoded.volume.frame.origin_mm, frame.origin_mm)
    result = phantom_result(lopsided(labels))
    request = replace(REQUEST, objects=ROLES)
    objects = encode_result(result, decoded, request)
    uids = [str(dataset.SOPInstanceUID) for dataset in datasets]
    known = dict(zip(uids, counts, strict=True))
    for one in objects:
        path = tmp_path / f"{one.name}.out"
        path.write_bytes(encode_file(one.dataset))
        assert errors_of("dciodvfy", path) == []
    results = by_name(objects)
    segmentation = results["seg"]
    (listed,) = segmentation.ReferencedSeriesSequence
    uids = [
        str(item.ReferencedSOPInstanceUID) for item in listed.ReferencedInstanceSequence
    ]
    assert sorted(uids) == sorted(known)
    for frame_item in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in frame_item.DerivationImageSequence:
            (source,) = derivation.SourceImageSequence
            assert source.ReferencedSOPClassUID == EnhancedMRImageStorage
            count = known[str(source.ReferencedSOPInstanceUID)]
            if count == 1:
                assert "ReferencedFrameNumber" not in source
            else:
                assert 1 <= int(source.ReferencedFrameNumber) <= count

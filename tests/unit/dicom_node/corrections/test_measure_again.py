"""A series is measured from a reader's outlines within the limits of all reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_node.corrections.measure_again import Correcting, measure_outlines
from dicom_node.decode.read_file import ReadLimits
from dicom_node.errors import SeriesRejectedError
from tests.support.mr_series import build_series, transcode, write_series
from tests.support.phantom_plugin import PhantomMri
from tests.support.spine_phantom import frame_of

SHAPE = (5, 12, 10)


def test_the_setting_for_deflated_files_holds_for_a_correction(tmp_path: Path) -> None:
    datasets = build_series(np.ones(SHAPE, np.float32), frame_of(SHAPE))
    paths = write_series(tmp_path, datasets)
    for path in paths:
        transcode(path, DeflatedExplicitVRLittleEndian)
    within = Correcting(limits=ReadLimits(inflated_bytes=600))
    with pytest.raises(SeriesRejectedError, match="600") as caught:
        measure_outlines(paths, tmp_path / "no.dcm", PhantomMri(), within)
    assert caught.value.reason == "over_limit"

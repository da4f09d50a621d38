"""Contrast from echo time, repetition time, inversion and words."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.contract.plugin import Weighting
from dicom_node.decode.headers import InstanceHeader, read_headers
from dicom_node.decode.weighting import is_stated, weighting_of
from tests.support.mr_series import build_enhanced, build_series, write_series
from tests.support.spine_phantom import frame_of

SHAPE = (1, 4, 4)
VOXELS = np.zeros(SHAPE, dtype=np.float32)
OVERVIEW = Path(__file__).parents[5] / "shared/data/spider_t2space/overview.csv"


def header_of(folder: Path, **attributes: Any) -> InstanceHeader:
    attributes = {"SeriesDescription": "sag", **attributes}
    datasets = build_series(VOXELS, frame_of(SHAPE), **attributes)
    return read_headers(write_series(folder, datasets))[0]


@pytest.mark.parametrize(
    ("echo_ms", "repetition_ms", "weighting"),
    [
        (10, 500, Weighting.T1),
        (14, 1100, Weighting.T1),
        (100, 3500, Weighting.T2),
        (124, 1000, Weighting.T2),
        (60, 2000, Weighting.T2),
        (20, 3000, Weighting.PD),
        (45, 3000, Weighting.UNKNOWN),
        (20, 1400, Weighting.UNKNOWN),
        (20, None, Weighting.UNKNOWN),
        (None, 3500, Weighting.UNKNOWN),
        (0, 3500, Weighting.UNKNOWN),
    ],
)
def test_spin_echo_is_told_by_echo_and_repetition_time(
    tmp_path: Path,
    echo_ms: float | None,
    repetition_ms: float | None,
    weighting: Weighting,
) -> None:
    header = header_of(tmp_path, EchoTime=echo_ms, RepetitionTime=repetition_ms)
    assert weighting_of(header) is weighting


@pytest.mark.parametrize(
    ("attributes", "weighting"),
    [
        ({"ScanningSequence": ["SE", "IR"], "InversionTime": 160}, Weighting.STIR),
        ({"ScanningSequence": ["SE", "IR"], "InversionTime": 900}, Weighting.OTHER),
        ({"ScanningSequence": "IR"}, Weighting.OTHER),
        ({"SeriesDescription": "t2_tirm_sag"}, Weighting.STIR),
        ({"SeriesDescription": "SAG T2/STIR"}, Weighting.STIR),
        ({"SeriesDescription": "T2 FLAIR"}, Weighting.OTHER),
        ({"SeriesDescription": "MYELO 3D"}, Weighting.OTHER),
        ({"ScanningSequence": "GR"}, Weighting.OTHER),
        ({"ScanningSequence": "EP"}, Weighting.OTHER),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "FAT"]}, Weighting.OTHER),
        (
            {"ImageType": ["DERIVED", "PRIMARY", "DIXON", "WATER"]},
            Weighting.T2_FAT_SUPPRESSED,
        ),
        ({"ScanOptions": ["FS", "PFP"]}, Weighting.T2_FAT_SUPPRESSED),
        ({"SeriesDescription": "SAG T2 FS"}, Weighting.T2_FAT_SUPPRESSED),
        ({"SeriesDescription": "t2_spair_sag"}, Weighting.T2_FAT_SUPPRESSED),
        ({"SeriesDescription": "t1_tse_sag"}, Weighting.T2),
        ({"SeriesDescription": "medical T2 difficult"}, Weighting.T2),
        ({"ScanningSequence": None}, Weighting.T2),
        ({"ScanningSequence": "RM"}, Weighting.T2),
    ],
)
def test_a_long_echo_is_t2_unless_something_says_otherwise(
    tmp_path: Path, attributes: dict[str, Any], weighting: Weighting
) -> None:
    assert weighting_of(header_of(tmp_path, **attributes)) is weighting


@pytest.mark.parametrize(
    ("description", "weighting"),
    [
        ("T2", Weighting.T2),
        ("t2_tse_sag_384", Weighting.T2),
        ("SAG T1", Weighting.T1),
        ("PD sag", Weighting.PD),
        ("矢状位T2", Weighting.T2),
        ("T2加权 矢状", Weighting.T2),
        ("sT2W_TSE_sag", Weighting.T2),
        ("OSag T2 FRFSE", Weighting.T2),
        ("OSAGT2", Weighting.T2),
        ("FSET2 sagital", Weighting.T2),
        ("DP sagittale", Weighting.PD),
        ("PDW_TSE", Weighting.PD),
        ("矢状位T2压脂", Weighting.T2_FAT_SUPPRESSED),
        ("T2 sag fettgesättigt", Weighting.T2_FAT_SUPPRESSED),
        ("T2 SAG supresión GRASA", Weighting.T2_FAT_SUPPRESSED),
        ("T1 and T2", Weighting.UNKNOWN),
        ("T2* sag", Weighting.OTHER),
        ("T10 to T12", Weighting.UNKNOWN),
        ("sagittal", Weighting.UNKNOWN),
        (None, Weighting.UNKNOWN),
    ],
)
def test_without_times_the_description_tells(
    tmp_path: Path, description: str | None, weighting: Weighting
) -> None:
    header = header_of(
        tmp_path,
        SpecificCharacterSet="ISO_IR 192",
        SeriesDescription=description,
        EchoTime=None,
        RepetitionTime=None,
    )
    assert weighting_of(header) is weighting
    assert not is_stated(header)


def test_the_protocol_name_tells_where_there_is_no_description(tmp_path: Path) -> None:
    header = header_of(
        tmp_path, SeriesDescription=None, ProtocolName="T2 sag", EchoTime=None
    )
    assert weighting_of(header) is Weighting.T2


@pytest.mark.parametrize(
    ("attributes", "weighting"),
    [
        ({"AcquisitionContrast": "T1"}, Weighting.T1),
        ({"AcquisitionContrast": "T2"}, Weighting.T2),
        ({"AcquisitionContrast": "STIR"}, Weighting.STIR),
        ({"AcquisitionContrast": "UNKNOWN"}, Weighting.T2),
        ({"SpectrallySelectedSuppression": "FAT"}, Weighting.T2_FAT_SUPPRESSED),
        ({"InversionRecovery": "YES"}, Weighting.OTHER),
    ],
)
def test_enhanced_mr_says_it_outright(
    tmp_path: Path, attributes: dict[str, Any], weighting: Weighting
) -> None:
    """Its echo time is 100 ms, so an unknown contrast is T2 still."""
    dataset = build_enhanced(VOXELS, frame_of(SHAPE), **attributes)
    header = read_headers(write_series(tmp_path, [dataset]))[0]
    assert weighting_of(header) is weighting
    assert is_stated(header)


@pytest.mark.shared
def test_every_spider_series_is_told_right(tmp_path: Path) -> None:
    """T1 and T2 of 423 series by their real times; one is STIR by its sequence."""
    if not OVERVIEW.is_file():
        pytest.skip(f"needs {OVERVIEW}")
    blank = header_of(tmp_path, SeriesDescription=None)
    wrong = []
    for row in csv.DictReader(OVERVIEW.read_text().splitlines()):
        header = _with_times(blank, row)
        if "IR" in row["ScanningSequence"] or header.echo_time_ms is None:
            continue
        expected = Weighting.T1 if "_t1" in row["new_file_name"] else Weighting.T2
        if weighting_of(header) is not expected:
            wrong.append(row["new_file_name"])
    assert wrong == []


def _with_times(blank: InstanceHeader, row: dict[str, str]) -> InstanceHeader:
    from dataclasses import replace

    return replace(
        blank,
        echo_time_ms=float(row["EchoTime"]) if row["EchoTime"] else None,
        repetition_time_ms=(
            float(row["RepetitionTime"]) if row["RepetitionTime"] else None
        ),
    )

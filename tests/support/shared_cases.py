"""Every case of ../shared/data as a DICOM series, on grids of four kinds."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset

from tests.support.mr_series import build_series
from tests.support.mr_sources import reheader_rsna, spider_volume
from tests.support.regrid import (
    as_enhanced,
    moved,
    right_to_left_and_back_to_front,
)
from tests.support.variants import Series, fresh
from tests.support.wedge_spine import rotation

_OBLIQUE = rotation("z", 12.0) @ rotation("y", 8.0)

STRAIGHT = "straight"
GRIDS: Mapping[str, Callable[[Series], Series]] = {
    STRAIGHT: lambda series: series,
    "oblique": lambda series: fresh(series, moved(_OBLIQUE)),
    "reversed": right_to_left_and_back_to_front,
    "enhanced": as_enhanced,
}
"""The same patient on other grids: as he is, turned, mirrored indices, multi-frame."""

_T1 = {
    "SeriesDescription": "t1_tse_sag",
    "RepetitionTime": 500.0,
    "EchoTime": 10.0,
}
_TIRM = {
    "SeriesDescription": "tirm_sag",
    "ScanningSequence": ["SE", "IR"],
    "InversionTime": 160.0,
}
_DIXON = {
    "SeriesDescription": "t1_vibe_dixon_sag",
    "ScanningSequence": "GR",
    "RepetitionTime": 10.0,
    "EchoTime": 2.5,
    "EchoTrainLength": 1,
    "FlipAngle": 10.0,
}
_SAYING = (("NOT T2", _DIXON), ("TIRM", _TIRM), ("T1 FSE", _T1))
"""What the headers of a case say beside the usual T2, by its manifest's weighting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCase:
    """One row of `manifest.csv`."""

    name: str
    folder: Path
    weighting: str
    sex: str
    age: str

    def series(self) -> Series:
        """Return the case as DICOM instances.

        What is no DICOM gets headers of a T2 series, or of what the manifest says;
        RSNA's files get what a PACS demands, and their pixels are decompressed.
        """
        if self.folder.parts[-3] == "rsna_dicom":
            instances = reheader_rsna(self.folder)
            for instance in instances:
                # GDCM, the first choice, ends the process at some of these pictures.
                instance.decompress(
                    decoding_plugin="pydicom", generate_instance_uid=False
                )
            return list(instances)
        voxels, frame, _ = spider_volume(self.folder)
        return list[Dataset](
            build_series(voxels, frame, seed=self.name, **self._headers())
        )

    def _headers(self) -> dict[str, Any]:
        said: dict[str, Any] = {"PatientID": self.name, "PatientSex": self.sex}
        age = self.age if self.age.replace(".", "").isdigit() else None
        said["PatientAge"] = f"{int(float(age)):03d}Y" if age else None
        for words, attributes in _SAYING:
            if words in self.weighting:
                return said | attributes
        return said


def shared_cases(data: Path) -> list[SharedCase]:
    """Return the cases of the manifest, in its order."""
    with (data / "manifest.csv").open(newline="") as stream:
        return [
            SharedCase(
                name=row["case_id"],
                folder=data / row["folder"],
                weighting=row["weighting"],
                sex=row["sex"],
                age=row["age"],
            )
            for row in csv.DictReader(stream)
        ]

"""Sources of every geometry and habit, written as files."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset

from tests.support.encoded import SHAPE, lopsided
from tests.support.mr_series import build_enhanced, build_series, write_series
from tests.support.spine_phantom import SAGITTAL, mirrored, phantom_spine, turned

GEOMETRIES = (
    "classic",
    "oblique",
    "reversed",
    "non-square",
    "enhanced",
    "frame by frame",
)
VARIANTS = (*GEOMETRIES, "careless", "stripped", "chinese")

CARELESS: dict[str, Any] = {
    "AccessionNumber": None,
    "StudyID": None,
    "ReferringPhysicianName": None,
    "BodyPartExamined": None,
    "FrameOfReferenceUID": None,
    "SliceThickness": None,
    "PatientAge": None,
    "Manufacturer": None,
    "PatientSex": "W",
    "StudyTime": "later",
    "PatientName": "",
}
STRIPPED: dict[str, Any] = dict.fromkeys(
    (
        "PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight",
        "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber",
        "ReferringPhysicianName", "BodyPartExamined",
    )
)  # fmt: skip
"""What is left out by those who give pictures away, RSNA for one."""


def move_groups_to_frames(dataset: Dataset) -> None:
    """Write measures and orientation frame by frame, as some scanners do."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            frame[keyword] = copy.deepcopy(shared[keyword])
        del shared[keyword]


def write_source(folder: Path, variant: str) -> tuple[list[Path], NDArray[np.uint8]]:
    """Write one of `VARIANTS`, and return its files and its true labels."""
    spacing_mm = (9.0, 4.0, 5.0) if variant == "non-square" else (9.0, 4.0, 4.0)
    directions = turned(SAGITTAL, angle_deg=14.0 if variant == "oblique" else 0.0)
    voxels, frame, labels = phantom_spine(SHAPE, spacing_mm, directions)
    labels = lopsided(labels)
    if variant == "reversed":
        labels, _ = mirrored(labels, frame, (0, 2))
        voxels, frame = mirrored(voxels, frame, (0, 2))
    if variant in {"enhanced", "frame by frame"}:
        dataset = build_enhanced(voxels, frame, frame_order=(3, 0, 4, 2, 1))
        if variant == "frame by frame":
            move_groups_to_frames(dataset)
        return write_series(folder, [dataset]), labels
    attributes: dict[str, Any] = {}
    if variant == "careless":
        attributes = CARELESS
    if variant == "stripped":
        attributes = STRIPPED
    if variant == "chinese":
        attributes = {"SpecificCharacterSet": "GB18030", "PatientName": "王^小东"}
    with config.disable_value_validation():
        return write_series(folder, build_series(voxels, frame, **attributes)), labels

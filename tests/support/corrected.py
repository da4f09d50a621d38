"""SEGs as other software writes them: highdicom by itself, and dcmqi as Slicer does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as its own manual does
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.support.encoded import reread
from tests.support.peers import WITHIN_S

_ALGORITHM = AlgorithmIdentificationSequence(
    name="by hand",
    version="1",
    family=codes.DCM.ArtificialIntelligence,
)


def redrawn(
    sources: Sequence[Dataset],
    labels: NDArray[np.uint8],
    names: Mapping[int, str],
    **more: Any,
) -> Dataset:
    """Return a SEG of a reader, by highdicom, as it is read from its file.

    Parameters
    ----------
    sources
        Images, one a slice, in the order of `labels`.
    labels : ndarray, shape (K, R, C)
        Segment numbers 1, 2, 3 …
    names
        Segment label by number.
    more
        Arguments of highdicom, and attributes to set afterwards.
    """
    arguments: dict[str, Any] = {
        "segmentation_type": SegmentationTypeValues.BINARY,
        "transfer_syntax_uid": ExplicitVRLittleEndian,
        "content_creator_name": "Doe^Jane",
    }
    attributes = {key: more.pop(key) for key in tuple(more) if key[0].isupper()}
    drawn = Segmentation(
        source_images=sources,
        pixel_array=labels,
        segment_descriptions=[
            SegmentDescription(
                segment_number=number,
                segment_label=name,
                segmented_property_category=codes.SCT.AnatomicalStructure,
                segmented_property_type=codes.SCT.Vertebra,
                algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
                algorithm_identification=_ALGORITHM,
            )
            for number, name in names.items()
        ],
        series_instance_uid=generate_uid(),
        series_number=77,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Some Viewer",
        manufacturer_model_name="Brush",
        software_versions="1",
        device_serial_number="1",
        **{**arguments, **more},
    )
    # It shares elements with its sources until it is read from its file.
    dataset = reread(drawn)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def with_frames(dataset: Dataset, order: Sequence[int]) -> Dataset:
    """Return a BINARY SEG with its frames in another order, or fewer of them."""
    shape = (-1, dataset.Rows, dataset.Columns)
    planes = dataset.pixel_array.reshape(shape)[list(order)]
    groups = dataset.PerFrameFunctionalGroupsSequence
    dataset.PerFrameFunctionalGroupsSequence = [groups[index] for index in order]
    dataset.NumberOfFrames = len(order)
    dataset.PixelData = pack_bits(planes.astype(np.uint8).ravel())
    return reread(dataset)


Edit = Callable[[NDArray[np.bool_]], NDArray[np.bool_]]


def edited_in_slicer(
    seg: Path,
    source: Path,
    folder: Path,
    edits: Mapping[str, Edit],
    options: Sequence[str] = (),
) -> Path:
    """Return the file that 3D Slicer writes after an edit: through dcmqi, both ways.

    Parameters
    ----------
    seg
        Our SEG.
    source
        Folder with the series.
    folder
        Empty; what is made goes there.
    edits
        By segment label, from the mask (K, R, C) to the edited one.
    options
        Of itkimage2segimage.
    """
    _dcmqi(
        "segimage2itkimage", "--inputDICOM", seg,
        "--outputDirectory", folder, "--outputType", "nrrd",
    )  # fmt: skip
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
    images = []
    for number, group in enumerate(meta["segmentAttributes"], start=1):
        path = folder / f"{number}.nrrd"
        (segment,) = group
        if segment["SegmentLabel"] in edits:
            image = sitk.ReadImage(path)
            mask = sitk.GetArrayFromImage(image) == segment["labelID"]
            mask = edits[segment["SegmentLabel"]](mask)
            drawn = (mask * segment["labelID"]).astype(np.uint8)
            edited = sitk.GetImageFromArray(drawn)
            edited.CopyInformation(image)  # type: ignore[no-untyped-call]
            sitk.WriteImage(edited, path)
        images.append(str(path))
    meta |= {
        "ContentCreatorName": "Doe^Jane",
        "SeriesDescription": "Segmentation",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
    }
    (folder / "edited.json").write_text(json.dumps(meta))
    _dcmqi(
        "itkimage2segimage", "--inputImageList", ",".join(images),
        "--inputDICOMDirectory", source, "--skip", "1", *options,
        "--inputMetadata", folder / "edited.json",
        "--outputDICOM", folder / "edited.dcm",
    )  # fmt: skip
    return folder / "edited.dcm"


def _dcmqi(program: str, *options: str | Path) -> None:
    path = Path(sys.executable).with_name(program)
    run = subprocess.run(
        [path, *options], capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr

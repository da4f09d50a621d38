"""How long all result objects of one series take to build and to write.

`PYTHONPATH=. python tests/benchmarks/encode.py [REPEATS]` prints a Markdown table:
20 slices of 512 x 512, analysed once; wall clock and processor time of each kind,
fsync included, and highdicom's SEG of the same label map with nothing around it.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom.sr.codedict import codes

from dicom_node.encode.result_context import DEFAULT_ROLES, ROLES, EncodeRequest
from dicom_node.encode.segmentation_object import segment_places
from dicom_node.encode.source_attributes import evidence_of
from dicom_node.identifiers import derived_uid
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.plugins.registry import Registry, installed
from dicom_node.work.encode import encode_series
from dicom_node.work.result_files import write_results
from tests.support.clinical import clinical_series
from tests.support.encoded import REQUEST

ROOT = Path(__file__).resolve().parents[2]
SLICES = 20
KINDS = ("binary", "labelmap", "labelmap-rle")


def timed(work: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Return the medians of wall clock and processor time, in seconds."""
    walls, cpus = [], []
    work()  # the first call imports
    for _ in range(repeats):
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def ours(analysed: Analysed, request: EncodeRequest) -> Callable[[], None]:
    """Return the building and writing of what a request asks for."""

    def work() -> None:
        with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
            build = partial(encode_series, analysed, request)
            write_results(Path(folder), build, {}, None)

    return work


def highdicom_alone(analysed: Analysed) -> Callable[[], None]:
    """Return the building and writing of the plainest SEG of the same voxels."""
    segmentation = analysed.result.segmentation
    evidence = evidence_of(analysed.decoded)
    places = segment_places(segmentation, "binary")
    numbers = {label: place.number for label, place in places.items()}
    labels = segmentation.labels.copy()
    for label, number in numbers.items():
        labels[segmentation.labels == label] = number

    def work() -> None:
        made = Segmentation(
            source_images=evidence.images,
            pixel_array=labels,
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[
                SegmentDescription(
                    segment_number=number,
                    segment_label=str(number),
                    segmented_property_category=codes.SCT.AnatomicalStructure,
                    segmented_property_type=codes.SCT.Vertebra,
                    algorithm_type="MANUAL",
                )
                for number in numbers.values()
            ],
            series_instance_uid=derived_uid("benchmark", "series"),
            series_number=1,
            sop_instance_uid=derived_uid("benchmark", "instance"),
            instance_number=1,
            manufacturer="benchmark",
            manufacturer_model_name="benchmark",
            software_versions="1",
            device_serial_number="1",
        )
        with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
            made.save_as(Path(folder) / "seg.dcm")

    return work


def main() -> None:
    """Measure and print."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        series = clinical_series(ROOT / "deploy" / "demo" / "series", SLICES)
        for number, instance in enumerate(series):
            paths.append(Path(folder) / f"{number}.dcm")
            instance.save_as(paths[-1])
        plugin = Registry(installed()).get("lumbar-mri")
        analysed = analyse_series(paths, plugin, threads=2)
    rows = {"**all of the default**": ours(analysed, REQUEST)}
    for role in ROLES:
        # An SR that refers to a SEG builds one; alone it does without.
        name = role if role in DEFAULT_ROLES else f"{role}, on request"
        rows[name] = ours(analysed, replace(REQUEST, objects=(role,)))
    for kind in KINDS[1:]:
        request = replace(REQUEST, objects=("seg",), segmentation=kind)
        rows[f"seg, {kind}, on request"] = ours(analysed, request)
    rows["SEG of highdicom alone"] = highdicom_alone(analysed)
    print(f"| {SLICES} slices of 512 x 512 | wall, s | processor, s |")
    print("| --- | --- | --- |")
    for name, work in rows.items():
        wall, cpu = timed(work, repeats)
        print(f"| {name} | {wall:.2f} | {cpu:.2f} |")


if __name__ == "__main__":
    main()

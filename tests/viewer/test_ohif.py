"""What a reader sees in OHIF, in a real browser, over a real PACS.

Pictures of what was seen are kept in `build/artefacts/ohif`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from analysis.contract.result import AnalysisResult, Finding
from dicom_node.decode.volume import read_volume
from dicom_node.encode.result_context import ROLES, EncodeRequest
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.plugins.registry import Registry, installed
from dicom_node.work.encode import encode_series
from tests.support import variants
from tests.support.browser import WITHIN_S, Browser, artefacts, needed
from tests.support.encoded import REQUEST
from tests.support.ohif import Ohif
from tests.support.ohif_page import Grid, OhifPage
from tests.support.orthanc import Orthanc
from tests.support.overlay import (
    STEP,
    agreement,
    grid_of,
    in_patient,
    likeness,
    sampled,
)
from tests.support.peers import free_port, run_dcmtk, wait_until
from tests.support.variants import fresh, saying

pytestmark = [pytest.mark.peer, pytest.mark.timeout(1200)]

LEVELS = ("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1")
SAME_PICTURE = 0.9
"""Correlation of what is seen with what was sent."""
SAME_LINE_PX = 2.0
"""A pixel of the source is 1.5 px of the page."""
SAME_PLACE = 0.85
"""Overlap (Dice) of what is drawn with what belongs there; borders cost a little."""
Labels = NDArray[np.uint8]
Fault = Callable[[Labels], Labels]


def front_to_back(labels: Labels) -> Labels:
    return reversed_along(labels, axis=2)


def left_to_right(labels: Labels) -> Labels:
    return reversed_along(labels, axis=0)


def reversed_along(labels: Labels, *, axis: int) -> Labels:
    return np.take(labels, np.arange(labels.shape[axis] - 1, -1, -1), axis=axis)


def two_millimetres_lower(labels: Labels) -> Labels:
    return np.roll(labels, round(2 / 0.46875), axis=1)


FAULTS: tuple[Fault, ...] = (front_to_back, left_to_right, two_millimetres_lower)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A PACS with two studies, and OHIF in a browser before it.

    Parameters
    ----------
    analysed
        The bundled series, whose study holds all its results.
    objects
        Those results, as they were sent.
    faulty
        The same series in a study of its own, whose segmentations are at wrong places.
    faults
        The number of the series of each.
    """

    page: OhifPage
    analysed: Analysed
    objects: list[Dataset]
    faulty: Analysed
    faults: dict[Fault, int]

    @property
    def result(self) -> AnalysisResult:
        return self.analysed.result

    def number_of(self, modality: str) -> int:
        """Return the number of the series of results of a modality."""
        (number,) = {
            int(one.SeriesNumber) for one in self.objects if one.Modality == modality
        }
        return number

    def open_study(self) -> None:
        self.page.open_study(study_of(self.analysed), 1 + len(ROLES))


def study_of(analysed: Analysed) -> str:
    return str(analysed.decoded.sources[0].StudyInstanceUID)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, root: Path, demo_series: Path
) -> Iterator[Site]:
    modules, files = needed(root, "npm") / "node_modules", needed(root, "ohif")
    folder = tmp_path_factory.mktemp("site")
    results, wrong = folder / "results", folder / "wrong"
    paths = sorted(demo_series.rglob("*.dcm"))
    plugin = Registry(installed()).get("lumbar-mri")
    analysed = analyse_series(paths, plugin, threads=2)
    objects = write_results(analysed, replace(REQUEST, objects=ROLES), results)
    faulty, faults = write_faulty_study(analysed, demo_series, wrong)
    orthanc = Orthanc(
        folder=folder / "orthanc",
        node_port=free_port(),
        routes_nothing=True,
        answers_dicom_web=True,
    )
    with (
        orthanc,
        Ohif(files=files, pacs=f"http://127.0.0.1:{orthanc.http_port}") as ohif,
        Browser(modules=modules) as browser,
    ):
        for sent in (demo_series, results, wrong):
            done = run_dcmtk(
                "dcmsend", "-aec", "TESTPACS", "+sd", "+r", "127.0.0.1",
                str(orthanc.dicom_port), str(sent),
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        page = OhifPage(browser, ohif.origin)
        yield Site(
            page=page,
            analysed=analysed,
            objects=objects,
            faulty=faulty,
            faults=faults,
        )
        assert page.hosts() == {ohif.origin.removeprefix("http://")}
        assert page.complaints() == []


def write_results(
    analysed: Analysed, request: EncodeRequest, folder: Path
) -> list[Dataset]:
    folder.mkdir(exist_ok=True)
    made: list[Dataset] = []
    for encoded in encode_series(analysed, request):
        path = folder / f"{request.series_number}_{encoded.name}.dcm"
        encoded.dataset.save_as(path, enforce_file_format=True)
        made.append(dcmread(path))
    return made


def write_faulty_study(
    analysed: Analysed, source: Path, folder: Path
) -> tuple[Analysed, dict[Fault, int]]:
    """Write the series as another study, with a SEG for each of `FAULTS`."""
    folder.mkdir()
    changes = saying(StudyInstanceUID=generate_uid(), PatientID="FAULTY")
    copies = fresh(variants.read_bundled(source), changes)
    for number, instance in enumerate(copies):
        instance.save_as(folder / f"{number:02d}.dcm")
    decoded = read_volume(sorted(folder.glob("*.dcm")))
    numbers = {}
    for number, fault in enumerate(FAULTS):
        request = replace(
            REQUEST,
            job_id=fault.__name__,
            series_number=1000 * (1 + number),
            objects=("seg",),
        )
        segmentation = analysed.result.segmentation
        moved = replace(segmentation, labels=fault(segmentation.labels))
        result = replace(analysed.result, segmentation=moved)
        (wrong,) = write_results(
            Analysed(decoded=decoded, result=result), request, folder
        )
        numbers[fault] = int(wrong.SeriesNumber)
    return Analysed(decoded=decoded, result=analysed.result), numbers


def looked_at(labels: Labels) -> list[int]:
    """Return three slices: the middle one, and one to each side with many segments."""
    counts = np.array([len(np.unique(plane)) for plane in labels])
    (rich,) = np.nonzero(counts >= 0.6 * counts.max())
    return sorted({int(rich[0]), int(rich[len(rich) // 2]), int(rich[-1])})


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """One slice of a series, and what is seen of it without an overlay."""

    index: int
    grid: Grid
    bare: NDArray[np.uint8]


def bare_planes(page: OhifPage, analysed: Analysed) -> list[Plane]:
    """Look at slices before any overlay, once they are what the source says."""
    volume = analysed.decoded.volume.voxels
    planes = []
    for index in looked_at(analysed.result.segmentation.labels):
        image = analysed.decoded.sources[index]
        grid = grid_of(image)
        width = float(image.WindowWidth)
        shown = sampled(np.clip(volume[index], 0, width))

        def alike(grid: Grid = grid, shown: NDArray[np.generic] = shown) -> bool:
            page.show(grid.sop_uid)
            return likeness(page.colours(grid), shown) > SAME_PICTURE

        wait_until(alike, within_s=WITHIN_S, every_s=0.5, what=f"slice {index}")
        planes.append(Plane(index=index, grid=grid, bare=page.colours(grid)))
    return planes


def overlaps(
    page: OhifPage, plane: Plane, analysed: Analysed, labels: Labels
) -> dict[str, float]:
    """Return how far each segment is drawn where labels have it, in one slice."""
    covered = page.colours(plane.grid)
    expected = sampled(labels[plane.index]).astype(np.uint8)
    return agreement(plane.bare, covered, expected, analysed.result.segmentation)


def wait_for_overlay(
    page: OhifPage, plane: Plane, analysed: Analysed, labels: Labels
) -> None:
    """Return once every segment of a slice is drawn where labels have it.

    Raises
    ------
    AssertionError
        If it is not; says which segments are elsewhere.
    """
    found: dict[str, float] = {}

    def drawn() -> bool:
        page.show(plane.grid.sop_uid)
        found.update(overlaps(page, plane, analysed, labels))
        return min(found.values()) > SAME_PLACE

    try:
        wait_until(drawn, within_s=WITHIN_S, every_s=0.5)
    except TimeoutError:
        pytest.fail(f"slice {plane.index}: {found}")


def test_a_reader_finds_the_study_and_every_series_of_results(
    site: Site, root: Path
) -> None:
    patient = str(site.analysed.decoded.sources[0].PatientID)
    assert "DEMO, SPIDER" in site.page.list_studies(patient)
    site.page.picture(artefacts(root) / "ohif" / "studies.png")

    site.open_study()
    found = {one.number: one for one in site.page.thumbnails()}
    assert found.pop(4).images == len(site.analysed.decoded.sources)
    expected = Counter(
        (int(one.SeriesNumber), str(one.Modality), str(one.SeriesDescription))
        for one in site.objects
    )
    assert {
        (number, one.modality, one.description): one.images
        for number, one in found.items()
    } == expected


def test_segments_lie_on_their_anatomy_under_their_names_and_colours(
    site: Site, root: Path
) -> None:
    site.open_study()
    planes = bare_planes(site.page, site.analysed)
    site.page.open_segmentation(site.number_of("SEG"))

    segmentation = site.result.segmentation
    named = sorted(segmentation.segments, key=lambda segment: segment.number)
    listed = site.page.segments()
    assert [name for name, _ in listed] == [segment.label for segment in named]
    for (name, colour), segment in zip(listed, named, strict=True):
        assert np.abs(np.subtract(colour, segment.colour)).max() <= 2, name

    for plane in planes:
        wait_for_overlay(site.page, plane, site.analysed, segmentation.labels)
        picture = f"segmentation-slice-{plane.index + 1}.png"
        site.page.picture(artefacts(root) / "ohif" / picture)


def test_the_report_draws_each_outline_and_writes_its_name_and_numbers_beside_it(
    site: Site, root: Path
) -> None:
    site.open_study()
    site.page.open_series(site.number_of("SR"))
    labels = {label.lines[0]: label for label in site.page.labels()}
    site.page.picture(artefacts(root) / "ohif" / "report.png")

    shown = site.page.shown_image()
    drawn = site.page.outlines()
    places = {}
    for finding in site.result.findings:
        outline = finding.outline
        if outline is None:
            continue
        image = site.analysed.decoded.sources[outline.slice_index]
        if f"/instances/{image.SOPInstanceUID}/" not in shown:
            continue
        expected = site.page.place_of(in_patient(image, outline.points).tolist())
        assert any(same_line(expected, line) for line in drawn), finding.label
        places[finding.label] = expected[:, 1].mean()

    beside = [one for one in site.result.findings if one.label in places]
    told = {lines[0]: (one, lines) for one in beside if (lines := told_beside(one))}
    assert {f"{level} disc" for level in LEVELS} <= {
        finding.label for finding, _ in told.values()
    }
    assert set(labels) == set(told)
    for name, (finding, lines) in told.items():
        assert labels[name].lines == lines
        alike = [place for place in places if is_disc(place) == is_disc(finding.label)]
        nearest = min(alike, key=lambda one: abs(places[one] - labels[name].top))
        assert nearest == finding.label, labels[name]
    from_above = sorted(labels.values(), key=lambda label: label.top)
    for upper, lower in pairwise(from_above):
        assert upper.bottom < lower.top + SAME_LINE_PX, (upper, lower)


def told_beside(finding: Finding) -> tuple[str, ...]:
    """Return what a reader needs beside a structure, as OHIF writes it.

    Name and Pfirrmann grade, mean height, height index: the first of each.
    """
    name = [finding.site.meaning]
    name += [
        grade.value.meaning
        for grade in finding.grades
        if grade.concept.meaning == "Pfirrmann grade"
    ]
    numbers = {
        one.concept.meaning: f"{one.value:.2f} {one.unit.value}"
        for one in reversed(finding.measurements)
    }
    wanted = [each for each in ("Height", "Disc height index") if each in numbers]
    if not wanted:
        return ()
    return (f"{', '.join(name)}: ", *(f"{each}: {numbers[each]}" for each in wanted))


def is_disc(label: str) -> bool:
    return label.endswith("disc")


def same_line(expected: NDArray[np.float64], drawn: NDArray[np.float64]) -> bool:
    return len(expected) == len(drawn) and bool(
        np.abs(expected - drawn).max() < SAME_LINE_PX
    )


def test_the_captured_pages_and_the_document_are_shown_as_they_were_drawn(
    site: Site, root: Path
) -> None:
    page = site.page
    site.open_study()
    page.open_series(site.number_of("OT"))
    captures = [one for one in site.objects if one.Modality == "OT"]
    for number, capture in enumerate(captures, start=1):
        drawn = sampled(capture.pixel_array).mean(axis=2)

        def alike(capture: Dataset = capture, drawn: NDArray[Any] = drawn) -> bool:
            page.show(str(capture.SOPInstanceUID))
            size = (capture.Rows, capture.Columns, STEP)
            return likeness(page.colours_of_image(*size), drawn) > SAME_PICTURE

        wait_until(alike, within_s=WITHIN_S, every_s=0.5, what=f"page {number}")
        page.picture(artefacts(root) / "ohif" / f"capture-{number}.png")

    page.open_series(site.number_of("DOC"))
    (document,) = (one for one in site.objects if one.Modality == "DOC")
    assert page.document() == document.EncapsulatedDocument
    page.picture(artefacts(root) / "ohif" / "document.png")


def test_a_segmentation_at_a_wrong_place_does_not_pass(site: Site, root: Path) -> None:
    page, analysed = site.page, site.faulty
    page.open_study(study_of(analysed), 1 + len(FAULTS))
    lateral = bare_planes(page, analysed)[:1]
    truth = analysed.result.segmentation.labels
    for fault, number in site.faults.items():
        page.open_segmentation(number)
        for plane in lateral:
            # It is on the screen as it was sent: what follows is no late overlay.
            wait_for_overlay(page, plane, analysed, fault(truth))
            page.picture(artefacts(root) / "ohif" / f"wrong-{fault.__name__}.png")
            found = overlaps(page, plane, analysed, truth)
            assert min(found.values()) < SAME_PLACE, fault.__name__
        page.close_segmentations()

"""What a reader sees in OHIF, in a real browser, over a real PACS.

Pictures of what was seen are kept in `build/artefacts/ohif`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from analysis.contract.result import AnalysisResult, Finding
from analysis.contract.segmentation import Segmentation
from dicom_node.encode.result_context import ROLES, EncodeRequest
from dicom_node.peers.stow import store_instances
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.plugins.registry import Registry, installed
from dicom_node.settings.web_peer import WebPeer
from dicom_node.work.encode import encode_series
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
from tests.support.peers import free_port, run_dcmtk

pytestmark = [pytest.mark.peer, pytest.mark.timeout(16 * WITHIN_S)]
"""The segmentation waits 13 times, and none longer than that."""

LEVELS = ("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1")
SAME_PICTURE = 0.9
"""Correlation of what is seen with what was sent."""
SAME_LINE_PX = 2.0
"""A pixel of the source is 1.5 px of the page."""
SAME_PLACE = 0.85
"""Overlap (Dice) of what is drawn with what belongs there; borders cost a little."""
Labels = NDArray[np.uint8]


def front_to_back(labels: Labels) -> Labels:
    return reversed_along(labels, axis=2)


def left_to_right(labels: Labels) -> Labels:
    return reversed_along(labels, axis=0)


def reversed_along(labels: Labels, *, axis: int) -> Labels:
    return np.take(labels, np.arange(labels.shape[axis] - 1, -1, -1), axis=axis)


def two_millimetres_lower(labels: Labels) -> Labels:
    return np.roll(labels, round(2 / 0.46875), axis=1)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A PACS with one study, and OHIF in a browser before it.

    Parameters
    ----------
    analysed
        The bundled series, whose study holds all its results.
    objects
        Those results, as they were sent.
    """

    page: OhifPage
    analysed: Analysed
    objects: list[Dataset]

    @property
    def result(self) -> AnalysisResult:
        return self.analysed.result

    def number_of(self, modality: str) -> int:
        """Return the number of the series of results of a modality."""
        (number,) = {
            int(one.SeriesNumber) for one in self.objects if one.Modality == modality
        }
        return number

    def open_study(self, *, after: Iterable[str] = ()) -> None:
        """Open the study; after series of these modalities the page may be kept."""
        study_uid = str(self.analysed.decoded.sources[0].StudyInstanceUID)
        opened = [self.number_of(modality) for modality in after]
        self.page.open_study(study_uid, 1 + len(ROLES), after=opened)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, root: Path, demo_series: Path
) -> Iterator[Site]:
    modules, files = needed(root, "npm") / "node_modules", needed(root, "ohif")
    folder = tmp_path_factory.mktemp("site")
    results = folder / "results"
    paths = sorted(demo_series.rglob("*.dcm"))
    plugin = Registry(installed()).get("lumbar-mri")
    analysed = analyse_series(paths, plugin, threads=2)
    objects = write_results(analysed, replace(REQUEST, objects=ROLES), results)
    orthanc = Orthanc(
        folder=folder / "orthanc",
        node_port=free_port(),
        routes_nothing=True,
        answers_dicom_web=True,
    )
    with (
        orthanc,
        Ohif(files=files, pacs=f"http://127.0.0.1:{orthanc.http_port}") as ohif,
        Browser(modules=modules, failures=artefacts(root) / "ohif") as browser,
    ):
        done = run_dcmtk(
            "dcmsend", "-aec", "TESTPACS", "+sd", "+r", "127.0.0.1",
            str(orthanc.dicom_port), str(demo_series),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        service = f"http://127.0.0.1:{orthanc.http_port}/dicom-web"
        stored = store_instances(
            "pacs", WebPeer(url=service), sorted(results.rglob("*.dcm"))
        )
        assert {one.text for one in stored} == {"stored"}
        page = OhifPage(browser, ohif.origin)
        yield Site(page=page, analysed=analysed, objects=objects)
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


def looked_at(labels: Labels) -> list[int]:
    """Return slices: one to each side with many segments, and the middle one last."""
    counts = np.array([len(np.unique(plane)) for plane in labels])
    (rich,) = np.nonzero(counts >= 0.6 * counts.max())
    return [int(rich[0]), int(rich[-1]), int(rich[len(rich) // 2])]


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

        page.until(alike, what=f"slice {index}")
        planes.append(Plane(index=index, grid=grid, bare=page.colours(grid)))
    return planes


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlay:
    """The segmentation on its images, as it is seen.

    Parameters
    ----------
    listed
        Name and colour of each segment in the list.
    slices
        Some slices, each with what is seen of it.
    """

    listed: list[tuple[str, tuple[int, ...]]]
    slices: list[tuple[Plane, NDArray[np.uint8]]]


@pytest.fixture(scope="module")
def overlay(site: Site, root: Path) -> Overlay:
    """Return the segmentation on its images, each slice once all of it is drawn."""
    page = site.page
    site.open_study()
    page.open_segment_list()
    planes = bare_planes(page, site.analysed)
    page.open_segmentation(site.number_of("SEG"))
    listed = page.segments()
    slices = [(plane, covered(site, plane)) for plane in planes]
    picture = f"segmentation-slice-{planes[-1].index + 1}.png"
    page.picture(artefacts(root) / "ohif" / picture)
    return Overlay(listed=listed, slices=slices)


def covered(site: Site, plane: Plane) -> NDArray[np.uint8]:
    """Return what is seen of a slice once every segment lies at its place.

    Raises
    ------
    AssertionError
        If one does not; says how far each does.
    """
    segmentation = site.result.segmentation
    seen: list[NDArray[np.uint8]] = []
    found: dict[str, float] = {}

    def drawn() -> bool:
        site.page.show(plane.grid.sop_uid)
        seen[:] = [site.page.colours(plane.grid)]
        found.update(overlaps(plane, seen[0], segmentation, segmentation.labels))
        return min(found.values()) > SAME_PLACE

    try:
        site.page.until(drawn, what=f"segments on slice {plane.index}")
    except TimeoutError as error:
        pytest.fail(f"{error}\n{found}")
    return seen[0]


def overlaps(
    plane: Plane, seen: NDArray[np.uint8], segmentation: Segmentation, labels: Labels
) -> dict[str, float]:
    """Return how far each segment is drawn where labels have it, in one slice."""
    expected = sampled(labels[plane.index]).astype(np.uint8)
    return agreement(plane.bare, seen, expected, segmentation)


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
    site: Site, overlay: Overlay
) -> None:
    segmentation = site.result.segmentation
    named = sorted(segmentation.segments, key=lambda segment: segment.number)
    assert [name for name, _ in overlay.listed] == [one.label for one in named]
    for (name, colour), segment in zip(overlay.listed, named, strict=True):
        assert np.abs(np.subtract(colour, segment.colour)).max() <= 2, name

    for plane, seen in overlay.slices:
        found = overlaps(plane, seen, segmentation, segmentation.labels)
        assert min(found.values()) > SAME_PLACE, (plane.index, found)


@pytest.mark.parametrize("fault", [front_to_back, left_to_right, two_millimetres_lower])
def test_segments_do_not_pass_where_they_lie_elsewhere_than_the_labels(
    site: Site, overlay: Overlay, fault: Callable[[Labels], Labels]
) -> None:
    segmentation = site.result.segmentation
    elsewhere = fault(segmentation.labels)
    lateral, seen = overlay.slices[0]
    assert min(overlaps(lateral, seen, segmentation, elsewhere).values()) < SAME_PLACE


def test_the_report_draws_each_outline_and_writes_its_name_and_numbers_beside_it(
    site: Site, root: Path
) -> None:
    site.open_study(after=("SR", "OT"))
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


def test_the_captured_pages_are_shown_as_drawn_and_the_viewer_gets_the_document_whole(
    site: Site, root: Path
) -> None:
    page = site.page
    site.open_study(after=("SR", "OT"))
    page.open_series(site.number_of("OT"))
    captures = [one for one in site.objects if one.Modality == "OT"]
    for number, capture in enumerate(captures, start=1):
        drawn = sampled(capture.pixel_array).mean(axis=2)

        def alike(capture: Dataset = capture, drawn: NDArray[Any] = drawn) -> bool:
            page.show(str(capture.SOPInstanceUID))
            size = (capture.Rows, capture.Columns, STEP)
            return likeness(page.colours_of_image(*size), drawn) > SAME_PICTURE

        page.until(alike, what=f"page {number}")
        page.picture(artefacts(root) / "ohif" / f"capture-{number}.png")

    page.open_series(site.number_of("DOC"))
    (document,) = (one for one in site.objects if one.Modality == "DOC")
    assert page.document() == document.EncapsulatedDocument
    page.picture(artefacts(root) / "ohif" / "document.png")

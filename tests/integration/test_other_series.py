"""Unusual but honest series: each is measured as the straight one is, or tells why it
is not. What a node makes of them is in `test_odd_input`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from analysis.lumbar.find.networks import (
    Networks,
    Segmenter,
    SliceSegmenter,
    load_networks,
)
from analysis.lumbar.plugin import LumbarMri
from dicom_node.decode.volume import read_volume
from dicom_node.plugins.analyse_series import analyse_series
from dicom_node.work.encode import encode_series
from tests.support import regrid, variants
from tests.support.encoded import REQUEST, by_name
from tests.support.returned import Drawn, drawn_in, heights_mm, numbers_of
from tests.support.variants import Series, fresh, saying, without
from tests.support.wedge_spine import rotation

OBLIQUE = rotation("z", 12.0) @ rotation("y", 8.0)
DISCS = ("L1/L2 disc", "L2/L3 disc", "L3/L4 disc", "L4/L5 disc", "L5/S1 disc")

SAME_MM, SAME_OVERLAP = 0.01, 0.999
"""The same voxels at the same places: what is left is the rounding of coordinates."""
RESAMPLED_MM, RESAMPLED_OVERLAP = 0.3, 0.9
"""Other voxels: pixels of 0.94 mm place each of the two edges of a disc to a quarter of
one, independently: 0.33 mm at a point, less over a whole disc. An edge off by as much
all around takes 7 % of the area of a disc of 8 mm x 35 mm."""
FEWER_SLICES_MM = 0.5
"""Three slices of 1.8 mm instead of seven: a disc changes by this from its middle to
5 mm beside it."""


@dataclass(frozen=True)
class Case:
    """An unusual series, and what it has in common with the straight one.

    Parameters
    ----------
    turn
        Where a place of the straight series is in this one.
    """

    make: Callable[[Series], Series]
    turn: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    tolerance_mm: float = SAME_MM
    overlap: float = SAME_OVERLAP


def coarse(series: Series) -> Series:
    """Return the middle of the bundled series at half its resolution: quicker."""
    return regrid.blocks(series[1:8], rows=2, columns=2)


def changed(*changes: variants.Change) -> Callable[[Series], Series]:
    return lambda series: fresh(coarse(series), *changes)


def stored_as(
    kind: str, *, slope: float = 1.0, intercept: float = 0.0
) -> variants.Change:
    """Return a change that stores the same values in another type and scale."""

    def change(instance: Dataset) -> None:
        values = (instance.pixel_array - intercept) / slope
        regrid.put(instance, np.rint(values).astype(kind))
        if slope != 1:
            instance.RescaleSlope, instance.RescaleIntercept = slope, intercept

    return change


def twice(series: Series) -> Series:
    """Return the series with four of its pictures again under another UID."""
    made = fresh(coarse(series))
    again = fresh(made[:4], saying(SeriesInstanceUID=made[0].SeriesInstanceUID))
    return [*made, *again]


MEASURED = {
    "straight": Case(changed()),
    "slices right to left, columns to the front": Case(
        lambda s: regrid.right_to_left_and_back_to_front(coarse(s))
    ),
    "rows to the back, columns to the feet": Case(
        lambda s: regrid.on_its_side(coarse(s))
    ),
    "oblique": Case(changed(regrid.moved(OBLIQUE)), turn=OBLIQUE),
    "rows askew in the plane": Case(
        lambda s: regrid.sampled_askew(coarse(s), angle_deg=10.0),
        tolerance_mm=RESAMPLED_MM,
        overlap=RESAMPLED_OVERLAP,
    ),
    "one Enhanced MR instance": Case(lambda s: regrid.as_enhanced(coarse(s))),
    "three slices": Case(
        lambda s: fresh(coarse(s)[2:5]), tolerance_mm=FEWER_SLICES_MM, overlap=0.0
    ),
    "weighting not told": Case(
        changed(
            without("EchoTime", "RepetitionTime", "SeriesDescription", "ProtocolName")
        )
    ),
}
SAME_PICTURE = {
    "8-bit": changed(stored_as("<u1")),
    "12-bit, signed, rescaled": changed(stored_as("<i2", slope=0.125, intercept=125.0)),
    "pictures twice": twice,
}
"""What is decoded to the same voxels at the same places is measured as the same."""
WARNED = {
    "pictures twice": "duplicate_instances",
    "three slices": "few_slices",
    "weighting not told": "weighting_unknown",
}
RESAMPLED = {what for what, case in MEASURED.items() if case.tolerance_mm > SAME_MM}
"""Their edge of the picture lies elsewhere, and so does what is cut off by it."""
COMPARED = [what for what in MEASURED if what != "straight"]


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of one series."""

    results: dict[str, Dataset]
    warnings: set[str]

    @property
    def report(self) -> Dataset:
        """The SR."""
        return self.results["sr"]

    @cached_property
    def heights_mm(self) -> dict[str, float]:
        """Of each structure, by the SR."""
        return heights_mm(self.report)

    @cached_property
    def drawn(self) -> Drawn:
        """What the SEG shows."""
        return drawn_in(self.results["seg"])


class Remembering:
    """A network that runs once for what it has seen before, to the bit."""

    def __init__(self, network: Segmenter) -> None:
        self.card, self.missed = network.card, network.missed
        self.runtime = network.runtime
        self._network = network
        self._known: dict[tuple[object, ...], NDArray[np.float32]] = {}

    def probabilities(
        self, slices: NDArray[np.float32], part: slice = slice(None)
    ) -> NDArray[np.float32]:
        """Return what the network says of slices."""
        seen = (slices.shape, slices.tobytes(), part.start, part.stop, part.step)
        if seen not in self._known:
            self._known[seen] = self._network.probabilities(slices, part)
        return self._known[seen].copy()


class RememberingSlices(Remembering):
    """The same for the network that sees whole slices."""

    def __init__(self, network: SliceSegmenter) -> None:
        super().__init__(network)
        self._slices = network
        self._rounded: dict[tuple[object, ...], NDArray[np.uint8]] = {}

    def in_steps(self, slices: NDArray[np.float32], steps: int) -> NDArray[np.uint8]:
        """Return what the network says of slices, rounded."""
        seen = (slices.shape, slices.tobytes(), steps)
        if seen not in self._rounded:
            self._rounded[seen] = self._slices.in_steps(slices, steps)
        return self._rounded[seen].copy()


def remembering(threads: int, device: str) -> Networks:
    """Load the networks; most of the series here show them the same slices."""
    loaded = load_networks(threads=threads, device=device)
    assert loaded.disc is not None
    return Networks(
        tissue=RememberingSlices(loaded.tissue), disc=Remembering(loaded.disc)
    )


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory, demo_series: Path
) -> dict[str, Answer]:
    """Return what comes of every case, from files to results, in this process."""
    bundled = variants.read_bundled(demo_series)
    plugin = LumbarMri(remembering)
    answers = {}
    for what, case in MEASURED.items():
        folder = variants.write_all(
            tmp_path_factory.mktemp("sent"), [case.make(bundled)]
        )
        analysed = analyse_series(sorted(folder.iterdir()), plugin, threads=2)
        request = replace(REQUEST, job_id=what, objects=("seg", "sr"))
        notices = (*analysed.result.warnings, *analysed.decoded.warnings)
        answers[what] = Answer(
            results=by_name(encode_series(analysed, request)),
            warnings={notice.code for notice in notices},
        )
    return answers


@pytest.mark.parametrize("what", COMPARED)
def test_the_numbers_in_the_sr_are_those_of_the_straight_series(
    answers: dict[str, Answer], what: str
) -> None:
    expected = answers["straight"].heights_mm
    assert set(expected) >= set(DISCS)
    found = answers[what].heights_mm
    names = DISCS if what in RESAMPLED else expected
    assert {name: found[name] for name in names} == pytest.approx(
        {name: expected[name] for name in names}, abs=MEASURED[what].tolerance_mm
    )


@pytest.mark.parametrize("what", [what for what in COMPARED if what != "three slices"])
def test_the_segments_lie_at_the_same_places_in_the_patient(
    answers: dict[str, Answer], what: str
) -> None:
    straight, other = answers["straight"].drawn, answers[what].drawn
    overlap = straight.agreement(other, MEASURED[what].turn, [*DISCS, "Spinal canal"])
    assert min(overlap.values()) > MEASURED[what].overlap, overlap


@pytest.mark.parametrize("what", MEASURED)
def test_what_a_reader_must_know_is_told(answers: dict[str, Answer], what: str) -> None:
    expected = {WARNED[what]} if what in WARNED else set()
    assert answers[what].warnings & set(WARNED.values()) == expected


@pytest.mark.parametrize("what", SAME_PICTURE)
def test_the_voxels_are_those_of_the_straight_series(
    demo_series: Path, tmp_path: Path, what: str
) -> None:
    bundled = variants.read_bundled(demo_series)
    read = {}
    for name, make in {"straight": changed(), what: SAME_PICTURE[what]}.items():
        (tmp_path / name).mkdir()
        folder = variants.write_all(tmp_path / name, [make(bundled)])
        read[name] = read_volume(sorted(folder.iterdir()))
    straight, other = read["straight"].volume, read[what].volume
    np.testing.assert_array_equal(other.voxels, straight.voxels)
    for part in ("origin_mm", "directions", "spacing_mm"):
        found, expected = (getattr(one.frame, part) for one in (other, straight))
        np.testing.assert_array_equal(found, expected)
    told = {WARNED[what]} if what in WARNED else set()
    assert {warning.code for warning in read[what].warnings} == told


def test_signal_is_not_measured_where_it_means_something_else(
    answers: dict[str, Answer],
) -> None:
    def signals(answer: Answer) -> set[str]:
        names = {name for _, name, *_ in numbers_of(answer.report)}
        return {name for name in names if "signal" in name}

    assert signals(answers["straight"])
    assert not signals(answers["weighting not told"])

"""Real T1 and T2 series of one patient: geometry agrees, signal is refused on T1."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.contract.plugin import Context, Plane, SeriesSummary, Subject, Weighting
from analysis.contract.result import AnalysisResult
from analysis.contract.volume import Volume
from analysis.lumbar.check.weighting import weighting_doubts
from analysis.lumbar.plugin import ROLE, LumbarMri
from tests.accuracy.levels import misnamed, read
from tests.support import spider

pytestmark = [
    pytest.mark.accuracy,
    pytest.mark.shared,
    pytest.mark.skipif(
        not spider.SHARED.is_dir(), reason=f"{spider.SHARED} is not on this machine"
    ),
]

T1, T2 = "fcs_vb1/10_DzZ_T1", "fcs_vb1/11_DzZ_T2"
STIR = "fcs_vb1/03_AKa4"
MIDDLE = slice(2, 10)
"""The slices of the spine; those beside it would take a third of the time."""
SAME_MM = 0.6
"""Two acquisitions with pixels of 1 mm and slices 4.5 mm apart."""
SUMMARY = SeriesSummary(
    modality="MR",
    body_part="LSPINE",
    plane=Plane.SAGITTAL,
    weighting=Weighting.T2,
    slice_count=12,
    rows=351,
    columns=351,
)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A series, its drawn levels, and what was found."""

    volume: Volume
    drawn: NDArray[np.uint8]
    result: AnalysisResult

    @classmethod
    def of(cls, plugin: LumbarMri, name: str, weighting: Weighting) -> Read:
        volume, drawn = read(spider.SHARED / name)
        volume = dataclasses.replace(volume, voxels=volume.voxels[MIDDLE])
        drawn = drawn[MIDDLE]
        summary = dataclasses.replace(SUMMARY, weighting=weighting)
        context = Context(subject=Subject(), summaries={ROLE: summary})
        return cls(volume, drawn, plugin.analyse({ROLE: volume}, context))

    @property
    def levels(self) -> list[dict[str, Any]]:
        levels = self.result.details["levels"]
        assert isinstance(levels, list)
        return levels

    def heights_mm(self) -> list[float]:
        return [level["disc_height_mm"] for level in self.levels]

    def codes(self) -> list[str]:
        return [warning.code for warning in self.result.warnings]


@pytest.fixture(scope="module")
def plugin() -> LumbarMri:
    return LumbarMri()


@pytest.fixture(scope="module")
def on_t1(plugin: LumbarMri) -> Read:
    return Read.of(plugin, T1, Weighting.T1)


def test_discs_are_as_high_on_t1_as_on_t2_and_have_the_same_names(
    plugin: LumbarMri, on_t1: Read
) -> None:
    on_t2 = Read.of(plugin, T2, Weighting.T2)
    assert misnamed(on_t1.result, on_t1.drawn)[1] == []
    assert on_t1.heights_mm() == pytest.approx(on_t2.heights_mm(), abs=SAME_MM)
    assert "not_t2" not in on_t2.codes()


def test_on_t1_neither_signal_nor_grade_is_told(on_t1: Read) -> None:
    assert "not_t2" in on_t1.codes()
    for level in on_t1.levels:
        assert level["delta_si"] is level["pfirrmann_grade"] is None
        assert level["unmeasured"]["delta_si"].startswith("not_t2")


def test_on_stir_geometry_is_measured_and_signal_is_not(plugin: LumbarMri) -> None:
    on_stir = Read.of(plugin, STIR, Weighting.STIR)
    assert misnamed(on_stir.result, on_stir.drawn)[1] == []
    assert "not_t2" in on_stir.codes()
    for level in on_stir.levels:
        assert level["disc_height_mm"] is not None
        assert level["unmeasured"]["delta_si"].startswith("not_t2")


def test_a_t1_picture_that_is_called_t2_is_found_out(on_t1: Read) -> None:
    labels = on_t1.result.segmentation.labels
    (notice,) = weighting_doubts(SUMMARY, on_t1.volume, labels)
    assert notice.code == "not_t2"
    assert "does not look it" in notice.text

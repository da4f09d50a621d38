import dataclasses
import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.contract.acquisition import Acquisition
from analysis.contract.errors import AnalysisFailed, OutOfResources, UnsuitableInput
from analysis.contract.measurement import Absence
from analysis.contract.plugin import (
    CONTRACT_VERSION,
    Analysis,
    Context,
    Plane,
    SeriesSummary,
    Subject,
    Weighting,
)
from analysis.contract.result import AnalysisResult
from analysis.contract.volume import Volume
from analysis.inference.cpu_runtime import cpu_runtime
from analysis.lumbar.anatomy.structures import CLASSES, LUMBAR_SPINE, Tissue
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.judge import grades_and_norms
from analysis.lumbar.number_or_reason import Missing
from analysis.lumbar.plugin import LumbarMri
from analysis.lumbar.tell.evaluations import (
    ABSENT,
    INDETERMINATE,
    PFIRRMANN,
    PRESENT,
)
from analysis.lumbar.tell.pages import first_page
from analysis.lumbar.tell.pages.typography import Notes, Pen, broken_notes
from tests.support import overlooked_body
from tests.support import wedge_spine as phantom
from tests.support.lumbar_stand_in import CARD, PhantomSegmenter, phantom_networks
from tests.support.measured_phantom import SIZE_MM
from tests.support.wedge_spine import Layout, WedgeSpine

LAYOUT = Layout(size_mm=(28.0, 290.0, 150.0))
LEVELS = ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"]
VALUES = {
    "disc_height_mm",
    "anterior_height_mm",
    "middle_height_mm",
    "posterior_height_mm",
    "disc_length_mm",
    "disc_area_mm2",
    "wedge_angle_deg",
    "disc_height_index",
    "height_diameter_ratio",
    "delta_si",
    "signal_ratio_csf",
    "nucleus_ratio_csf",
}
GRADED = {"pfirrmann_grade", "pfirrmann_probabilities", "norms"}
REFERENCE = {"dh_px512", "dhi", "hdr", "delta_si", "delta_si_grade"}


PERSON = Subject(age_years=45.0, sex="F")


TSE = Acquisition(sequence=("SE",), dimensions="2D")


def context(
    weighting: Weighting = Weighting.T2,
    subject: Subject = PERSON,
    acquisition: Acquisition = TSE,
) -> Context:
    summary = SeriesSummary(
        modality="MR",
        body_part="LSPINE",
        plane=Plane.SAGITTAL,
        weighting=weighting,
        slice_count=7,
        rows=362,
        columns=188,
    )
    return Context(
        subject=subject,
        summaries={"t2_sagittal": summary},
        acquisitions={"t2_sagittal": acquisition},
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Case:
    volume: Volume
    segmenter: PhantomSegmenter

    def analyse(
        self,
        weighting: Weighting = Weighting.T2,
        subject: Subject = PERSON,
        acquisition: Acquisition = TSE,
    ) -> AnalysisResult:
        plugin = LumbarMri(lambda *_: Networks(tissue=self.segmenter))
        told = context(weighting, subject, acquisition)
        return plugin.analyse({"t2_sagittal": self.volume}, told)


@pytest.fixture(scope="module")
def case() -> Case:
    frame, shape = LAYOUT.frame()
    spine = WedgeSpine()
    planes = spine.tissue_map(frame, shape).probability
    return Case(spine.volume(frame, shape), PhantomSegmenter(planes))


@pytest.fixture(scope="module")
def result(case: Case) -> AnalysisResult:
    return case.analyse()


def test_a_crushed_body_that_the_networks_overlook_is_told() -> None:
    layout = Layout(size_mm=SIZE_MM)  # bent as it is, it needs room in front
    planes = overlooked_body.without_l3(layout).probability
    volume = overlooked_body.SPINE.volume(*layout.frame())
    told = Case(volume, PhantomSegmenter(planes)).analyse().warnings
    assert any("may have been overlooked" in one.text for one in told)


def rows(result: AnalysisResult) -> list[dict[str, object]]:
    levels = result.details["levels"]
    assert isinstance(levels, list)
    return levels


def test_it_is_what_the_node_asks_for() -> None:
    plugin: Analysis = LumbarMri()
    assert (plugin.name, plugin.inputs) == ("lumbar-mri", ("t2_sagittal",))
    assert plugin.contract_version == CONTRACT_VERSION


def test_its_version_names_the_weights_and_what_computed(
    result: AnalysisResult,
) -> None:
    weights = hashlib.sha256(CARD.weights_sha256.encode()).hexdigest()
    assert result.provenance.version.endswith(f".{weights[:8]}.none")
    assert result.provenance.weights_sha256 == weights


def test_its_version_is_the_same_before_and_after_the_networks_are_loaded() -> None:
    # A series that comes again to a worker that is not yet warm is not measured anew.
    plugin = LumbarMri()
    before = plugin.version
    assert before.endswith(f".{plugin.runtime}")
    plugin.prepare(threads=1, device="cpu")
    assert plugin.version == before
    assert plugin.runtime == cpu_runtime()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_another_precision_measured_has_another_version(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(
        "analysis.inference.cpu_runtime.cpu_precision", lambda: precision
    )
    assert LumbarMri().version.endswith(f".{precision}")


def test_the_report_has_the_five_levels_in_order(result: AnalysisResult) -> None:
    assert [row["level"] for row in rows(result)] == LEVELS
    for row in rows(result):
        assert set(row) >= {"level", *VALUES, *GRADED, "reference", "uncertainty"}
        reference = row["reference"]
        assert isinstance(reference, dict)
        assert set(reference) == REFERENCE


def test_the_report_agrees_with_the_phantom(result: AnalysisResult) -> None:
    measured = rows(result)
    for row, truth in zip(measured, phantom.DISCS[4::-1], strict=True):
        assert row["disc_height_mm"] == pytest.approx(truth.height_mm, abs=0.12)
        assert row["disc_height_index"] == pytest.approx(
            truth.height_mm / phantom.BODY_HEIGHT_MM, abs=0.006
        )
        assert row["height_diameter_ratio"] == pytest.approx(
            truth.height_mm / truth.length_mm, abs=0.008
        )


def test_what_is_not_offered_is_null_with_a_reason(result: AnalysisResult) -> None:
    for row in rows(result):
        unmeasured = row["unmeasured"]
        assert isinstance(unmeasured, dict)
        absent = {key for key in VALUES if row[key] is None}
        reference = row["reference"]
        assert isinstance(reference, dict)
        absent |= {f"reference.{k}" for k, value in reference.items() if value is None}
        norms = row["norms"]
        assert isinstance(norms, dict)
        absent |= {f"norms.{key}" for key, place in norms.items() if place is None}
        assert set(unmeasured) >= absent


def test_every_finding_lies_in_the_segmentation(result: AnalysisResult) -> None:
    labels = {s.number: s.label for s in result.segmentation.segments}
    assert [f.label for f in result.findings[:5]] == [f"{n} disc" for n in LEVELS]
    for finding in result.findings:
        if finding.site == LUMBAR_SPINE:  # the whole of it is no segment
            continue
        assert finding.segment_number is not None
        assert labels[finding.segment_number] == finding.label
        assert finding.outline is not None


def test_grey_values_whose_zero_lies_elsewhere_give_no_signal_and_no_grade(
    case: Case, result: AnalysisResult
) -> None:
    moved = dataclasses.replace(case.volume, voxels=case.volume.voxels - 100)
    told = dataclasses.replace(case, volume=moved).analyse()
    (notice,) = (one for one in told.warnings if one.code == "signal_impossible")
    assert "disc to CSF signal ratio of L1/L2 -0." in notice.text
    for before, row in zip(rows(result), rows(told), strict=True):
        assert row["disc_height_mm"] == before["disc_height_mm"]
        assert row["signal_ratio_csf"] is row["delta_si"] is None
        assert row["pfirrmann_grade"] is None
        unmeasured = row["unmeasured"]
        assert isinstance(unmeasured, dict)
        assert unmeasured["reference.delta_si"].startswith("signal_impossible")


def test_the_same_series_gives_the_same_result(
    case: Case, result: AnalysisResult
) -> None:
    again = case.analyse()
    assert again.details == result.details
    assert (again.segmentation.labels == result.segmentation.labels).all()
    for page, other in zip(again.pages, result.pages, strict=True):
        assert (page.pixels == other.pixels).all()


def test_suppressed_fat_leaves_geometry_and_takes_signal(case: Case) -> None:
    result = case.analyse(Weighting.T2_FAT_SUPPRESSED)
    assert "fat_suppressed" in [warning.code for warning in result.warnings]
    for row in rows(result):
        assert row["disc_height_mm"] is not None
        assert row["delta_si"] is None
        assert row["pfirrmann_grade"] is None
        unmeasured = row["unmeasured"]
        assert isinstance(unmeasured, dict)
        assert unmeasured["pfirrmann_grade"].startswith("fat_suppressed")
    for finding in result.findings[:5]:
        assert PFIRRMANN not in {grade.concept for grade in finding.grades}
    reasons = [u.reason for u in result.findings[0].unmeasured]
    assert Absence.SIGNAL_UNFIT in reasons


def test_each_level_has_a_grade_and_the_probability_of_each(
    result: AnalysisResult,
) -> None:
    for row, finding in zip(rows(result), result.findings, strict=False):
        shares = row["pfirrmann_probabilities"]
        assert isinstance(shares, list)
        assert sum(shares) == pytest.approx(1.0, abs=0.001)
        assert row["pfirrmann_grade"] == 1 + int(np.argmax(shares))
        grade, narrowing, displacement = finding.grades[:3]
        assert displacement.concept.value == "DISPLACEMENT"
        likely = row["displacement_probability"]
        assert dict(displacement.probabilities)[PRESENT] == pytest.approx(
            likely, abs=1e-4
        )
        told = {"absent": ABSENT, "present": PRESENT, "cannot_tell": INDETERMINATE}
        assert displacement.value == told[str(row["displacement"])]
        assert narrowing.concept.value == "NARROWING"
        assert dict(narrowing.probabilities)[narrowing.value] >= 0.5
        assert grade.value.value == f"PFIRRMANN-{row['pfirrmann_grade']}"
        assert len(grade.probabilities) == 5


def test_values_by_the_definitions_of_the_norms_carry_their_place(
    result: AnalysisResult,
) -> None:
    for row, finding in zip(rows(result), result.findings, strict=False):
        norms, reference = row["norms"], row["reference"]
        assert isinstance(norms, dict)
        assert isinstance(reference, dict)
        assert set(norms) == {"dhi", "hdr", "delta_si"}
        placed = {m.concept.value: m for m in finding.measurements if m.norm}
        height = placed["DHI-ZHENG2022"]
        assert height.value == pytest.approx(reference["dhi"], abs=1e-4)
        assert height.norm is not None
        assert height.norm.percentile == pytest.approx(
            norms["dhi"]["percentile"], abs=1e-4
        )
        assert height.norm.population.startswith("women, 40 to 50 years")


def test_without_an_age_every_value_stays_and_the_norms_say_why(case: Case) -> None:
    result = case.analyse(subject=Subject(sex="F"))
    assert "age_unknown" in [warning.code for warning in result.warnings]
    for row in rows(result):
        assert row["norms"] == {"dhi": None, "hdr": None, "delta_si": None}
        reference, unmeasured = row["reference"], row["unmeasured"]
        assert isinstance(reference, dict)
        assert reference["dhi"] is not None
        assert isinstance(unmeasured, dict)
        assert unmeasured["norms.dhi"].startswith("age_unknown")


def test_of_a_3d_series_no_percentile_is_given_and_it_is_said_why(case: Case) -> None:
    space = Acquisition(sequence=("SE",), dimensions="3D")
    for row in rows(case.analyse(acquisition=space)):
        assert row["norms"] == {"dhi": None, "hdr": None, "delta_si": None}
        unmeasured = row["unmeasured"]
        assert isinstance(unmeasured, dict)
        assert "3-D spin echo" in unmeasured["norms.dhi"]


def test_without_a_sex_the_norms_of_both_are_given(case: Case) -> None:
    result = case.analyse(subject=Subject(age_years=45.0))
    assert "sex_unknown" in [warning.code for warning in result.warnings]
    for row, finding in zip(rows(result), result.findings, strict=False):
        norms = row["norms"]
        assert isinstance(norms, dict)
        assert set(norms["dhi"]) == set(norms["hdr"]) == {"f", "m"}
        if norms["delta_si"] is not None:
            assert set(norms["delta_si"]) == {"z", "percentile", "n"}
        placed = {m.concept.value for m in finding.measurements if m.norm}
        assert "DHI-ZHENG2022" not in placed


def test_the_overlay_comes_first_and_is_legible(result: AnalysisResult) -> None:
    assert [page.title for page in result.pages] == ["Overlay", "Norms"]
    for page in result.pages:
        assert page.pixels.shape[0] <= 1024
        assert page.pixels.max() > 200
    assert result.pages[0].pixels.shape[0] == 1024


def test_a_dot_on_the_norms_stands_at_the_percentile(case: Case) -> None:
    l1_l2 = np.array([80, 225, 245])

    def column(age_years: float) -> tuple[float, float]:
        result = case.analyse(subject=Subject(age_years=age_years, sex="M"))
        near = np.abs(result.pages[1].pixels.astype(int) - l1_l2).sum(axis=2) < 24
        # Below the table of values, and right of the level's own chip.
        norms = near[400:1000, 100:]
        places = np.nonzero(norms)[1]
        first = places[places < places.min() + 60]
        return float(first.mean()), _norm(result, "dhi")["percentile"]

    (one, low), (two, high) = column(25.0), column(85.0)
    assert low != pytest.approx(high, abs=5)
    assert (one - two) / (low - high) > 0


def _norm(result: AnalysisResult, parameter: str) -> dict[str, float]:
    norms = rows(result)[0]["norms"]
    assert isinstance(norms, dict)
    found: dict[str, float] = norms[parameter]
    return found


def test_the_overlay_shows_the_spine_head_up_and_front_left(
    result: AnalysisResult,
) -> None:
    colour = {s.label: np.array(s.colour) for s in result.segmentation.segments}
    pixels = result.pages[0].pixels[:, :600].astype(int)

    def place(label: str) -> list[float]:
        near = np.abs(pixels - colour[label]).sum(axis=2) < 24
        return [float(axis.mean()) for axis in np.nonzero(near)]

    assert place("L1")[0] < place("L3")[0] < place("L5")[0]
    assert place("L3")[1] < place("Spinal canal")[1]


def test_the_overlay_shows_the_canal_on_both_sides_of_a_place_where_it_is_closed(
    case: Case, result: AnalysisResult
) -> None:
    planes = case.segmenter.planes.copy()
    closed = slice(200, 215)
    planes[:, Tissue.BACKGROUND, closed] += planes[:, Tissue.CANAL, closed]
    planes[:, Tissue.CANAL, closed] = 0
    parted = dataclasses.replace(case, segmenter=PhantomSegmenter(planes)).analyse()
    colour = next(
        np.array(segment.colour)
        for segment in result.segmentation.segments
        if segment.label == "Spinal canal"
    )
    shown, still_shown = (
        np.nonzero(
            (np.abs(one.pages[0].pixels[:, :600].astype(int) - colour) < 8).all(axis=2)
        )[0]
        for one in (result, parted)
    )
    assert still_shown.min() == shown.min()
    assert still_shown.max() == shown.max()


def test_what_is_not_told_of_a_displacement_is_called_by_its_name(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = Missing(absence=Absence.GEOMETRY_UNFIT, code="corners", text="no corners")
    monkeypatch.setattr(grades_and_norms, "displacement_of", lambda *_: why)
    written: list[str] = []

    def noted(pen: Pen, notes: Notes, width: int) -> Notes:
        written.extend(text for text, _ in notes)
        return broken_notes(pen, notes, width)

    monkeypatch.setattr(first_page, "broken_notes", noted)
    case.analyse()
    assert "All levels, disc displaced: no corners" in written


def test_a_picture_without_a_spine_is_unsuitable(case: Case) -> None:
    nothing = np.zeros_like(case.segmenter.planes)
    nothing[:, 0] = 255
    plugin = LumbarMri(lambda *_: phantom_networks(nothing))
    with pytest.raises(UnsuitableInput) as outcome:
        plugin.analyse({"t2_sagittal": case.volume}, context())
    assert outcome.value.code == "no_lumbar_spine"


def test_a_network_of_other_classes_is_refused_when_it_is_loaded(case: Case) -> None:
    other = dataclasses.replace(CARD, classes=CLASSES[:-1])
    planes = case.segmenter.planes
    plugin = LumbarMri(lambda *_: phantom_networks(planes, card=other))
    with pytest.raises(AnalysisFailed, match="expected classes"):
        plugin.prepare(threads=1, device="cpu")


def test_memory_that_gives_out_may_be_tried_again(case: Case) -> None:
    class Greedy(PhantomSegmenter):
        def in_steps(
            self, slices: NDArray[np.float32], steps: int
        ) -> NDArray[np.uint8]:
            raise MemoryError

    greedy = Greedy(case.segmenter.planes)
    plugin = LumbarMri(lambda *_: Networks(tissue=greedy))
    with pytest.raises(OutOfResources, match="7x362x188"):
        plugin.analyse({"t2_sagittal": case.volume}, context())

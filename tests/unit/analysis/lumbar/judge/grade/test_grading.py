import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.contract.errors import AnalysisFailed
from analysis.contract.measurement import Absence
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, Tissue
from analysis.lumbar.judge.grade import model as shipped
from analysis.lumbar.judge.grade.features import FEATURES, DiscFeatures, disc_features
from analysis.lumbar.judge.grade.grading import DiscGrade, grade_discs, grades_by
from analysis.lumbar.judge.grade.model import OrdinalModel, load_models
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.number_or_reason import Missing
from tests.support import wedge_spine
from tests.support.wedge_spine import Layout, WedgeSpine

LAYOUT = Layout(size_mm=(28.0, 290.0, 150.0))
MEASURED = DISCS[:5]


@pytest.fixture(scope="module")
def spine() -> tuple[Anatomy, Volume]:
    frame, shape = LAYOUT.frame()
    tissues = WedgeSpine().tissue_map(frame, shape)
    anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
    return anatomy, WedgeSpine().volume(frame, shape)


def relit(volume: Volume, voxels: NDArray[np.float32]) -> Volume:
    return Volume(voxels=voxels, frame=volume.frame, series_uid=volume.series_uid)


def with_discs(anatomy: Anatomy, volume: Volume, *, to_marrow: float) -> Volume:
    """Give every disc a plain signal, as a share of the marrow's 90."""
    grid = anatomy.tissues.grid
    voxels = volume.voxels.copy()
    # The phantom draws discs at 60; marrow, canal and air are far from it.
    disc = np.abs(voxels - wedge_spine.GREY[Tissue.DISC]) < 12
    voxels[disc] = 90.0 * to_marrow
    assert grid.source_shape == voxels.shape
    return relit(volume, voxels)


def features(anatomy: Anatomy, volume: Volume) -> list[DiscFeatures]:
    found = disc_features(anatomy, volume, MEASURED)
    read = [found[disc.number] for disc in MEASURED]
    assert all(isinstance(each, DiscFeatures) for each in read)
    return [each for each in read if isinstance(each, DiscFeatures)]


def test_shape_features_agree_with_the_phantom(
    spine: tuple[Anatomy, Volume],
) -> None:
    for read, truth in zip(features(*spine), wedge_spine.DISCS, strict=False):
        # Pixels of 0.8 mm: the mean over some 45 columns is good to a tenth of one.
        assert np.exp(read.log_height) == pytest.approx(truth.height_mm, abs=0.4)
        length = np.exp(read.log_height - read.log_height_to_length)
        assert length == pytest.approx(truth.length_mm, abs=2.0)
        # Front third against back third of the central 80 %: their middles lie
        # 0.8 x 2/3 of the length apart.
        gap_mm = np.tan(np.deg2rad(truth.wedge_deg)) * 0.8 * 2 / 3 * truth.length_mm
        assert read.wedging == pytest.approx(gap_mm / truth.height_mm, abs=0.12)
        assert read.bulging_mm == pytest.approx(0.0, abs=0.6)


def test_signal_features_are_relative_to_marrow(
    spine: tuple[Anatomy, Volume],
) -> None:
    # Discs are drawn at 60, marrow at 90.
    for read in features(*spine):
        assert read.disc_to_marrow == pytest.approx(np.log(60 / 90), abs=0.05)
        assert read.nucleus_to_marrow == pytest.approx(np.log(60 / 90), abs=0.05)
        assert read.nucleus_less_rim == pytest.approx(0.0, abs=0.1)


def test_gain_changes_no_probability(spine: tuple[Anatomy, Volume]) -> None:
    anatomy, volume = spine
    louder = relit(volume, volume.voxels * np.float32(3.7))
    before = grade_discs(anatomy, volume, MEASURED, None)
    after = grade_discs(anatomy, louder, MEASURED, None)
    for disc in MEASURED:
        one, other = before[disc.number], after[disc.number]
        assert isinstance(one, DiscGrade)
        assert isinstance(other, DiscGrade)
        assert other.probabilities == pytest.approx(one.probabilities, abs=0.02)


def test_a_black_disc_is_graded_worse_than_a_bright_one(
    spine: tuple[Anatomy, Volume],
) -> None:
    anatomy, volume = spine
    expected = []
    for share in (1.6, 0.7, 0.15):
        lit = with_discs(anatomy, volume, to_marrow=share)
        graded = grade_discs(anatomy, lit, MEASURED, None)[DISCS[1].number]
        assert isinstance(graded, DiscGrade)
        expected.append(float(np.dot(graded.probabilities, range(1, 6))))
    assert expected == sorted(expected)
    assert expected[-1] > 3.5


def test_the_threads_change_nothing(spine: tuple[Anatomy, Volume]) -> None:
    alone = grade_discs(*spine, MEASURED, None)
    assert grade_discs(*spine, MEASURED, None, threads=3) == alone


def test_without_a_usable_signal_no_grade_is_given(
    spine: tuple[Anatomy, Volume],
) -> None:
    unfit = Missing(absence=Absence.SIGNAL_UNFIT, code="fat_suppressed", text="dark")
    graded = grade_discs(*spine, MEASURED, unfit)
    assert set(graded.values()) == {unfit}


def test_marrow_without_signal_gives_a_reason(spine: tuple[Anatomy, Volume]) -> None:
    anatomy, volume = spine
    dark = relit(volume, np.zeros_like(volume.voxels))
    for graded in grade_discs(anatomy, dark, MEASURED, None).values():
        assert isinstance(graded, Missing)
        assert graded.code == "too_few_voxels"


def model(**changes: object) -> OrdinalModel:
    plain = OrdinalModel(
        mean=np.zeros(2),
        spread=np.ones(2),
        lowest=np.full(2, -3.0),
        highest=np.full(2, 3.0),
        weights=np.array([1.0, 0.0]),
        cuts=np.array([-2.0, -1.0, 1.0, 2.0]),
        doubt=0.0,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_probabilities_are_those_of_proportional_odds() -> None:
    # At a score of 0: logistic(-2), (-1), (1), (2) are .1192, .2689, .7311, .8808.
    shares = model().probabilities(np.zeros(2))
    assert shares == pytest.approx([0.1192, 0.1497, 0.4621, 0.1497, 0.1192], abs=1e-4)


def test_doubt_leaves_something_to_every_grade() -> None:
    shares = model(doubt=0.1).probabilities(np.array([[3.0, 0.0], [-3.0, 0.0]]))
    assert shares.min() >= 0.02
    assert shares.sum(axis=1) == pytest.approx([1.0, 1.0])


def test_what_training_never_saw_counts_as_the_edge_of_what_it_saw() -> None:
    far = model().probabilities(np.array([50.0, 0.0]))
    assert far == pytest.approx(model().probabilities(np.array([3.0, 0.0])))


def test_the_shipped_model_is_made_for_these_features() -> None:
    assert load_models().grade.weights.shape == (len(FEATURES),)
    assert (np.diff(load_models().grade.cuts) > 0).all()


def test_a_thin_dark_disc_weighs_towards_a_higher_grade() -> None:
    weights = dict(zip(FEATURES, load_models().grade.weights, strict=True))
    assert weights["disc_to_marrow"] < 0
    assert weights["log_height"] + weights["log_height_to_length"] < 0


def test_a_lower_disc_is_more_probably_narrowed(spine: tuple[Anatomy, Volume]) -> None:
    # The phantom's lowest disc is 9 mm high, L1/L2 7 mm.
    graded = grade_discs(*spine, MEASURED, None)
    high, low = graded[DISCS[1].number], graded[DISCS[4].number]
    assert isinstance(high, DiscGrade)
    assert isinstance(low, DiscGrade)
    assert 0 <= high.narrowing < low.narrowing <= 1


@pytest.mark.parametrize(
    "change",
    [{"features": ["height"]}, {"grade": {}}, {"narrowing": None}, {"grade": "none"}],
)
def test_a_model_that_does_not_fit_is_refused(
    change: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = json.loads(shipped.MODEL_FILE.read_text())
    wrong = tmp_path / "model.json"
    wrong.write_text(json.dumps(raw | change))
    monkeypatch.setattr(shipped, "MODEL_FILE", wrong)
    with pytest.raises(AnalysisFailed, match=r"model\.json"):
        load_models.__wrapped__()


@pytest.mark.parametrize(
    ("height_mm", "is_called_narrowed"), [(5.0, True), (7.9, True), (8.1, False)]
)
def test_a_dark_disc_of_usual_height_is_not_called_narrowed(
    height_mm: float, is_called_narrowed: bool
) -> None:
    dark = DiscFeatures(
        disc_to_marrow=-1.9,
        nucleus_to_marrow=-1.9,
        nucleus_less_rim=0.0,
        peak_distance=0.1,
        centre_less_edge=0.05,
        log_height=math.log(height_mm),
        log_height_to_length=math.log(0.2),
        wedging=0.3,
        bulging_mm=0.5,
    )
    graded = grades_by({1: dark})[1]
    assert isinstance(graded, DiscGrade)
    assert graded.narrowing > 0.65 if is_called_narrowed else graded.narrowing == 0.5

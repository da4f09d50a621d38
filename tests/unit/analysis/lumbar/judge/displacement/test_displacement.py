import json
from pathlib import Path

import numpy as np
import pytest

from analysis.contract.errors import AnalysisFailed
from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.structures import DISCS
from analysis.lumbar.judge.displacement import displacement as shipped
from analysis.lumbar.judge.displacement.displacement import (
    DiscDisplacement,
    Told,
    displacement_of,
    load_model,
)
from analysis.lumbar.judge.displacement.signs import SIGNS, signs_of
from analysis.lumbar.judge.grade.features import DiscFeatures, disc_features
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.measure.rear_bulge import reach_behind
from analysis.lumbar.number_or_reason import Missing
from tests.support.measured_phantom import SIZE_MM, measured
from tests.support.wedge_spine import Layout, WedgeSpine

UNSEEN = Missing(absence=Absence.STRUCTURE_MISSING, code="too_few_voxels", text="no")


@pytest.fixture(autouse=True)
def _model_read_anew() -> None:
    load_model.cache_clear()


@pytest.fixture(scope="module")
def levels() -> dict[str, tuple[DiscLevel, DiscFeatures]]:
    spine = WedgeSpine()
    frame, shape = Layout(size_mm=SIZE_MM).frame()
    found = measured(spine)
    features = disc_features(
        found.spine.site.anatomy, spine.volume(frame, shape), DISCS[:5]
    )
    return {
        row.level: (row.site, read)
        for row in found.discs
        if isinstance(read := features[row.disc.number], DiscFeatures)
    }


def test_every_level_is_judged_by_the_features_of_its_grade_and_its_rear_edge(
    levels: dict[str, tuple[DiscLevel, DiscFeatures]],
) -> None:
    assert set(levels) == {"L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"}
    for site, features in levels.values():
        signs = signs_of(site, features)
        assert isinstance(signs, np.ndarray)
        assert signs[:-1].tolist() == features.vector().tolist()
        assert signs[-1] == reach_behind(site)
        assert isinstance(displacement_of(site, features), DiscDisplacement)


def test_without_features_the_reason_is_theirs(
    levels: dict[str, tuple[DiscLevel, DiscFeatures]],
) -> None:
    site, _ = levels["L4/L5"]
    assert displacement_of(site, UNSEEN) == UNSEEN


def test_a_disc_that_reaches_further_back_is_more_probably_displaced(
    levels: dict[str, tuple[DiscLevel, DiscFeatures]],
) -> None:
    signs = signs_of(*levels["L4/L5"])
    assert isinstance(signs, np.ndarray)
    further = signs + 2.0 * np.eye(len(SIGNS))[-1]
    before, after = load_model().probabilities(np.stack([signs, further]))[:, 1]
    assert after > before + 0.05


@pytest.mark.parametrize(
    ("probability", "told"),
    [
        (0.02, Told.ABSENT),
        (0.25, Told.ABSENT),
        (0.26, Told.UNSURE),
        (0.74, Told.UNSURE),
        (0.75, Told.PRESENT),
    ],
)
def test_between_two_probabilities_it_cannot_tell(
    probability: float, told: Told
) -> None:
    assert DiscDisplacement(probability=probability).told is told


@pytest.mark.parametrize(
    "change", [{"signs": ["height"]}, {"displacement": {}}, {"displacement": None}]
)
def test_a_model_that_does_not_fit_is_refused(
    change: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = json.loads(shipped.MODEL_FILE.read_text())
    wrong = tmp_path / "model.json"
    wrong.write_text(json.dumps(raw | change))
    monkeypatch.setattr(shipped, "MODEL_FILE", wrong)
    with pytest.raises(AnalysisFailed, match=r"model\.json"):
        load_model()

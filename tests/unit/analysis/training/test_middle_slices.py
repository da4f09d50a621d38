"""The readers of single slices whose discs are drawn, or marked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.training.commands import split_cases
from analysis.training.disc_places import places_of
from analysis.training.labels import Label
from analysis.training.pseudo_labels import UNSURE, digest_of
from analysis.training.readers import read_cases
from analysis.training.settings import SourceSettings, read_settings

SOURCE = SourceSettings(
    reader="middle_slices", folder="slices", share=1.0, validation=(), s1_share=0.0
)
PIXEL_MM = 0.5


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "slices"
    for name in ("images", "mask_disc"):
        (folder / name).mkdir(parents=True)
    drawn = np.zeros((200, 160), np.uint8)
    drawn[60:74, 40:100], drawn[130:142, 44:104] = 1, 1
    Image.fromarray(drawn).save(folder / "mask_disc" / "one.png")
    Image.fromarray(drawn * 90 + 20).save(folder / "images" / "one.png")
    (folder / "cases.csv").write_text(
        "case,image,pixel_mm,split\n"
        f"one,images/one.png,{PIXEL_MM},train\n"
        f"two,images/two.png,{PIXEL_MM},public_test\n"
    )
    return tmp_path


def test_a_pixel_beside_the_discs_may_be_anything_else(data: Path) -> None:
    (case,) = read_cases(data, SOURCE, "train")
    assert (case.patient, case.grey.shape) == ("one", (1, 200, 160))
    assert case.spacing_mm == (PIXEL_MM, PIXEL_MM)
    everything = (1 << len(Label)) - 1
    disc = 1 << Label.DISC
    assert case.allowed[0, 65, 60] == disc
    assert case.allowed[0, 100, 60] == everything - disc
    # A body above the highest disc and on, other discs may follow.
    assert case.allowed[0, 60 - round(12 / PIXEL_MM), 60] == everything


def test_each_disc_is_found_where_it_was_drawn(data: Path) -> None:
    (case,) = read_cases(data, SOURCE, "train")
    middles = [place.middle_mm.tolist() for place in places_of(case)]
    assert middles == [
        pytest.approx([66.5 * PIXEL_MM, 69.5 * PIXEL_MM]),
        pytest.approx([135.5 * PIXEL_MM, 73.5 * PIXEL_MM]),
    ]


# Of a source of middle slices with pseudo-labels: L5/S1 and L4/L5 are drawn.
NAMED = "mrspineseg2d"
L4_L5, L5_S1 = (67, 70), (136, 74)
EVERYTHING = (1 << len(Label)) - 1


@pytest.fixture
def looked_at(data: Path) -> SourceSettings:
    folder = (data / "slices").rename(data / NAMED)
    (folder / "mask_disc_inst").mkdir()
    drawn = np.asarray(Image.open(folder / "mask_disc" / "one.png"))
    levels = drawn * np.where(np.arange(len(drawn)) > 100, 1, 2)[:, None]
    inst = Image.fromarray(levels.astype(np.uint8))
    inst.save(folder / "mask_disc_inst" / "one.png")
    (data / "tianchi2d").mkdir()
    (data / "tianchi2d" / "points.csv").write_text("case,level,x_px,y_px\n")
    (data / "tianchi2d" / "cases.csv").write_text("case,image,pixel_mm,split\n")
    sure = np.zeros(drawn.shape, np.uint8)
    sure[drawn > 0] = Label.DISC
    sure[10:20, 40:100] = Label.DISC  # above what was drawn
    sure[56:60, 40:100] = Label.DISC  # wider than drawn
    sure[80:124, 40:100] = Label.BODY
    sure[74:80, 40:100] = UNSURE
    sure[142:146, 44:104] = Label.BODY  # below L5/S1
    sure[150:190, 44:104] = Label.S1
    looks = data / "looks" / NAMED / "one.png"
    looks.parent.mkdir(parents=True)
    Image.fromarray(sure).save(looks)
    return replace(
        SOURCE,
        folder=NAMED,
        pseudo_labels=str(data / "looks"),
        pseudo_sha256=digest_of(data / "looks"),
    )


def test_beside_drawn_discs_a_pixel_is_what_both_looks_are_sure_of(
    data: Path, looked_at: SourceSettings
) -> None:
    (case,) = read_cases(data, looked_at, "train")
    allowed = case.allowed[0]
    assert allowed[100, 70] == 1 << Label.BODY
    assert allowed[170, 70] == 1 << Label.S1
    assert case.s1_slices == {0}
    # Discs are as drawn, and what is in doubt may be all that numbering leaves open.
    assert (allowed == 1 << Label.DISC).sum() == 60 * 14 + 60 * 12
    not_disc = EVERYTHING - (1 << Label.DISC)
    assert allowed[58, 70] == not_disc
    assert allowed[15, 70] == EVERYTHING
    assert allowed[76, 70] == not_disc - (1 << Label.S1)
    assert allowed[144, 70] == not_disc - (1 << Label.BODY)


def test_what_scores_a_run_has_no_pseudo_labels(
    data: Path, looked_at: SourceSettings
) -> None:
    (case,) = read_cases(data, replace(looked_at, validation=("one",)), "train")
    plain = replace(looked_at, pseudo_labels="", pseudo_sha256="")
    (expected,) = read_cases(data, plain, "train")
    assert np.array_equal(case.allowed, expected.allowed)


def test_a_marked_slice_is_what_both_looks_saw(
    data: Path, looked_at: SourceSettings
) -> None:
    marked = replace(looked_at, reader="marked_slices", style="network")
    (case,) = read_cases(data, marked, "train")
    assert case.allowed[0, 58, 70] == 1 << Label.DISC
    assert case.allowed[0, 76, 70] == EVERYTHING - (1 << Label.S1)
    with pytest.raises(ValueError, match="no case"):
        read_cases(data, marked, "public_test")


def test_another_machines_outlines_may_contradict(
    data: Path, looked_at: SourceSettings
) -> None:
    other = np.zeros((200, 160), np.uint8)
    other[80:100] = 1  # sacrum
    other[150:160] = 2  # L5
    (data / NAMED / "pseudo_level").mkdir()
    Image.fromarray(other).save(data / NAMED / "pseudo_level" / "one.png")
    (case,) = read_cases(data, looked_at, "train")
    not_disc = EVERYTHING - (1 << Label.DISC)
    assert case.allowed[0, 90, 70] == not_disc
    assert case.allowed[0, 110, 70] == 1 << Label.BODY
    assert case.allowed[0, 155, 70] == not_disc
    assert case.allowed[0, 180, 70] == 1 << Label.S1


def test_other_pseudo_labels_than_the_settings_say_are_refused(
    data: Path, looked_at: SourceSettings
) -> None:
    path = data / "looks" / NAMED / "one.png"
    Image.fromarray(np.zeros((200, 160), np.uint8)).save(path)
    with pytest.raises(ValueError, match="is not the one expected"):
        read_cases(data, looked_at, "train")


def test_who_is_held_out_is_neither_trained_on_nor_scored(
    data: Path, looked_at: SourceSettings
) -> None:
    for names in ((), ("one",)):
        source = replace(looked_at, reader="marked_slices", held_out=names)
        settings = replace(read_settings(), sources=(source,))
        training, fold = split_cases(settings, data)
        assert [case.name for case in training[0]] == ([] if names else ["one"])
        assert fold == []

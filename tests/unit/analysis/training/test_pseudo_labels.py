"""Which pseudo-labels are believed, and what the marks of readers say by themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("SimpleITK", reason="TRAINING NOT TESTED: no extra `train`")

from analysis.lumbar.find.networks import Networks
from analysis.training.labels import Label
from analysis.training.pseudo_labels import (
    SURE,
    UNSURE,
    agreed,
    allowed_by_looks,
    digest_of,
    write_pseudo_labels,
)
from tests.support.toy_card import TOY_CARD

EVERYTHING = (1 << len(Label)) - 1
PIXEL_MM = 1.0
PLACES = {"L4/L5": (60.0, 50.0), "L5": (80.0, 50.0), "L5/S1": (100.0, 50.0)}
BODY, DISC, S1 = (np.uint8(1 << one) for one in (Label.BODY, Label.DISC, Label.S1))


def _seen() -> NDArray[np.uint8]:
    """Return L5 between its discs, and S1, as a network sees them that is right."""
    sure = np.zeros((160, 100), np.uint8)
    for rows, label in (
        ((56, 64), Label.DISC),
        ((68, 92), Label.BODY),
        ((96, 104), Label.DISC),
        ((108, 130), Label.S1),
    ):
        sure[slice(*rows), 35:65] = label
    return sure


def test_looks_agree_where_both_are_sure_of_the_same() -> None:
    first = np.zeros((len(Label), 1, 4), np.float32)
    second = first.copy()
    first[Label.DISC, 0] = (1.0, 1.0, 1.0, SURE - 0.01)
    second[Label.DISC, 0, 0], second[Label.BODY, 0, 1] = 1.0, 1.0
    second[Label.DISC, 0, 2], second[Label.DISC, 0, 3] = SURE - 0.01, 1.0
    assert agreed(first, second).tolist() == [[Label.DISC, UNSURE, UNSURE, UNSURE]]


def test_what_was_seen_where_it_was_marked_is_believed() -> None:
    seen = _seen()
    allowed = allowed_by_looks(seen, PLACES, PIXEL_MM)
    assert np.array_equal(allowed, np.left_shift(np.uint8(1), seen))


def test_a_pixel_in_doubt_may_be_anything_but_what_numbering_forbids() -> None:
    seen = np.full_like(_seen(), UNSURE)
    allowed = allowed_by_looks(seen, PLACES, PIXEL_MM)
    assert allowed[90, 20] == EVERYTHING - S1
    assert allowed[140, 50] == EVERYTHING - BODY
    assert allowed[80, 50] == BODY
    assert allowed[100, 50] == DISC
    assert (allowed_by_looks(seen, {}, PIXEL_MM) == EVERYTHING).all()


def test_a_network_that_counts_one_body_too_few_is_told_by_the_marks() -> None:
    seen = _seen()
    seen[68:92, 35:65] = Label.S1
    seen[108:130, 35:65] = UNSURE
    allowed = allowed_by_looks(seen, PLACES, PIXEL_MM)
    assert allowed[80, 50] == BODY
    assert allowed[72, 40] == EVERYTHING - S1


def test_a_network_that_counts_one_body_too_many_is_told_by_the_marks() -> None:
    seen = _seen()
    seen[108:130, 35:65] = Label.BODY
    seen[134:140, 35:65] = Label.DISC
    seen[144:158, 35:65] = Label.S1
    allowed = allowed_by_looks(seen, PLACES, PIXEL_MM)
    for row in (120, 137, 150):
        assert allowed[row, 50] == EVERYTHING - BODY


def test_a_disc_that_nobody_marked_is_doubted_but_above_the_marks() -> None:
    seen = _seen()
    seen[76:84, 35:65] = Label.DISC
    seen[20:28, 35:65] = Label.DISC
    places = {level: place for level, place in PLACES.items() if "/" in level}
    allowed = allowed_by_looks(seen, places, PIXEL_MM)
    assert allowed[80, 40] == EVERYTHING - S1
    assert allowed[24, 40] == DISC


class _ReadsGrey:
    """A network that takes bright for disc and, on larger pixels, for body."""

    missed = ""
    runtime = "none"
    card = TOY_CARD

    def probabilities(
        self, slices: NDArray[np.float32], part: slice = slice(None)
    ) -> NDArray[np.float32]:
        bright = slices[part] > 100
        found = np.zeros((len(bright), len(Label), *slices.shape[1:]), np.float32)
        # The slice that is seen smaller has fewer rows.
        small = slices.shape[1] < 150
        found[:, Label.BODY if small else Label.DISC] = bright
        found[:, 0] = ~bright
        return found

    def in_steps(self, slices: NDArray[np.float32], steps: int) -> NDArray[np.uint8]:
        return (self.probabilities(slices) * steps).astype(np.uint8)


def test_every_middle_slice_of_train_is_looked_at_twice(tmp_path: Path) -> None:
    for source, column in (("mrspineseg2d", "pixel_mm"), ("tianchi2d", "pixel_mm")):
        (tmp_path / source / "images").mkdir(parents=True)
        (tmp_path / source / "cases.csv").write_text(
            f"case,image,{column},split\n1,images/1.png,0.8,train\n"
            "2,images/2.png,0.8,public_test\n"
        )
        grey = np.zeros((160, 120), np.uint8)
        grey[:] = np.arange(grey.shape[1])[None] // 2
        grey[40:60, 40:60] = 200
        for case in "12":
            Image.fromarray(grey).save(tmp_path / source / "images" / f"{case}.png")
    (tmp_path / "tianchi2d" / "points.csv").write_text(
        "case,level,x_px,y_px\n1,L5-S1,50,50\n2,L5-S1,50,50\n"
    )
    (tmp_path / "mrspineseg2d" / "mask_disc_inst").mkdir()
    for case in "12":
        path = tmp_path / "mrspineseg2d" / "mask_disc_inst" / f"{case}.png"
        Image.fromarray((grey == 200).astype(np.uint8)).save(path)
    out = tmp_path / "out"
    digest = write_pseudo_labels(tmp_path, Networks(tissue=_ReadsGrey()), out)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        "mrspineseg2d/1.png",
        "tianchi2d/1.png",
    ]
    sure = np.asarray(Image.open(out / "tianchi2d" / "1.png"))
    assert (sure[50, 50], sure[10, 10]) == (UNSURE, Label.BACKGROUND)
    assert digest == digest_of(out)
    Image.fromarray(sure * 0).save(out / "tianchi2d" / "1.png")
    assert digest_of(out) != digest

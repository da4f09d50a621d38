"""The reader of single slices whose discs are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.training.disc_places import places_of
from analysis.training.labels import Label
from analysis.training.readers import read_cases
from analysis.training.settings import SourceSettings

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

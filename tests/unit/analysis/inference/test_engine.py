"""The committed network loads only untouched and gives sound probabilities."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from analysis.contract.errors import AnalysisFailed
from analysis.inference.engine import Segmenter, load_segmenter
from analysis.inference.model_card import MODELS
from tests.support.block_spine import block_spine


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODELS, tmp_path / "models"))


def test_the_card_names_the_classes_that_the_lumbar_room_expects(
    segmenter: Segmenter,
) -> None:
    assert segmenter.card.classes == (
        "background",
        "body",
        "disc",
        "s1",
        "canal",
        "posterior",
    )
    assert segmenter.card.spacing_mm == 0.8


def test_probabilities_are_shares_of_one(segmenter: Segmenter) -> None:
    shares = segmenter.probabilities(block_spine(96, 64, count=2))
    assert shares.shape == (2, 6, 96, 64)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (33, 31), (97, 70), (64, 95)])
def test_any_size_comes_back_as_it_went_in(
    segmenter: Segmenter, rows: int, columns: int
) -> None:
    shares = segmenter.probabilities(block_spine(rows, columns))
    assert shares.shape == (1, 6, rows, columns)
    assert np.isfinite(shares).all()


def test_no_slices_give_no_probabilities(segmenter: Segmenter) -> None:
    empty = np.zeros((0, 40, 40), np.float32)
    assert segmenter.probabilities(empty).shape == (0, 6, 40, 40)


@pytest.mark.parametrize("shape", [(40, 40), (1, 0, 40), (1, 1, 40, 40)])
def test_other_shapes_are_refused(segmenter: Segmenter, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected shape"):
        segmenter.probabilities(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="expected shape"):
        segmenter.in_steps(np.zeros(shape, np.float32), 255)


def test_the_same_slices_give_the_same_bits(segmenter: Segmenter) -> None:
    slices = block_spine(130, 97, count=2)
    first = segmenter.probabilities(slices)
    np.testing.assert_array_equal(first, segmenter.probabilities(slices))
    np.testing.assert_array_equal(first, load_segmenter().probabilities(slices))


def test_the_number_of_threads_changes_no_bit(segmenter: Segmenter) -> None:
    slices = block_spine(130, 97, count=5)
    alone = load_segmenter(threads=1).probabilities(slices)
    np.testing.assert_array_equal(alone, segmenter.probabilities(slices))


def test_a_shape_seen_before_another_changes_no_bit(segmenter: Segmenter) -> None:
    slices = block_spine(96, 64, count=2)
    first = segmenter.probabilities(slices)
    segmenter.probabilities(block_spine(160, 128, count=3))
    np.testing.assert_array_equal(first, segmenter.probabilities(slices))


def test_steps_are_the_probabilities_rounded(segmenter: Segmenter) -> None:
    slices = block_spine(97, 70, count=5)
    slices[3] = 0.0
    expected = np.rint(segmenter.probabilities(slices) * np.float32(255))
    found = segmenter.in_steps(slices, 255)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_a_slice_depends_on_no_more_than_its_neighbours(segmenter: Segmenter) -> None:
    slices = block_spine(64, 64, count=5)
    whole = segmenter.probabilities(slices)
    part = segmenter.probabilities(slices[1:4], slice(1, 2))
    np.testing.assert_array_equal(whole[2:3], part)


@pytest.mark.parametrize("grey", [0.0, 500.0, np.nan, np.inf])
def test_a_slice_without_contrast_is_background(
    segmenter: Segmenter, grey: float
) -> None:
    shares = segmenter.probabilities(np.full((1, 40, 40), grey, np.float32))
    assert (shares[:, 0] == 1.0).all()
    assert (shares[:, 1:] == 0.0).all()


def test_holes_in_a_slice_leave_the_output_finite(segmenter: Segmenter) -> None:
    slices = block_spine(64, 64)
    slices[0, 10:20, 10] = np.nan
    slices[0, 10:20, 11] = np.inf
    assert np.isfinite(segmenter.probabilities(slices)).all()


@pytest.mark.parametrize("suffix", ["safetensors", "onnx"])
def test_one_flipped_bit_is_refused(copied: Path, suffix: str) -> None:
    path = copied / f"lumbar.{suffix}"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    kind = "weights" if suffix == "safetensors" else "graph"
    expected = json.loads((copied / "lumbar.json").read_text("utf-8"))[kind]["sha256"]
    with pytest.raises(AnalysisFailed) as failure:
        load_segmenter(folder=copied)
    message = str(failure.value)
    assert str(path) in message
    assert f"expected SHA-256 {expected}, found " in message


@pytest.mark.parametrize("suffix", ["safetensors", "onnx", "json"])
def test_a_missing_file_is_named(copied: Path, suffix: str) -> None:
    path = copied / f"lumbar.{suffix}"
    path.unlink()
    with pytest.raises(AnalysisFailed, match=path.name):
        load_segmenter(folder=copied)


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "lumbar"}'])
def test_a_card_that_cannot_be_understood_is_named(copied: Path, text: str) -> None:
    (copied / "lumbar.json").write_text(text, encoding="utf-8")
    with pytest.raises(AnalysisFailed, match=r"lumbar\.json"):
        load_segmenter(folder=copied)


def test_weights_lie_in_one_file_only() -> None:
    # 2.2 million weights of four bytes are nine million; a bare graph is tiny.
    assert (MODELS / "lumbar.onnx").stat().st_size < 100_000
    assert (MODELS / "lumbar.safetensors").stat().st_size < 20_000_000

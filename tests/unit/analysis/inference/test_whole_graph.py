"""A graph gets its weights in memory, and nothing else of it changes."""

import onnx
import pytest
from onnx import numpy_helper

from analysis.inference.model_card import MODELS
from analysis.inference.whole_graph import with_weights


@pytest.mark.parametrize("name", ["lumbar", "disc"])
def test_only_the_place_of_the_weights_changes(name: str) -> None:
    path, weights = MODELS / f"{name}.onnx", MODELS / f"{name}.safetensors"
    found = onnx.load_from_string(with_weights(path.read_bytes(), weights.read_bytes()))
    expected = onnx.load(str(path))  # fills in the weights by itself
    onnx.checker.check_model(found, full_check=True)
    pairs = zip(found.graph.initializer, expected.graph.initializer, strict=True)
    for one, other in pairs:
        assert one.name == other.name
        assert not one.external_data
        assert (numpy_helper.to_array(one) == numpy_helper.to_array(other)).all()
    for whole in (found, expected):
        whole.graph.ClearField("initializer")
    assert found == expected


def test_a_graph_that_points_beyond_its_weights_is_refused() -> None:
    graph = (MODELS / "disc.onnx").read_bytes()
    weights = (MODELS / "disc.safetensors").read_bytes()
    with pytest.raises(ValueError, match="a weight ends at"):
        with_weights(graph, weights[:-1])


def test_a_graph_that_is_cut_off_is_refused() -> None:
    graph = (MODELS / "disc.onnx").read_bytes()
    weights = (MODELS / "disc.safetensors").read_bytes()
    with pytest.raises(ValueError, match="a field ends at"):
        with_weights(graph[:-1], weights)


@pytest.mark.parametrize("graph", [b"\x80", b"\x07", b"\x0b"])
def test_what_is_no_graph_is_refused(graph: bytes) -> None:
    with pytest.raises(ValueError, match=r"number|wire type"):
        with_weights(graph, b"")

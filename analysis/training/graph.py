"""The network as an ONNX graph that holds no weights of its own.

Every initialiser points into the safetensors file, by offset and length, so the
weights lie in one file only and any ONNX runtime reads them from there.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from torch import nn

from analysis.inference.unet import UNet

INPUT, OUTPUT = "slices", "probabilities"
_OPSET = 20
_IR_VERSION = 9  # the one that belongs to opset 20
_HEADER_LENGTH_BYTES = 8  # safetensors: little-endian length, then JSON, then data


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where one tensor lies in the safetensors file."""

    shape: tuple[int, ...]
    offset: int
    length: int


def build_graph(network: UNet, weights: Path) -> onnx.ModelProto:
    """Write a network down as ONNX, with its weights left where they are.

    The graph maps normalised slices (N, channels, R, C) to softmax probabilities (N,
    classes, R, C); R and C are multiples of the network's stride.

    Parameters
    ----------
    network
        The trained network.
    weights
        The safetensors file that holds its `state_dict`; it must stay beside the
        graph.

    References
    ----------
    .. [1] ONNX, External data: `location`, `offset`, `length`.
    .. [2] safetensors, Format: 8 bytes of header length, JSON header, data.
    """
    writer = _Writer(stored=_read_layout(weights), location=weights.name)
    skips, features = [], INPUT
    for index, block in enumerate(network.encoder):
        features = writer.block(block, f"encoder.{index}", features)
        skips.append(features)
    skips.pop()
    pairs = zip(network.narrow, network.decoder, strict=True)
    for index, (narrow, block) in enumerate(pairs):
        features = writer.convolution(narrow, f"narrow.{index}", features)
        features = writer.enlarge(features)
        features = writer.node("Add", [features, skips.pop()])
        features = writer.block(block, f"decoder.{index}", features)
    logits = writer.convolution(network.head, "head", features)
    writer.node("Softmax", [logits], axis=1, output=OUTPUT)
    first = network.encoder[0].get_submodule("0").get_parameter("weight")
    return writer.model(channels=int(first.shape[1]), classes=network.head.out_channels)


def _read_layout(weights: Path) -> Mapping[str, _Stored]:
    with weights.open("rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(_HEADER_LENGTH_BYTES))
        header = json.loads(stream.read(size))
    start = _HEADER_LENGTH_BYTES + size
    return {
        name: _Stored(
            tuple(entry["shape"]),
            start + entry["data_offsets"][0],
            entry["data_offsets"][1] - entry["data_offsets"][0],
        )
        for name, entry in header.items()
        if name != "__metadata__"
    }


@dataclass(slots=True)
class _Writer:
    """Collects nodes and initialisers; values are named by running number."""

    stored: Mapping[str, _Stored]
    location: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initialisers: list[TensorProto] = field(default_factory=list)

    def node(
        self,
        operation: str,
        inputs: list[str],
        output: str = "",
        **attributes: Any,
    ) -> str:
        output = output or f"value.{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(
                operation, inputs, [output], name=f"{operation}.{output}", **attributes
            )
        )
        return output

    def weight(self, name: str) -> str:
        stored = self.stored[name]
        tensor = TensorProto(
            name=name,
            data_type=TensorProto.FLOAT,
            dims=stored.shape,
            data_location=TensorProto.EXTERNAL,
        )
        where = {
            "location": self.location,
            "offset": str(stored.offset),
            "length": str(stored.length),
        }
        for key, value in where.items():
            tensor.external_data.add(key=key, value=value)
        self.initialisers.append(tensor)
        return name

    def block(self, block: nn.Module, prefix: str, features: str) -> str:
        """Write a chain of convolution, batch norm and ReLU, nested or not."""
        for name, layer in block.named_children():
            path = f"{prefix}.{name}"
            if isinstance(layer, nn.Sequential):
                features = self.block(layer, path, features)
            elif isinstance(layer, nn.Conv2d):
                features = self.convolution(layer, path, features)
            elif isinstance(layer, nn.BatchNorm2d):
                features = self.batch_norm(layer, path, features)
            elif isinstance(layer, nn.ReLU):
                features = self.node("Relu", [features])
            else:
                message = f"{path}: no ONNX operation for {type(layer).__name__}"
                raise TypeError(message)
        return features

    def convolution(self, layer: nn.Module, prefix: str, features: str) -> str:
        if not isinstance(layer, nn.Conv2d):
            message = f"{prefix}: expected a convolution, got {type(layer).__name__}"
            raise TypeError(message)
        inputs = [features, self.weight(f"{prefix}.weight")]
        if layer.bias is not None:
            inputs.append(self.weight(f"{prefix}.bias"))
        down, across = (int(n) for n in layer.padding)
        return self.node(
            "Conv",
            inputs,
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=[down, across, down, across],
        )

    def batch_norm(self, layer: nn.BatchNorm2d, prefix: str, features: str) -> str:
        parts = ("weight", "bias", "running_mean", "running_var")
        inputs = [features, *(self.weight(f"{prefix}.{part}") for part in parts)]
        return self.node("BatchNormalization", inputs, epsilon=layer.eps)

    def enlarge(self, features: str) -> str:
        """Write bilinear up-sampling by 2, pixel edges aligned."""
        scales = "scales"
        if all(tensor.name != scales for tensor in self.initialisers):
            ones = helper.make_tensor(scales, TensorProto.FLOAT, [4], [1, 1, 2, 2])
            self.initialisers.append(ones)
        return self.node(
            "Resize",
            [features, "", scales],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def model(self, *, channels: int, classes: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "lumbar",
            [_value(INPUT, channels)],
            [_value(OUTPUT, classes)],
            self.initialisers,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            producer_name="lumbar-node",
        )
        model.ir_version = _IR_VERSION
        return model


def _value(name: str, channels: int) -> onnx.ValueInfoProto:
    shape: list[str | int | None] = ["slices", channels, "rows", "columns"]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

"""Graphs that PyTorch executes give what ONNX Runtime gives, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from networks_made import write_model
from onnx import TensorProto, helper, numpy_helper

from fer_batch.errors import ModelError
from fer_batch.inference.session import Runtime, open_network
from fer_batch.inference.torch_graph import TorchGraph
from fer_batch.model.onnx_file import save_half

CPU = torch.device("cpu")


def graph(*nodes: onnx.NodeProto, **constants: np.ndarray) -> bytes:
    """A model from `x`, float32 [N, 4, 6, 8], to `y`."""
    made = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, 6, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(made, opset_imports=[opset], ir_version=9)
    return onnx.shape_inference.infer_shapes(model).SerializeToString()  # of y, too, which must have one


RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(8, 2, 3, 3)).astype(np.float32)
CHANNELS = {name: RNG.uniform(0.5, 1.5, 4).astype(np.float32) for name in ("scale", "bias", "mean", "var")}
NODES = {
    "grouped and strided convolution": (
        helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 1], pads=[1, 0, 1, 0], group=2),
        {"w": WEIGHT},
    ),
    "maximum": (helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2]), {}),
    "average": (
        helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1]),
        {},
    ),
    "normalisation": (
        helper.make_node("BatchNormalization", ["x", "scale", "bias", "mean", "var"], ["y"], epsilon=1e-3),
        CHANNELS,
    ),
    "nearest enlargement": (
        helper.make_node(
            "Resize",
            ["x", "", "s"],
            ["y"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        {"s": np.array([1, 1, 2, 2], np.float32)},
    ),
    "reshape that keeps the batch": (
        helper.make_node("Reshape", ["x", "s"], ["y"]),
        {"s": np.array([0, -1], np.int64)},
    ),
    "mean": (
        helper.make_node("ReduceMean", ["x", "a"], ["y"], keepdims=1),
        {"a": np.array([2, 3], np.int64)},
    ),
    "rounding to a scale and back": (
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        ],
        {"scale": np.float32(0.01), "zero": np.uint8(100)},
    ),
    "rounding to a scale alone": (
        [
            helper.make_node("QuantizeLinear", ["x", "scale"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale"], ["y"]),
        ],
        {"scale": np.float32(0.02)},
    ),
    "a scale for each channel": (
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], axis=1),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], axis=1),
        ],
        {"scale": CHANNELS["scale"] / 50, "zero": np.array([-3, 0, 7, 100], np.int8)},
    ),
    "mean of whole maps": (helper.make_node("GlobalAveragePool", ["x"], ["y"]), {}),
    "one behind the other": (helper.make_node("Concat", ["x", "x"], ["y"], axis=2), {}),
    "transposition": (helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1]), {}),
    "reversed order of axes": (helper.make_node("Transpose", ["x"], ["y"]), {}),
    "sigmoid": (helper.make_node("Sigmoid", ["x"], ["y"]), {}),
}


@pytest.mark.parametrize("name", NODES)
def test_operators_do_what_onnx_runtimes_do(name: str) -> None:
    nodes, constants = NODES[name]
    model = graph(*(nodes if isinstance(nodes, list) else [nodes]), **constants)
    x = RNG.normal(size=(3, 4, 6, 8)).astype(np.float32)
    (wanted,) = open_network(model).run(["y"], {"x": x})
    (found,) = open_network(model, Runtime("torch")).run(["y"], {"x": x})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_weights_in_half_precision_are_read(tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    write_model(tmp_path / "whole.onnx")
    save_half(tmp_path / "whole.onnx", half)
    pixels = RNG.integers(0, 256, (2, 1, 48, 48), dtype=np.uint8)
    (wanted,) = open_network(half).run(["crowd"], {"pixels": pixels})
    (found,) = TorchGraph(half, CPU).run(["crowd"], {"pixels": pixels})
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_what_it_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="operator Softsign"):
        TorchGraph(graph(helper.make_node("Softsign", ["x"], ["y"])), CPU)
    lopsided = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    with pytest.raises(ModelError, match="MaxPool with pads"):
        TorchGraph(graph(lopsided), CPU)
    with pytest.raises(ModelError, match="no ReduceMean without constant axes"):
        TorchGraph(graph(helper.make_node("ReduceMean", ["x"], ["y"])), CPU)
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    with pytest.raises(ModelError, match=r"text\.onnx is not an ONNX model"):
        TorchGraph(text, CPU)


def test_attributes_that_would_be_ignored_are_refused() -> None:
    spread = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2])
    with pytest.raises(ModelError, match=r"AveragePool with dilations = \[2, 2\]"):
        TorchGraph(graph(spread), CPU)
    nothing = helper.make_node("ReduceMean", ["x", "a"], ["y"], noop_with_empty_axes=1)
    with pytest.raises(ModelError, match="ReduceMean with noop_with_empty_axes = 1"):
        TorchGraph(graph(nothing, a=np.array([], np.int64)), CPU)
    enlarged, constants = NODES["nearest enlargement"]
    assert isinstance(enlarged, onnx.NodeProto)
    with pytest.raises(ModelError, match=r"Resize with scales = \[1\.0, 2\.0, 2\.0, 2\.0\]"):
        TorchGraph(graph(enlarged, **constants | {"s": np.array([1, 2, 2, 2], np.float32)}), CPU)


def _read_what_nobody_makes(model: onnx.ModelProto) -> None:
    model.graph.node[-1].input[0] = "nobody's"


def _shorten_a_weight(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.raw_data = weight.raw_data[:-4]


def _lose_an_attribute(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "MaxPool")
    del node.attribute[:]


@pytest.mark.parametrize("damage", [_read_what_nobody_makes, _shorten_a_weight, _lose_an_attribute])
def test_damaged_graphs_are_refused(tmp_path: Path, damage: Callable[[onnx.ModelProto], None]) -> None:
    write_model(path := tmp_path / "model.onnx", "cnn7")
    model = onnx.load(path)
    damage(model)
    with pytest.raises(ModelError, match="the model is not a valid ONNX model"):
        TorchGraph(model.SerializeToString(), CPU)


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    write_model(path := tmp_path / "model.onnx")
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location="weights")
    with pytest.raises(ModelError, match=r"model\.onnx keeps weights in another file"):
        TorchGraph(path, CPU)


def test_read_only_and_reversed_arrays_are_taken(tmp_path: Path) -> None:
    write_model(model := tmp_path / "model.onnx")
    pixels = np.broadcast_to(np.arange(48, dtype=np.uint8), (2, 1, 48, 48))[..., ::-1]
    (found,) = TorchGraph(model, CPU).run(["fer2013"], {"pixels": pixels})
    (wanted,) = open_network(model).run(["fer2013"], {"pixels": np.ascontiguousarray(pixels)})
    np.testing.assert_allclose(found, wanted, atol=1e-4)

"""The model file in 8-bit integers: the same network, with what its layers take and give rounded.

Every rounding stands in the graph, as pairs of QuantizeLinear and DequantizeLinear, so that each backend
does the same ones; only where a value lies halfway between two integers can they fall apart. Scales are
found after training, from pictures (Jacob et al. 2018; Nagel et al. 2021).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from fer_batch.model.onnx_file import INPUT_NAME, check_apart, load_float32, save_with_card

_OPERATORS = ["Add", "AveragePool", "Conv", "GlobalAveragePool", "Mul", "Relu", "Sigmoid"]
"""What the layers between the first convolution and the heads are made of. A Relu is merged into the layer
before it, whose range then begins at 0."""
_BATCH = 16
"""A range is the mean over batches of the least and the greatest value: batches of one would cut off too
much, one batch of all would spend the 256 steps on the rarest value."""


def save_int8(source: Path, path: Path, pictures: NDArray[np.uint8]) -> None:
    """Write a model file again with weights and activations as 8-bit integers.

    Weights have a scale a filter and seven bits: processors without VNNI add two products in sixteen bits,
    which eight would overflow. Activations have eight bits and a scale a layer. The first convolution,
    which sees one channel and so costs little, and dense layers stay in float32.

    Args:
        source: a model file in float32.
        path: the file to write, with the source's card, whose figures hold no longer.
        pictures: uint8 [N, 48, 48], gray, 0–255; the scales are fitted to them, so they are training ones.

    Raises:
        ModelError: the source is no model file of ours, is damaged, or its weights are rounded already.
        OutputError: the file cannot be written.
        UsageError: `path` is the source itself.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    class Pictures(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[NDArray[np.uint8]] = iter(
                np.split(pictures[:, None], range(_BATCH, len(pictures), _BATCH))
            )

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:  # pyright: ignore[reportIncompatibleMethodOverride] - its annotation forgets the None that it asks for
            batch = next(self.batches, None)
            return None if batch is None else {INPUT_NAME: batch}

    check_apart(source, path)
    model, card = load_float32(source)
    _use_global_pooling(model.graph)
    _merge_pooling(model.graph)
    del model.graph.value_info[:]  # a merged convolution's weight has another shape
    add_pre_process_metadata(model)  # the exporter has simplified the graph; without it a warning says so
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model.onnx"  # of other suffixes, another format would be written
        quantize_static(
            model,
            written,
            Pictures(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_OPERATORS,
            nodes_to_exclude=[first.name],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"CalibMovingAverage": True},
        )
        save_with_card(written.read_bytes(), replace(card, weights="int8"), path)


def _use_global_pooling(graph: onnx.GraphProto) -> None:
    """Write means over whole maps as the operator for them, which has a form in integers."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "ReduceMean" or not _attributes(node).get("keepdims", 1):
            continue
        if sorted(numpy_helper.to_array(constants[node.input[1]]) % 4) == [2, 3]:
            node.CopyFrom(helper.make_node("GlobalAveragePool", node.input[:1], node.output, node.name))
    read = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)  # the axes; ONNX Runtime would warn of them


def _merge_pooling(graph: onnx.GraphProto) -> None:
    """Merge each average over squares side by side into the 1x1 convolution that alone reads it.

    With its weights shared out over the square it gives the same sums, and rounds once less; and ONNX
    Runtime is slow at averages of bytes.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for pool in [node for node in graph.node if node.op_type == "AveragePool"]:
        convolution, *others = (node for node in graph.node if pool.output[0] in node.input)
        pooling, stated = _attributes(pool), _attributes(convolution)
        square = pooling["kernel_shape"]
        side_by_side = pooling.get("strides") == square and not any(pooling.get("pads", []))
        if others or not side_by_side or convolution.op_type != "Conv" or stated["kernel_shape"] != [1, 1]:
            continue
        weight = constants[convolution.input[1]]
        shared = np.tile(numpy_helper.to_array(weight) / np.float32(np.prod(square)), (1, 1, *square))
        weight.CopyFrom(numpy_helper.from_array(shared, weight.name))
        inputs = [pool.input[0], *convolution.input[1:]]
        merged = helper.make_node(
            "Conv", inputs, convolution.output, convolution.name, kernel_shape=square, strides=square
        )
        convolution.CopyFrom(merged)
        graph.node.remove(pool)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}

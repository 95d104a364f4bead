"""YuNet's published graph, made to take pictures of any size and to give all that it says as one array."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor

from fer_batch.errors import ModelError
from fer_batch.model.onnx_file import read_graph

STRIDES = (8, 16, 32)
"""Pixels a cell, of the network's three maps."""
INPUT = "input"
OUTPUT = "cells"
_HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
"""What the network says of a cell, in the order of the output's rows, and how many numbers each is."""


def batched_yunet(path: Path) -> bytes:
    """Read a YuNet file and rebuild its ends.

    The published graph is fixed at float32 1x3x640x640, and ends in twelve outputs, each behind two small
    convolutions of its own, some of a single channel. Convolutions of the same input are the same as one
    with all their filters: three pairs of sixteen channels are left of twelve, in a fifth less time.

    Returns:
        An ONNX model from `INPUT`, uint8 [N, 3, H, W], to `OUTPUT`, float32 [N, 16, cells]: row by row the
        logits of class and object, four numbers of the box and ten of the landmarks, and behind one
        another the cells of all `STRIDES`, each map line by line. H and W are multiples of the largest.

    Raises:
        ModelError: the file is missing, is not ONNX, keeps weights in another file, or is no YuNet in
            float32.
    """
    model = read_graph(path, f"detector {path}")
    graph = model.graph
    made_by = {output: node for node in graph.node for output in node.output}
    try:
        weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        if INPUT not in (value.name for value in graph.input):
            raise ValueError(f"no input {INPUT}")
        for stride in STRIDES:
            _merge_heads(graph, stride, made_by, weights)
        for node in graph.node:
            node.input[:] = ["pixels" if name == INPUT else name for name in node.input]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        wanted = ", ".join(f"{head}_{stride}" for head in _HEADS for stride in STRIDES)
        raise ModelError(
            f"detector {path} is no YuNet in float32: from `{INPUT}` it must lead to {wanted}, "
            f"each behind a 1x1 and a 3x3 convolution"
        ) from error
    graph.initializer.append(
        numpy_helper.from_array(np.array([0, sum(_HEADS.values()), -1], np.int64), "cells_in_line")
    )
    flat = [f"cells_{stride}" for stride in STRIDES]
    graph.node.append(helper.make_node("Concat", flat, [OUTPUT], axis=2))
    # A cast ahead of it takes pixels as they are: a quarter of the bytes to copy to a device.
    graph.node.insert(0, helper.make_node("Cast", [INPUT], ["pixels"], to=TensorProto.FLOAT))
    del graph.input[:], graph.output[:], graph.value_info[:]
    shape = ["batch", 3, "height", "width"]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape))
    shape = ["batch", sum(_HEADS.values()), "cells"]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape))
    return Extractor(model).extract_model([INPUT], [OUTPUT]).SerializeToString()


def _merge_heads(
    graph: onnx.GraphProto,
    stride: int,
    made_by: Mapping[str, onnx.NodeProto],
    weights: Mapping[str, NDArray[np.float32]],
) -> None:
    """Append one pair of convolutions that says all of a map's cells: `cells_STRIDE`, [N, 16, cells].

    Raises:
        IndexError: a convolution has no bias.
        KeyError: a branch does not lead back to two convolutions with weights.
        ValueError: their weights have other shapes than YuNet's, or another dtype.
    """
    deep, pointwise = [], []
    for head in _HEADS:
        node = made_by[f"{head}_{stride}"]
        while node.op_type in ("Sigmoid", "Reshape", "Transpose"):
            node = made_by[node.input[0]]
        deep.append(node)
        pointwise.append(made_by[node.input[0]])
    (features,) = {node.input[0] for node in pointwise}
    names = []
    for kind, nodes, kernel in (("pointwise", pointwise, 1), ("deep", deep, 3)):
        for position, part in ((1, "weight"), (2, "bias")):
            arrays = [weights[node.input[position]] for node in nodes]
            for array, filters in zip(arrays, _HEADS.values(), strict=True):
                square = (kernel, kernel) if part == "weight" else ()
                if (array.shape[0], *array.shape[2:], array.dtype) != (filters, *square, np.float32):
                    raise ValueError(f"{kind} {part} of stride {stride}")
            names.append(f"{kind}_{part}_{stride}")
            graph.initializer.append(numpy_helper.from_array(np.concatenate(arrays), names[-1]))
    mixed, maps, flat = (f"{what}_{stride}" for what in ("mixed", "maps", "cells"))
    graph.node.extend(
        [
            helper.make_node("Conv", [features, *names[:2]], [mixed], kernel_shape=[1, 1]),
            helper.make_node(
                "Conv",
                [mixed, *names[2:]],
                [maps],
                kernel_shape=[3, 3],
                pads=[1, 1, 1, 1],
                group=sum(_HEADS.values()),
            ),
            helper.make_node("Reshape", [maps, "cells_in_line"], [flat]),
        ]
    )

"""ONNX graphs executed by PyTorch: the operators that our detector and our classifiers are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn import functional

from fer_batch.errors import ModelError
from fer_batch.model.onnx_file import check_graph, read_graph

Attributes = Mapping[str, Any]


def _conv(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.conv2d(x, weight, bias, a["strides"], a["pads"][:2], a["dilations"], a["group"])


def _max_pool(a: Attributes, x: Tensor) -> Tensor:
    return functional.max_pool2d(x, a["kernel_shape"], a["strides"], a["pads"][:2], a["dilations"])


def _average_pool(a: Attributes, x: Tensor) -> Tensor:
    counts_padding = bool(a["count_include_pad"])
    return functional.avg_pool2d(
        x, a["kernel_shape"], a["strides"], a["pads"][:2], count_include_pad=counts_padding
    )


def _batch_norm(
    a: Attributes, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    return functional.batch_norm(x, mean, variance, weight, bias, eps=a["epsilon"])


def _along(vector: Tensor, x: Tensor, axis: int) -> Tensor:
    """A scale or a zero point for each entry of an axis, shaped to be combined with `x`."""
    if vector.numel() == 1:
        return vector
    return vector.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def _quantize(a: Attributes, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    zero = torch.zeros((), dtype=torch.uint8, device=x.device) if zero is None else zero
    scale, offset = _along(scale, x, a["axis"]), _along(zero, x, a["axis"])
    limits = torch.iinfo(zero.dtype)
    # In float32 whatever the precision around it; halves go to the even neighbour, as ONNX defines it.
    return torch.clamp((x.float() / scale).round() + offset, limits.min, limits.max).to(zero.dtype)


def _dequantize(a: Attributes, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    offset = 0 if zero is None else _along(zero, x, a["axis"]).float()
    return (x.float() - offset) * _along(scale, x, a["axis"])


def _gemm(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.linear(x, weight if a["transB"] else weight.T, bias)


def _reshape(a: Attributes, x: Tensor) -> Tensor:
    copies = not a.get("allowzero", 0)  # then 0 means "as the input has it"
    return x.reshape([x.shape[i] if copies and size == 0 else size for i, size in enumerate(a["shape"])])


def _resize(a: Attributes, x: Tensor, _region: Tensor | None = None) -> Tensor:
    return functional.interpolate(x, scale_factor=a["scales"][2:], mode="nearest")


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda _, x, y: x + y,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": lambda _, x: x.float(),
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Div": lambda _, x, y: x / y,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: x.mean((2, 3), keepdim=True),
    "MaxPool": _max_pool,
    "Mul": lambda _, x, y: x * y,
    "QuantizeLinear": _quantize,
    "ReduceMean": lambda a, x: x.mean(a["axes"], keepdim=bool(a["keepdims"])),
    "Relu": lambda _, x: x.relu(),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": lambda _, x: x.sigmoid(),
    "Sub": lambda _, x, y: x - y,
    "Transpose": lambda a, x: x.permute(a.get("perm", tuple(range(x.ndim))[::-1])),
}
"""Each operator as a function of its attributes and its tensors."""

# These inputs say how, not what: read as lists once, they cost no wait for the device at every run.
_SETTINGS = {"Reshape": (1, "shape"), "ReduceMean": (1, "axes"), "Resize": (2, "scales")}

# ONNX states these defaults in words alone; of all others the operator's schema knows the value.
_DEFAULTS = {"strides": [1, 1], "dilations": [1, 1], "pads": [0, 0, 0, 0], "axis": 1}

# The functions above would ignore another value, and so compute something else.
_ONLY = {
    "alpha": 1.0,
    "auto_pad": b"NOTSET",
    "beta": 1.0,
    "block_size": 0,
    "ceil_mode": 0,
    "coordinate_transformation_mode": b"asymmetric",
    "mode": b"nearest",
    "nearest_mode": b"floor",
    "noop_with_empty_axes": 0,
    "output_dtype": 0,
    "precision": 0,
    "to": TensorProto.FLOAT,
    "training_mode": 0,
    "transA": 0,
}
_ONLY_OF = {"AveragePool": {"dilations": [1, 1]}}


@dataclass(frozen=True)
class _Step:
    operator: Callable[..., Tensor]
    attributes: Attributes
    inputs: tuple[str, ...]
    output: str

    def __call__(self, values: Mapping[str, Tensor]) -> Tensor:
        return self.operator(self.attributes, *(values[name] if name else None for name in self.inputs))


class TorchGraph:
    """The graph of an ONNX file in float32, its weights on a device.

    On CUDA it switches TF32 off for the whole process: its ten bits would move boxes.

    Args:
        model: path or content of an ONNX file.
        device: where to run.

    Raises:
        ModelError: it is not ONNX, is damaged, keeps weights in another file, or holds an operator that is
            not in `OPERATORS`.
    """

    @torch.inference_mode()
    def __init__(self, model: Path | bytes, device: torch.device) -> None:
        origin = "the model" if isinstance(model, bytes) else str(model)
        proto = read_graph(model, origin)
        check_graph(proto, origin)  # PyTorch would notice only at work, and in its own ways
        opset = next(entry.version for entry in proto.opset_import if not entry.domain)
        values = {
            tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
            for tensor in proto.graph.initializer
        }
        self._steps: list[_Step] = []
        for node in proto.graph.node:
            step = _step(node, opset, values, origin)
            if values.keys() >= set(step.inputs):
                values[step.output] = step(values)  # constant: rounded weights, read once
            else:
                self._steps.append(step)
        used = {name for step in self._steps for name in step.inputs}
        self._weights = {name: _placed(value, device) for name, value in values.items() if name in used}
        self._last_use = {name: index for index, step in enumerate(self._steps) for name in step.inputs}
        self._device = device
        if device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    @torch.inference_mode()
    def run(self, names: Sequence[str], inputs: Mapping[str, NDArray[Any]], /) -> list[NDArray[np.float32]]:
        """The named outputs, in that order, for arrays that have the file's own dtypes."""
        outputs = self.tensors(names, {name: self._uploaded(array) for name, array in inputs.items()})
        found = [output.to("cpu", non_blocking=True) for output in outputs]
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        return [tensor.numpy() for tensor in found]

    @torch.no_grad()
    def tensors(self, names: Sequence[str], inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """The same for tensors that lie on the device, and stay there."""
        values = self._weights | dict(inputs)
        for index, step in enumerate(self._steps):
            values[step.output] = step(values)
            for name in step.inputs:
                if self._last_use[name] == index and name not in names:
                    values.pop(name, None)  # so that memory is not the sum of all layers
        return [values[name] for name in names]

    def _uploaded(self, array: NDArray[Any]) -> Tensor:
        # PyTorch takes neither views that run backwards nor, without a warning, arrays that are read-only.
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        # Only pinned memory is copied while this thread goes on.
        return _placed(tensor.pin_memory() if self._device.type == "cuda" else tensor, self._device)


def _placed(tensor: Tensor, device: torch.device) -> Tensor:
    """On the device; of four dimensions, with the channels innermost, which convolutions like best."""
    tensor = tensor.to(device, non_blocking=True)
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _step(node: onnx.NodeProto, opset: int, constants: Mapping[str, Tensor], origin: str) -> _Step:
    """A node with its attributes complete and checked.

    Raises:
        ModelError: the operator, or the value of an attribute, is not among those that are known.
    """
    kind = node.op_type
    if node.domain or kind not in OPERATORS:
        raise ModelError(f"{origin} has the operator {kind}, which the torch backend does not know")
    schema = onnx.defs.get_schema(kind, opset)
    stated = [entry.default_value for entry in schema.attributes.values() if entry.default_value.name]
    attributes: dict[str, Any] = dict(_DEFAULTS)
    attributes |= {entry.name: helper.get_attribute_value(entry) for entry in [*stated, *node.attribute]}
    inputs = list(node.input)
    if kind in _SETTINGS:
        position, name = _SETTINGS[kind]
        known = constants.get(inputs.pop(position)) if len(inputs) > position else None
        if known is None:
            raise ModelError(f"{origin}: the torch backend knows no {kind} without constant {name}")
        attributes[name] = known.tolist()
    only = _ONLY | _ONLY_OF.get(kind, {})
    wrong = [name for name, value in only.items() if attributes.get(name, value) != value]
    if attributes["pads"][:2] != attributes["pads"][2:]:
        wrong.append("pads")
    if kind == "Resize" and attributes["scales"][:-2] != [1, 1]:
        wrong.append("scales")
    if wrong:
        name = wrong[0]
        raise ModelError(f"{origin}: the torch backend knows no {kind} with {name} = {attributes[name]!r}")
    return _Step(OPERATORS[kind], attributes, tuple(inputs), node.output[0])

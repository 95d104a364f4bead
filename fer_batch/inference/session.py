"""Networks out of ONNX files, ready to run; the one place that makes ONNX Runtime sessions."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as refusals  # pyright: ignore[reportAttributeAccessIssue] - a compiled module

from fer_batch.errors import ModelError, UsageError
from fer_batch.settings import BackendName, DeviceName

_ERRORS_ONLY = 3
_SLOWING_OPTIMISERS = ["QDQPropagationTransformer"]
"""It moves a rounding from behind a pooling to ahead of it. The greatest of rounded values is the greatest
value, rounded; but there are more of them to round, and ONNX Runtime is slow at maxima of bytes."""


@dataclass(frozen=True)
class Runtime:
    """What runs a network, and where; changes results by rounding alone.

    `choose_runtime` makes one that is to be had here.
    """

    backend: Literal["onnx", "torch"] = "onnx"
    """`onnx`: ONNX Runtime, on one CPU thread a call; `torch`: PyTorch, an extra to install."""
    device: Literal["cpu", "cuda"] = "cpu"
    """`cuda` needs the backend `torch`."""


ON_CPU = Runtime()


def choose_runtime(device: DeviceName = "auto", backend: BackendName = "auto") -> Runtime:
    """The runtime that is asked for: `auto` takes CUDA where PyTorch and a driver are, else the CPU.

    Raises:
        UsageError: backend and device do not go together, or are not there.
    """
    if device == "cuda" and backend == "onnx":
        raise UsageError("--backend onnx runs on the CPU; --device cuda needs --backend torch")
    if device == "auto":
        # Importing PyTorch takes seconds: it is asked only where there is a driver at all.
        device = (
            "cuda" if backend != "onnx" and _has_cuda_driver() and _torch().cuda.is_available() else "cpu"
        )
    if device == "cuda" and not _torch().cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no CUDA device here; use --device cpu or auto")
    if backend == "torch":
        _torch()
    if backend == "auto":
        backend = "torch" if device == "cuda" else "onnx"
    return Runtime(backend, device)


def _has_cuda_driver() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _torch() -> ModuleType:
    try:
        import torch
    except ModuleNotFoundError:
        raise UsageError("the torch backend needs PyTorch: pip install 'fer-batch[torch]'") from None
    return torch


class Runs(Protocol):
    """A network at work. Several threads may run one at once."""

    def run(
        self, names: Sequence[str], inputs: Mapping[str, NDArray[Any]], /
    ) -> Sequence[NDArray[np.float32]]:
        """The named outputs, in that order, for arrays that have the file's own dtypes."""
        ...


def open_network(model: Path | bytes, runtime: Runtime = ON_CPU) -> Runs:
    """The network in an ONNX file, on the backend and the device that are asked for.

    Args:
        model: path or content of an ONNX file.
        runtime: backend and device.

    Raises:
        ModelError: the file cannot be read, or the backend refuses it.
    """
    if runtime.backend == "onnx":
        return cast(Runs, _open_session(model))
    from fer_batch.inference.torch_graph import TorchGraph

    return TorchGraph(model, _torch().device(runtime.device))


def _open_session(model: Path | bytes) -> ort.InferenceSession:
    # More threads inside a session gain nothing for networks this small; several sessions side by side
    # do. Waiting threads sleep instead of spinning, so that they leave the cores to others.
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(
            # A path would have to be UTF-8, and could lead to weights in files beside it.
            model if isinstance(model, bytes) else model.read_bytes(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=_SLOWING_OPTIMISERS,
            enable_fallback=False,  # it would print to stdout
        )
    except (
        OSError,
        UnicodeDecodeError,  # the message repeats a name in the file that is damaged
        refusals.Fail,
        refusals.InvalidArgument,
        refusals.InvalidGraph,
        refusals.InvalidProtobuf,
        refusals.NotImplemented,
    ) as error:
        name = "the model" if isinstance(model, bytes) else str(model)
        raise ModelError(f"ONNX Runtime cannot load {name}: {error}") from error

"""The one place that makes ONNX Runtime sessions."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as refusals  # pyright: ignore[reportAttributeAccessIssue] - a compiled module

from fer_batch.errors import ModelError

_ERRORS_ONLY = 3


def open_session(model: Path | bytes) -> ort.InferenceSession:
    """A CPU session of one thread.

    More threads inside a session gain nothing for networks this small; several sessions side by side
    do. Waiting threads sleep instead of spinning, so that they leave the cores to others.

    Args:
        model: path or content of an ONNX file.

    Raises:
        ModelError: ONNX Runtime refuses the file.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except (
        refusals.Fail,
        refusals.InvalidArgument,
        refusals.InvalidGraph,
        refusals.InvalidProtobuf,
        refusals.NoSuchFile,
        refusals.NotImplemented,
    ) as error:
        name = "the model" if isinstance(model, bytes) else str(model)
        raise ModelError(f"ONNX Runtime cannot load {name}: {error}") from error

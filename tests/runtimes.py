"""What a network can run on here: tests of CUDA are skipped where there is none."""

from __future__ import annotations

import pytest
import torch

from fer_batch.inference.session import Runtime

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device here")

ON_ONNX = Runtime("onnx")
ON_TORCH = [
    pytest.param(Runtime("torch"), id="torch"),
    pytest.param(Runtime("torch", "cuda"), id="cuda", marks=needs_cuda),
]
RUNTIMES = [pytest.param(ON_ONNX, id="onnx"), *ON_TORCH]

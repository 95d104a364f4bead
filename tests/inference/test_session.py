"""What runs a network is chosen by what is there, or refused with the reason."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from fer_batch.errors import ModelError, UsageError
from fer_batch.inference import session
from fer_batch.inference.session import Runtime, choose_runtime, open_network
from fer_batch.model.onnx_file import INPUT_NAME, default_model

HAS_CUDA = torch.cuda.is_available()
OPEN_A_SESSION = """
from fer_batch.inference.session import Runtime, open_network
from fer_batch.model.onnx_file import default_model
open_network(default_model(), Runtime("onnx"))
"""


@pytest.mark.parametrize(("stated", "tells"), [(None, False), ("0", True)])
def test_onnx_runtime_tells_nobody_unless_it_is_told_to(
    stated: str | None, tells: bool, tmp_path: Path
) -> None:
    quiet_in = {"CI", "GITHUB_ACTIONS", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    env = {name: value for name, value in os.environ.items() if name not in quiet_in}
    env |= {"HOME": str(tmp_path)} | ({} if stated is None else {"ORT_DISABLE_TELEMETRY": stated})
    subprocess.run([sys.executable, "-c", OPEN_A_SESSION], env=env, check=True)
    written = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    if tells and not written:
        pytest.skip(f"ONNX Runtime {ort.__version__} tells nobody anyway")
    assert ("deviceid" in written) is tells


def test_auto_is_cuda_where_it_is_and_else_the_cpu() -> None:
    expected = Runtime("torch", "cuda") if HAS_CUDA else Runtime("onnx", "cpu")
    assert choose_runtime() == expected
    assert choose_runtime("cpu") == Runtime("onnx", "cpu")
    assert choose_runtime("cpu", "torch") == Runtime("torch", "cpu")
    assert choose_runtime("auto", "onnx") == Runtime("onnx", "cpu")


def test_onnx_runtime_is_for_the_cpu() -> None:
    with pytest.raises(UsageError, match="needs --backend torch"):
        choose_runtime("cuda", "onnx")


@pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device")
def test_cuda_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="finds no CUDA device"):
        choose_runtime("cuda")


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert choose_runtime() == Runtime("onnx", "cpu")
    with pytest.raises(UsageError, match=r"fer-batch\[torch\]"):
        choose_runtime("cpu", "torch")


def test_a_driver_without_a_device_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_has_cuda_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_runtime() == Runtime("onnx", "cpu")


def test_what_is_left_out_of_optimising_changes_no_answer() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (40, 1, 48, 48), dtype=np.uint8)
    usual = ort.InferenceSession(default_model(), providers=["CPUExecutionProvider"])
    names = [output.name for output in usual.get_outputs()]
    found = open_network(default_model()).run(names, {INPUT_NAME: crops})
    for one, other in zip(found, usual.run(names, {INPUT_NAME: crops}), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, names are Unicode")
def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.onnx")
    path.write_bytes(default_model().read_bytes())
    pixels = np.zeros((1, 1, 48, 48), np.uint8)
    assert open_network(path).run(["crowd"], {INPUT_NAME: pixels})[0].shape == (1, 7)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot load .*gone\.onnx: .*No such file"):
        open_network(tmp_path / "gone.onnx")


def test_a_damaged_name_is_refused_and_nothing_printed(capsys: pytest.CaptureFixture[str]) -> None:
    content = default_model().read_bytes()
    assert b"DequantizeLinear" in content
    with pytest.raises(ModelError, match="ONNX Runtime cannot load the model"):
        open_network(content.replace(b"DequantizeLinear", b"D\xe9quantizeLinear"))
    assert capsys.readouterr().out == ""

"""A detector file is the right one, or a clear error."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fer_batch.errors import ModelError
from fer_batch.inference import detector as module
from fer_batch.inference.detector import YuNet, resolve_detector, yunet_file
from fer_batch.model.onnx_file import default_model
from fer_batch.settings import DetectionSettings


def test_another_file_of_the_same_layout(tmp_path: Path) -> None:
    copy = tmp_path / "mine.onnx"
    shutil.copy(yunet_file(), copy)
    YuNet(resolve_detector(copy), DetectionSettings())


def test_no_such_detector() -> None:
    with pytest.raises(ModelError, match="no detector 'haar'"):
        resolve_detector("haar")
    with pytest.raises(ModelError, match="xxx cannot be read: File name too long"):
        resolve_detector("x" * 300)


def test_a_file_that_is_no_detector(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no YuNet"):
        YuNet(default_model(), DetectionSettings())
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    with pytest.raises(ModelError, match="not an ONNX model"):
        YuNet(text, DetectionSettings())


def test_a_damaged_wheel_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YUNET_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="is damaged"):
        yunet_file()

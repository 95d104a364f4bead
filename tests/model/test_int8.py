"""What is rounded to 8 bits, and that it hardly shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks_made import write_model
from onnx import TensorProto, numpy_helper

from fer_batch.errors import ModelError, UsageError
from fer_batch.inference.classifier import Classifier
from fer_batch.model.int8 import save_int8
from fer_batch.model.onnx_file import load_card, save_half

PICTURES = np.random.default_rng(0).integers(0, 256, (40, 48, 48), dtype=np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model file in float32, and the same in int8."""
    folder = tmp_path_factory.mktemp("int8")
    source, path = folder / "float.onnx", folder / "int8.onnx"
    write_model(source)
    save_int8(source, path, PICTURES)
    return source, path


def test_answers_hardly_change_in_a_quarter_of_the_file(made: tuple[Path, Path]) -> None:
    source, path = made
    assert load_card(path) == replace(load_card(source), weights="int8")
    assert path.stat().st_size < 0.28 * source.stat().st_size
    wanted, found = (Classifier(file).logits(PICTURES) for file in made)
    assert np.abs(found - wanted).max() < 0.1 * np.ptp(wanted)
    assert np.abs(found - wanted).max() > 0


def test_weights_have_seven_bits_and_a_scale_a_filter(made: tuple[Path, Path]) -> None:
    graph = onnx.load(made[1]).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    scales = {
        node.input[0]: constants[node.input[1]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[1] in constants
    }
    rounded = {name: value for name, value in constants.items() if value.dtype == np.int8 and value.ndim == 4}
    assert len(rounded) == 27  # the convolutions but the first
    for name, weight in rounded.items():
        assert np.abs(weight.astype(int)).max() <= 64
        assert scales[name].shape == weight.shape[:1]


def test_the_first_convolution_and_the_heads_stay_as_they_were(made: tuple[Path, Path]) -> None:
    before, after = (
        {
            tuple(tensor.dims): numpy_helper.to_array(tensor)
            for tensor in onnx.load(file).graph.initializer
            if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1
        }
        for file in made
    )
    assert after.keys() == {(32, 1, 3, 3), (7, 256)}
    for shape, weight in after.items():
        np.testing.assert_array_equal(weight, before[shape])


def test_batches_change_nothing(made: tuple[Path, Path]) -> None:
    classifier = Classifier(made[1])
    alone = np.concatenate([classifier.logits(picture[None]) for picture in PICTURES[:8]])
    np.testing.assert_allclose(classifier.logits(PICTURES[:8]), alone, atol=1e-5)


def test_nothing_is_rounded_twice(made: tuple[Path, Path]) -> None:
    graph = onnx.load(made[1]).graph
    kinds = [node.op_type for node in graph.node]
    assert "AveragePool" not in kinds  # merged into the convolution behind it
    assert "ReduceMean" not in kinds  # is GlobalAveragePool, which is done in integers
    read = {name for node in graph.node for name in node.input}
    assert read.issuperset(tensor.name for tensor in graph.initializer)
    assert kinds.count("Relu") == 1  # behind the first convolution; all others are in the ranges


def test_no_suffix_makes_another_format(made: tuple[Path, Path], tmp_path: Path) -> None:
    save_int8(made[0], tmp_path / "model.json", PICTURES)
    assert (tmp_path / "model.json").read_bytes() == made[1].read_bytes()


def test_any_architecture(tmp_path: Path) -> None:
    write_model(tmp_path / "float.onnx", "cnn7")
    save_int8(tmp_path / "float.onnx", tmp_path / "int8.onnx", PICTURES)
    wanted, found = (Classifier(tmp_path / name).logits(PICTURES) for name in ("float.onnx", "int8.onnx"))
    assert np.abs(found - wanted).max() < 0.1 * np.ptp(wanted)


def test_what_is_rounded_already_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    save_half(made[0], tmp_path / "half.onnx")
    for source in (tmp_path / "half.onnx", made[1]):
        with pytest.raises(ModelError, match="are rounded already"):
            save_int8(source, tmp_path / "twice.onnx", PICTURES)
    assert not (tmp_path / "twice.onnx").exists()
    with pytest.raises(UsageError, match="is the model itself"):
        save_int8(made[0], made[0], PICTURES)

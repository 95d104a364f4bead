"""A quantized model file says what it was measured to be, on the data it was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets_made import write_stripes

from fer_batch.errors import InputError, UsageError
from fer_batch.model.onnx_file import load_card
from fer_batch.settings import EvaluateSettings, TrainRuntime, TrainSettings, build
from fer_batch.storage import file_sha256
from fer_batch.training import evaluate, train
from fer_batch.training.quantize import quantize

SHORT = {"epochs": 2, "batch_size": 16, "width": 0.25}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("stripes"))


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "short"
    train(dataset, run, build(TrainSettings, SHORT), runtime=TrainRuntime(device="cpu", threads=2))
    return run


def test_the_card_is_measured_anew(trained: Path, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    card = quantize(trained, dataset, out)
    assert card == load_card(out)
    assert card.weights == "int8"
    before = load_card(trained / "model.onnx")
    assert card.training.pop("quantized")["sha256"] == file_sha256(trained / "model.onnx")
    assert card.training == before.training
    for head in card.heads:
        found = evaluate(out, dataset, tmp_path / head, EvaluateSettings(split="val", head=head)).metrics
        for name, value in card.figures["val"][head].items():
            assert (
                found[name] == pytest.approx(value, rel=1e-6)
                if isinstance(value, float)
                else found[name] == value
            )
        assert card.figures["val"][head]["loss"] != before.figures["val"][head]["loss"]


def test_what_was_trained_is_not_replaced(trained: Path, dataset: Path) -> None:
    with pytest.raises(UsageError, match="is the model itself"):
        quantize(trained, dataset, trained / "model.onnx")


def test_a_model_that_was_measured_on_held_out_training_pictures(tmp_path: Path) -> None:
    dataset = write_stripes(tmp_path / "stripes", train=40, held_out=14, ferplus=False)
    (dataset / "val.parquet").unlink()
    settings = build(TrainSettings, SHORT | {"epochs": 1, "arch": "cnn7", "holdout": 0.3})
    result = train(dataset, tmp_path / "run", settings, runtime=TrainRuntime(device="cpu", threads=2))
    card = quantize(tmp_path / "run", dataset, tmp_path / "int8.onnx")
    assert list(card.heads) == ["fer2013"]
    assert card.figures["val"]["fer2013"]["n"] == result.figures["fer2013"]["n"] > 0


def test_another_data_set_is_refused(trained: Path, tmp_path: Path) -> None:
    other = write_stripes(tmp_path / "other", train=70, held_out=14)
    with pytest.raises(InputError, match="is not the data set that"):
        quantize(trained, other, tmp_path / "int8.onnx")
    assert not (tmp_path / "int8.onnx").exists()

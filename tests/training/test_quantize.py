"""A quantized model file says what it was measured to be, on the data it was trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets_made import write_stripes

from fer_batch.dataset import load_split
from fer_batch.errors import InputError, UsageError
from fer_batch.inference.classifier import Classifier
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
    assert card.shares == before.shares
    assert {head: set(priors) for head, priors in card.priors.items()} == {
        head: {"natural", "balanced"} for head in card.heads
    }
    assert card.priors["fer2013"]["natural"].temperature == pytest.approx(1, abs=1e-2)
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


def test_a_head_that_a_teacher_alone_taught_is_held_against_the_float32_model(
    trained: Path, tmp_path: Path
) -> None:
    plain = write_stripes(tmp_path / "plain", train=56, held_out=28, ferplus=False)
    teacher = shutil.copytree(trained, tmp_path / "teacher")
    settings = build(TrainSettings, SHORT | {"teacher": [str(teacher)], "teacher_views": 1})
    train(plain, tmp_path / "run", settings, runtime=TrainRuntime(device="cpu", threads=2))
    shutil.rmtree(teacher)  # it is not needed any more
    source, out = tmp_path / "run" / "model.onnx", tmp_path / "int8.onnx"
    card, before = quantize(source, plain, out), load_card(source)
    assert (card.shares, card.training["heads"]) == (before.shares, before.training["heads"])
    assert before.figures["val"]["crowd"]["compared_with"] == "teacher"
    figures = card.figures["val"]["crowd"]
    assert (figures["compared_with"], figures["n"]) == ("float32 model", 28)
    images = load_split(plain, "val").images
    wanted = Classifier(source, head="crowd").probabilities(images)
    found = Classifier(out, head="crowd").probabilities(images)
    assert figures["agreement"] == (wanted.argmax(1) == found.argmax(1)).mean() > 0.8
    assert card.heads["crowd"] == pytest.approx(before.heads["crowd"], rel=0.2)
    expected = wanted[np.arange(28), found.argmax(1)].mean()
    assert found.max(1).mean() == pytest.approx(expected, abs=1e-3) or card.heads["crowd"] == 5
    assert set(card.priors["crowd"]) == {"natural", "balanced"}
    Classifier(out, head="crowd", prior="natural")


def test_another_data_set_is_refused(trained: Path, tmp_path: Path) -> None:
    other = write_stripes(tmp_path / "other", train=70, held_out=14)
    with pytest.raises(InputError, match="is not the data set that"):
        quantize(trained, other, tmp_path / "int8.onnx")
    assert not (tmp_path / "int8.onnx").exists()

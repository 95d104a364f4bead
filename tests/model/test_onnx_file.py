"""The model file agrees with the network it came from, and refuses to be something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from fer_batch.emotions import LABELS
from fer_batch.errors import ModelError
from fer_batch.model.architectures import Network, build_network
from fer_batch.model.export import export_onnx
from fer_batch.model.layers import layer_table
from fer_batch.model.onnx_file import (
    METADATA_KEY,
    ModelCard,
    default_model,
    load_card,
    resolve,
    save_half,
    save_with_card,
)
from fer_batch.quality.faces import WEIGHTS
from fer_batch.settings import TrainSettings, build


def trained_a_little(arch: str) -> Network:
    """A network whose batch statistics are not the initial ones, so that folding them is tested."""
    torch.manual_seed(1)
    network = build_network(build(TrainSettings, {"arch": arch}), ["fer2013", "crowd"]).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randint(0, 256, (32, 1, 48, 48), dtype=torch.uint8))
    return network.eval()


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return ModelCard(architecture="se_resnet", heads={"fer2013": 1.25, "crowd": 0.8}, figures={"val": {}})


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export_onnx(trained_a_little("se_resnet"), card, path)
    return path


@pytest.mark.parametrize("arch", ["se_resnet", "cnn7"])
@pytest.mark.parametrize("batch", [1, 5])
def test_onnx_and_pytorch_agree_to_1e_4(arch: str, batch: int, tmp_path: Path) -> None:
    network = trained_a_little(arch)
    path = tmp_path / "model.onnx"
    export_onnx(network, ModelCard(architecture=arch, heads={"fer2013": 1.0, "crowd": 1.0}), path)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 1, 48, 48), dtype=np.uint8)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        wanted = network(torch.from_numpy(pixels))
    for name in ("fer2013", "crowd"):
        (found,) = session.run([name], {"pixels": pixels})
        np.testing.assert_allclose(found, wanted[name].numpy(), atol=1e-4, rtol=0)


def test_half_precision_weights_take_half_the_file_and_hardly_move_the_logits(
    model_file: Path, card: ModelCard, tmp_path: Path
) -> None:
    save_half(model_file, tmp_path / "half.onnx")
    assert load_card(tmp_path / "half.onnx") == card
    assert (tmp_path / "half.onnx").stat().st_size < 0.52 * model_file.stat().st_size
    pixels = np.random.default_rng(0).integers(0, 256, (8, 1, 48, 48), dtype=np.uint8)
    whole, half = (
        ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"pixels": pixels})
        for path in (model_file, tmp_path / "half.onnx")
    )
    for wanted, found in zip(whole, half, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=0.02, rtol=0)


def test_the_card_comes_back_as_it_was_written(model_file: Path, card: ModelCard) -> None:
    assert load_card(model_file) == card


def test_layer_table_survives_the_file(tmp_path: Path, model_file: Path) -> None:
    rows = layer_table(trained_a_little("cnn7"))
    save_with_card(
        model_file.read_bytes(),
        ModelCard("cnn7", {"fer2013": 1, "crowd": 1}, layers=rows),
        tmp_path / "m.onnx",
    )
    assert load_card(tmp_path / "m.onnx").layers == rows


def test_no_file_of_ours_names_the_machine_it_was_made_on(model_file: Path) -> None:
    for path in (model_file, default_model(), WEIGHTS):
        content = path.read_bytes()
        assert b"stack_trace" not in content
        assert b'.py", line' not in content


def test_one_file_without_external_data(model_file: Path) -> None:
    assert [path.name for path in model_file.parent.iterdir()] == ["model.onnx"]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.onnx"):
        load_card(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match="no model 'defualt'"):
        resolve("defualt")
    with pytest.raises(ModelError, match="no finished training run"):
        resolve(tmp_path)


@pytest.mark.parametrize("name", ["text.onnx", "dataset.json", "model.textproto"])
def test_not_onnx(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"this": "is no model"}')
    with pytest.raises(ModelError, match="not an ONNX model"):
        load_card(path)


def test_foreign_onnx(tmp_path: Path, model_file: Path) -> None:
    model = onnx.load(model_file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ModelError, match="no fer-batch card"):
        load_card(tmp_path / "foreign.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('format": 1', 'format": 99'), "reads up to 1"),
        ((LABELS[0], "enraged"), "was made for the labels"),
        (("architecture", "arkitecture"), "cannot be read"),
        (("crowd", "mob"), "cannot be read"),
        ((', "crowd": 0.8', ""), "the graph's outputs"),
    ],
)
def test_wrong_cards(tmp_path: Path, model_file: Path, change: tuple[str, str], message: str) -> None:
    model = onnx.load(model_file)
    entry = next(entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = entry.value.replace(*change)
    onnx.save(model, tmp_path / "wrong.onnx")
    with pytest.raises(ModelError, match=message):
        load_card(tmp_path / "wrong.onnx")

"""The model file agrees with the network it came from, and refuses to be something else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from networks_made import trained_a_little, write_model
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from fer_batch.emotions import LABELS
from fer_batch.errors import ModelError
from fer_batch.inference.flaws import WEIGHTS
from fer_batch.model.crop_geometry import CropGeometry
from fer_batch.model.export import export_onnx
from fer_batch.model.layers import layer_table
from fer_batch.model.onnx_file import (
    METADATA_KEY,
    ModelCard,
    card_from_json,
    default_model,
    load_card,
    load_float32,
    resolve,
    save_half,
    save_with_card,
)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_model(path)
    return path


@pytest.fixture(scope="module")
def card(model_file: Path) -> ModelCard:
    return load_card(model_file)


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
    assert load_card(tmp_path / "half.onnx") == replace(card, weights="float16", figures={})
    assert (tmp_path / "half.onnx").stat().st_size < 0.52 * model_file.stat().st_size
    pixels = np.random.default_rng(0).integers(0, 256, (8, 1, 48, 48), dtype=np.uint8)
    whole, half = (
        ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"pixels": pixels})
        for path in (model_file, tmp_path / "half.onnx")
    )
    for wanted, found in zip(whole, half, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=0.02, rtol=0)


def test_the_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = write_model(tmp_path / "model.onnx")
    assert load_card(tmp_path / "model.onnx") == written


def test_cards_without_coefficients_for_landmarks_cut_faces_by_their_boxes(tmp_path: Path) -> None:
    written = asdict(write_model(tmp_path / "model.onnx"))
    written["crop"] = {"side": 0.96, "centre_x": 0.0, "centre_y": -0.015}  # as files of format 1 have it
    card = card_from_json(json.dumps(written | {"format": 1}), origin="model.onnx")
    assert card.crop == CropGeometry(0.96, 0.0, -0.015, landmarks=None)


def test_a_card_with_another_number_of_coefficients_cannot_be_read(tmp_path: Path) -> None:
    written = json.loads(json.dumps(asdict(write_model(tmp_path / "model.onnx"))))
    written["crop"]["landmarks"]["log_side"].append(1.0)
    with pytest.raises(
        ModelError, match=r"model\.onnx: the model card inside cannot be read[^$]*crop.landmarks.log_side"
    ):
        card_from_json(json.dumps(written), origin="model.onnx")


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
    with pytest.raises(ModelError, match="xxx cannot be read: File name too long"):
        resolve("x" * 300)


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
        (('format": 2', 'format": 99'), "reads up to 2"),
        ((LABELS[0], "enraged"), "was made for the labels"),
        (("architecture", "arkitecture"), "cannot be read"),
        (("crowd", "mob"), "cannot be read"),
        ((', "crowd": 0.8', ""), "the graph's outputs"),
        (("1.25", "0.0"), "heads.fer2013: Input should be greater than 0"),
        (("1.25", "-1.0"), "heads.fer2013: Input should be greater than 0"),
        (("1.25", "NaN"), "heads.fer2013"),
        (("1.25", "Infinity"), "heads.fer2013"),
        (('input_size": 48', 'input_size": 0'), "input_size: Input should be greater than or equal to 1"),
        (('input_size": 48', 'input_size": 96'), r"inputs are \['pixels uint8 \[N, 1, 48, 48\]'\], expected"),
        (("{", ""), "card: Invalid JSON"),
    ],
)
def test_wrong_cards(tmp_path: Path, model_file: Path, change: tuple[str, str], message: str) -> None:
    model = onnx.load(model_file)
    entry = next(entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = entry.value.replace(*change)
    onnx.save(model, tmp_path / "wrong.onnx")
    with pytest.raises(ModelError, match=message) as refusal:
        load_card(tmp_path / "wrong.onnx")
    assert "\n" not in str(refusal.value)


def _take_floats(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def _take_one_picture(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _say_eight(graph: onnx.GraphProto) -> None:
    graph.output[0].type.tensor_type.shape.dim[1].dim_value = 8


def _say_halves(graph: onnx.GraphProto) -> None:
    graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_take_floats, "'pixels float [N, 1, 48, 48]'"),
        (_take_one_picture, "'pixels uint8 [1, 1, 48, 48]'"),
        (_say_eight, "'fer2013 float [N, 8]'"),
        (_say_halves, "'crowd float16 [N, 7]'"),
    ],
)
def test_a_graph_that_is_not_the_cards(
    tmp_path: Path, model_file: Path, change: Callable[[onnx.GraphProto], None], message: str
) -> None:
    model = onnx.load(model_file)
    change(model.graph)
    onnx.save(model, tmp_path / "wrong.onnx")
    with pytest.raises(ModelError, match=re.escape(message)):
        load_card(tmp_path / "wrong.onnx")


@pytest.mark.parametrize("kept", ["initializers", "constants"])
def test_weights_in_another_file_are_refused_whether_it_is_there_or_not(
    tmp_path: Path, model_file: Path, kept: str
) -> None:
    model = onnx.load(model_file)
    tensor = model.graph.initializer[0]
    if kept == "constants":
        tensor = numpy_helper.from_array(np.zeros(9, np.float32), "value")
    set_external_data(tensor, "weights")
    if kept == "constants":
        model.graph.node.insert(0, helper.make_node("Constant", [], ["unread"], value=tensor))
    onnx.save(model, tmp_path / "two.onnx")
    assert (tmp_path / "weights").is_file()
    for _ in range(2):
        for load in (load_card, load_float32):
            with pytest.raises(ModelError, match=r"two\.onnx keeps weights in another file"):
                load(tmp_path / "two.onnx")
        (tmp_path / "weights").unlink(missing_ok=True)


def test_a_weight_that_is_not_whole_is_no_weight_to_round(tmp_path: Path, model_file: Path) -> None:
    model = onnx.load(model_file)
    model.graph.initializer[0].dims.append(9)
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(ModelError, match=r"damaged\.onnx is not a valid ONNX model"):
        save_half(tmp_path / "damaged.onnx", tmp_path / "half.onnx")

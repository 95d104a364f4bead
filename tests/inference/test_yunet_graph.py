"""The rebuilt graph says what the published one says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from scipy.special import expit
from skimage.data import astronaut

from fer_batch.errors import ModelError
from fer_batch.inference.detector import yunet_file
from fer_batch.inference.session import Runtime, open_network
from fer_batch.inference.yunet_graph import INPUT, OUTPUT, STRIDES, batched_yunet


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_it_says_what_the_published_one_says(backend: str) -> None:
    picture = np.zeros((3, 640, 640), np.uint8)
    picture[:, :512, :512] = astronaut().transpose(2, 0, 1)[::-1]
    published = ort.InferenceSession(yunet_file(), providers=["CPUExecutionProvider"])
    network = open_network(batched_yunet(yunet_file()), Runtime(backend))
    pair = np.stack([picture, picture[:, ::-1]])
    (cells,) = network.run([OUTPUT], {INPUT: pair})
    for given, found in zip(pair, cells, strict=True):
        wanted = []
        for head in ("cls", "obj", "bbox", "kps"):
            maps = published.run(
                [f"{head}_{stride}" for stride in STRIDES], {"input": given[None].astype(np.float32)}
            )
            wanted.append(np.concatenate(maps, 1)[0].T)
        np.testing.assert_allclose(expit(found[:2]), np.concatenate(wanted[:2]), atol=1e-5)
        np.testing.assert_allclose(found[2:], np.concatenate(wanted[2:]), atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (96, 160), (192, 320)])
def test_it_takes_any_size(height: int, width: int) -> None:
    network = open_network(batched_yunet(yunet_file()))
    (cells,) = network.run([OUTPUT], {INPUT: np.zeros((3, 3, height, width), np.uint8)})
    assert cells.shape == (3, 16, sum(height * width // stride**2 for stride in STRIDES))


def _lose_a_weight(model: onnx.ModelProto) -> None:
    (name,) = (t.name for t in model.graph.initializer if t.name == "bbox_head.multi_level_kps.1.conv2.bias")
    del model.graph.initializer[[t.name for t in model.graph.initializer].index(name)]


def _lose_a_head(model: onnx.ModelProto) -> None:
    (node,) = (node for node in model.graph.node if "obj_16" in node.output)
    model.graph.node.remove(node)


def _widen_a_kernel(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == "bbox_head.multi_level_cls.0.conv2.weight":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros((1, 1, 5, 5), np.float32), tensor.name))


def _say_less(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == "bbox_head.multi_level_kps.0.conv1.bias":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(4, np.float32), tensor.name))


def _feed_a_head_from_elsewhere(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if "bbox_head.multi_level_kps.0.conv1.weight" in node.input:
            node.input[0] = "246"


def _lose_a_bias(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if "bbox_head.multi_level_kps.0.conv2.bias" in node.input:
            del node.input[2]


def _call_the_input_something_else(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "data"


def _halve_the_precision(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))


def _shorten_a_weight(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.raw_data = weight.raw_data[:-4]


def _forget_a_dtype(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = onnx.TensorProto.UNDEFINED


@pytest.mark.parametrize(
    "change",
    [
        _lose_a_weight,
        _lose_a_bias,
        _lose_a_head,
        _widen_a_kernel,
        _say_less,
        _feed_a_head_from_elsewhere,
        _call_the_input_something_else,
        _halve_the_precision,
        _shorten_a_weight,
        _forget_a_dtype,
    ],
)
def test_another_graph_is_refused(tmp_path: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(yunet_file())
    change(model)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match=r"other\.onnx is no YuNet in float32"):
        batched_yunet(tmp_path / "other.onnx")


def test_a_damaged_name_is_refused(tmp_path: Path) -> None:
    name, content = b"backbone.model0.conv2.conv1.bias", yunet_file().read_bytes()
    assert name in content
    (tmp_path / "damaged.onnx").write_bytes(content.replace(name, name.replace(b"k", b"\xe9")))
    with pytest.raises(ModelError, match=r"damaged\.onnx is no YuNet in float32"):
        batched_yunet(tmp_path / "damaged.onnx")


def test_weights_in_another_file_are_refused_whether_it_is_there_or_not(tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    onnx.save_model(onnx.load(yunet_file()), path, save_as_external_data=True, location="weights")
    for _ in range(2):
        with pytest.raises(ModelError, match=r"two\.onnx keeps weights in another file"):
            batched_yunet(path)
        (tmp_path / "weights").unlink(missing_ok=True)

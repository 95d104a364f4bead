"""The model file: one ONNX graph that carries its own card, and how to find and check it.

The graph has one input, `pixels`: uint8 [N, 1, 48, 48], gray, 0–255 (normalisation is inside), and
one output a head, named like it: float32 logits [N, 7] in the order of `Emotion`. The card is JSON
under the metadata key `fer_batch`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_batch.emotions import LABELS
from fer_batch.errors import ModelError, UsageError
from fer_batch.model.crop_geometry import CropGeometry
from fer_batch.settings import Head
from fer_batch.storage import atomic_file, real_path

if TYPE_CHECKING:
    import onnx

FORMAT = 2
"""Raised when a reader of the former number would misread the file: one of 1 knows no landmarks."""
METADATA_KEY = "fer_batch"
INPUT_NAME = "pixels"


@dataclass(frozen=True)
class ModelCard:
    """What a model file says about itself."""

    architecture: str
    heads: dict[Head, float]
    """The temperature of each head: probabilities are softmax(logits / temperature)."""
    labels: tuple[str, ...] = LABELS
    input_size: int = 48
    normalisation: str = ""
    crop: CropGeometry = field(default_factory=CropGeometry)
    training: dict[str, Any] = field(default_factory=dict)
    """Fingerprint of the data, settings, versions, chosen epoch."""
    figures: dict[str, Any] = field(default_factory=dict)
    """What was measured, by split and head."""
    layers: tuple[tuple[str, tuple[int, ...], int], ...] = ()
    """The layer table: name, output shape, parameters."""
    weights: str = "float32"
    """How the file keeps them; `int8` computes so too, all others in float32."""
    format: int = FORMAT


def card_from_json(text: str, *, origin: str) -> ModelCard:
    """The card in a model file's metadata.

    Raises:
        ModelError: it is not a card, is of a later format, or has other labels.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        card = TypeAdapter(ModelCard).validate_json(text)
    except ValidationError as error:
        raise ModelError(f"{origin}: the model card inside cannot be read: {error}") from None
    if card.format > FORMAT:
        raise ModelError(
            f"{origin} has format {card.format}; this fer-batch reads up to {FORMAT}: upgrade it"
        )
    if card.labels != LABELS:
        raise ModelError(f"{origin} was made for the labels {card.labels}, expected {LABELS}")
    return card


def load_card(path: Path) -> ModelCard:
    """The card of a model file, checked.

    Raises:
        ModelError: the file is missing, is not ONNX, or was not made by fer-batch.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise ModelError(f"model file {path} does not exist")
    try:
        # Without the format, onnx would choose it by the suffix, and fail on others' in its own way.
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except (DecodeError, OSError) as error:
        raise ModelError(f"{path} is not an ONNX model: {error}") from error
    text = next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), None)
    if text is None:
        raise ModelError(f"{path} carries no fer-batch card: train it with fer-batch")
    card = card_from_json(text, origin=str(path))
    outputs, inputs = ({value.name for value in ends} for ends in (model.graph.output, model.graph.input))
    for what, found, wanted in (("inputs", inputs, {INPUT_NAME}), ("outputs", outputs, set(card.heads))):
        if found != wanted:
            raise ModelError(f"{path}: the graph's {what} are {sorted(found)}, expected {sorted(wanted)}")
    return card


def save_with_card(graph: bytes, card: ModelCard, path: Path) -> None:
    """Write an ONNX graph with its card, whole or not at all."""
    import onnx

    model = onnx.load_from_string(graph)
    forget_origin(model)
    entry = model.metadata_props.add()
    entry.key, entry.value = (
        METADATA_KEY,
        json.dumps(asdict(replace(card, format=FORMAT)), ensure_ascii=False),
    )
    with atomic_file(path) as partial:
        partial.write_bytes(model.SerializeToString(deterministic=True))


def forget_origin(model: onnx.ModelProto) -> None:
    """Delete what the exporter notes beside a graph and its parts: it names files of that machine."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for noted in (model, graph, *graph.node, *values):
        del noted.metadata_props[:]
        noted.doc_string = ""


def load_float32(path: Path) -> tuple[onnx.ModelProto, ModelCard]:
    """The graph and the card of a model file whose weights nobody has rounded yet.

    Raises:
        ModelError: the file is no model file of ours, or its weights are rounded already.
    """
    import onnx

    card = load_card(path)
    model = onnx.load(path, format="protobuf")
    weights = [tensor for tensor in model.graph.initializer if len(tensor.dims) > 1]
    if any(weight.data_type != onnx.TensorProto.FLOAT for weight in weights):
        raise ModelError(
            f"the weights of {path} are rounded already: a model in float32 is needed, such as a run folder"
        )
    return model, card


def check_apart(source: Path, path: Path) -> None:
    """Nothing, where a rounded copy would not replace what it was made from.

    Raises:
        UsageError: both are one file.
    """
    if real_path(source) == real_path(path):
        raise UsageError(f"{path} is the model itself: name another file, and keep what was trained")


def save_half(source: Path, path: Path) -> None:
    """Write a model file again with its weights rounded to float16, cast back to float32 by the graph.

    The file has half the size. ONNX Runtime casts the weights once, when it loads the file: what is
    computed, and how fast, stays as it was. The new file has no figures: nobody has measured it.

    Raises:
        ModelError: the source is no model file of ours, or its weights are rounded already.
        OutputError: the file cannot be written.
        UsageError: `path` is the source itself.
    """
    from onnx import TensorProto, helper, numpy_helper

    check_apart(source, path)
    model, card = load_float32(source)
    graph = model.graph
    weights = [weight for weight in graph.initializer if weight.data_type == TensorProto.FLOAT]
    casts = []
    for weight in weights:
        name = f"{weight.name}_half"
        half = numpy_helper.to_array(weight).astype("float16")
        casts.append(helper.make_node("Cast", [name], [weight.name], to=TensorProto.FLOAT))
        weight.CopyFrom(numpy_helper.from_array(half, name))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *rest])
    del graph.value_info[:]
    save_with_card(model.SerializeToString(), replace(card, weights="float16", figures={}), path)


def default_model() -> Path:
    """The model file inside the package."""
    return Path(str(files("fer_batch.model") / "weights" / "default.onnx"))


def resolve(model: str | Path) -> Path:
    """The model file that `default`, a run folder, or a path to an ONNX file stands for.

    Raises:
        ModelError: there is no such file.
    """
    if str(model) == "default":
        return default_model()
    path = Path(model)
    if path.is_dir():
        path = path / "model.onnx"
        if not path.is_file():
            raise ModelError(f"{path.parent} is no finished training run: it has no model.onnx")
    if not path.is_file():
        raise ModelError(f"there is no model {str(model)!r}: give `default`, a run folder or an .onnx file")
    return path

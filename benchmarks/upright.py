"""How well faces are read that are not upright, and how surely the way up of a source is told.

    python benchmarks/upright.py DATASET [--natural NATURAL.parquet] [--rows N]

Pictures of `val` with a FER+ majority, enlarged to 200 pixels, are turned and set into plain frames of
640x360. Where the detector finds a face it is read by the default head, once cut out as it is and once
levelled, as `annotate` does it; those turned by a quarter and a half are searched in the picture turned back,
as in a source whose way up is known. With `--natural` (column `jpeg`), photographs vote for a way up, as the
pictures of a source do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fer_batch.annotation.rotation import vote
from fer_batch.dataset import load_split
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.crop import crop_faces, crop_square
from fer_batch.inference.detections import Detections
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.inference.picture import ArrayPicture, Picture, turned
from fer_batch.model.crop_geometry import CropGeometry
from fer_batch.model.onnx_file import default_model
from fer_batch.settings import AnnotateSettings, DetectionSettings
from fer_batch.training.evaluation import head_labels

SEED = 0
FRAME, SIDE, GRAY = (360, 640), 200, 127
ANGLES = (0, 10, 20, 30, 40, 90, 180)
PHOTOGRAPHS, HEIGHTS = 700, (180, 110, 70)
"""How many are searched in all four ways, and at which heights in pixels."""
AS_IT_IS = CropGeometry(1, 0, 0)
"""The square of a box that is one is the box."""


def frame_of(face: NDArray[np.uint8], angle: int) -> Picture:
    """A face, gray, turned clockwise in the middle of a plain frame."""
    (height, width), side = FRAME, SIDE
    large = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    top, left = (height - side) // 2, (width - side) // 2
    frame = cv2.copyMakeBorder(large, top, top, left, left, cv2.BORDER_CONSTANT, value=GRAY)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, 1)
    frame = cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderValue=GRAY)
    return ArrayPicture(np.repeat(frame[..., None], 3, axis=2).astype(np.uint8))


def found_in(picture: Picture, angle: int, detector: YuNet) -> Detections:
    """The surest face, in the picture as it is shown."""
    quarters = -(angle // 90) % 4 if angle % 90 == 0 else 0
    (faces,) = detector.detect_batch([turned(picture, quarters)])
    return faces.turned_back(quarters, picture.size)[np.arange(min(len(faces), 1))]


def as_it_is(picture: Picture, face: Detections, geometry: CropGeometry) -> NDArray[np.uint8]:
    """The face cut out without being levelled."""
    x, y, side = crop_square(face.boxes[0], face.landmarks[0], geometry)
    square = np.array([[x - side / 2, y - side / 2, x + side / 2, y + side / 2]], np.float32)
    return crop_faces(picture, square, np.full((1, 5, 2), np.nan, np.float32), AS_IT_IS, 48)[0]


def tilted(dataset: Path, rows: int) -> None:
    """Print accuracy by angle."""
    split = load_split(dataset, "val")
    positions, labels = head_labels(split, "crowd")
    chosen = np.random.default_rng(SEED).permutation(len(positions))[:rows]
    detector = YuNet(resolve_detector("yunet"), DetectionSettings())
    classifier = Classifier(default_model(), prior=AnnotateSettings().prior)
    geometry = classifier.card.crop
    print(f"{rows} pictures of val, seed {SEED}\n")
    print("| turned by | found | as it is | levelled |\n|---|---|---|---|")
    for angle in ANGLES:
        known, plain, level = [], [], []
        for row in chosen:
            picture = frame_of(split.images[positions[row]], angle)
            face = found_in(picture, angle, detector)
            if len(face):
                known.append(labels[row])
                plain.append(as_it_is(picture, face, geometry))
                level.append(crop_faces(picture, face.boxes, face.landmarks, geometry, 48)[0])
        right = [
            (classifier.probabilities(np.stack(crops)).argmax(1) == known).mean() for crops in (plain, level)
        ]
        print(f"| {angle}° | {len(known) / rows:.0%} | {right[0]:.1%} | {right[1]:.1%} |", flush=True)


def ways_up(photographs: Path) -> None:
    """Print how often pictures of upright faces have a vote, and for which way up."""
    detector = YuNet(resolve_detector("yunet"), DetectionSettings())
    jpegs = pq.read_table(photographs, columns=["jpeg"])["jpeg"].to_pylist()
    chosen = np.random.default_rng(SEED).permutation(len(jpegs))[:PHOTOGRAPHS]
    print(f"\n{len(chosen)} photographs of upright faces in frames of {FRAME[1] // 2}x{FRAME[0] // 2}\n")
    print("| height of the photograph | vote | for upright |\n|---|---|---|")
    for height in HEIGHTS:
        votes = []
        for index in chosen:
            image = cv2.imdecode(np.frombuffer(jpegs[index], np.uint8), cv2.IMREAD_COLOR_RGB)
            small = cv2.resize(image, (height, height), interpolation=cv2.INTER_AREA)
            frame = np.full((FRAME[0] // 2, FRAME[1] // 2, 3), GRAY, np.uint8)
            top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - height) // 2
            frame[top : top + height, left : left + height] = small
            votes.append(vote(ArrayPicture(frame), detector, max(frame.shape)))
        given = [way for way in votes if way is not None]
        print(f"| {height} | {len(given)} | {given.count(0)} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--natural", type=Path, help="photographs of upright faces, 224x224")
    parser.add_argument("--rows", type=int, default=700)
    arguments = parser.parse_args()
    tilted(arguments.dataset, arguments.rows)
    if arguments.natural:
        ways_up(arguments.natural)


if __name__ == "__main__":
    main()

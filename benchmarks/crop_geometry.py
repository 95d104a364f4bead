"""Where FER2013's own pictures lie around the faces that YuNet finds in them: the geometry in the model card.

    python benchmarks/crop_geometry.py DATASET [--rows N]

Each picture is enlarged and set somewhere into a plain frame, so that the detector sees it as it would see
a face in a video, at sizes that footage has. On pictures of Training with exactly one face the square that
leads back to the picture is fitted, once from the box alone (medians) and once from box and landmarks
(regression with Huber's loss). Prints `FER2013_CROP`'s numbers, and how far both squares are off on
PublicTest.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import least_squares

from fer_batch.dataset import load_split
from fer_batch.inference.crop import crop_square, landmark_terms
from fer_batch.inference.detections import Detections
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.model.crop_geometry import FER2013_CROP, CropGeometry, LandmarkGeometry, LandmarkTerms
from fer_batch.settings import DetectionSettings

FRAME = (360, 640)
SIDES = (80, 320)
"""Of the picture in the frame, in pixels."""
GRAY = 127
ROWS_TO_JUDGE = 1000
PIXELS = 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--rows", type=int, default=8000)
    arguments = parser.parse_args()
    faces = faces_of(load_split(arguments.dataset, "train").images[: arguments.rows])
    plain, fitted = by_box(faces), by_landmarks(faces)
    print(f"side, centre_x, centre_y = {plain.side:.3f}, {plain.centre_x:+.3f}, {plain.centre_y:+.3f}")
    print(f"landmarks.centre_x = {fitted.centre_x:+.3f}")
    print(f"{'term':>12} {'centre_y':>9} {'log_side':>9}")
    for term, shift, side in zip(LandmarkTerms._fields, fitted.centre_y, fitted.log_side, strict=True):
        print(f"{term:>12} {shift:+9.3f} {side:+9.3f}")
    unseen = faces_of(load_split(arguments.dataset, "val").images[:ROWS_TO_JUDGE])
    wanted = targets(unseen)
    for name, geometry in (
        ("box", plain),
        ("fitted here", replace(plain, landmarks=fitted)),
        ("FER2013_CROP", FER2013_CROP),
    ):
        # In pixels of a large picture: a square has a side of at least one pixel.
        each = zip(unseen.boxes * PIXELS, unseen.landmarks * PIXELS, strict=True)
        squares = np.array([crop_square(box, points, geometry) for box, points in each]) / PIXELS
        error = np.sqrt(np.mean((wanted - relative(squares, unseen)) ** 2, axis=0))
        off = ", ".join(f"{value:.3f}" for value in error)
        print(f"{name:>12}: off on PublicTest by (root mean square of x, y, log side) {off}")


def faces_of(images: np.ndarray) -> Detections:
    """The faces of the pictures in which exactly one is found, in sides of the picture."""
    detector = YuNet(resolve_detector("yunet"), DetectionSettings())
    rng = np.random.default_rng(0)
    sides = np.exp(rng.uniform(*np.log(SIDES), len(images))).round().astype(int)
    places = [(rng.integers(FRAME[1] - side + 1), rng.integers(FRAME[0] - side + 1)) for side in sides]

    def faces(image: np.ndarray, side: int, place: tuple[int, int]) -> Detections:
        left, top = place
        frame = np.full((*FRAME, 3), GRAY, np.uint8)
        enlarged = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
        frame[top : top + side, left : left + side] = enlarged[:, :, None]
        found = detector.detect(frame)
        corner = np.array(place, np.float32)
        boxes = (found.boxes - np.tile(corner, 2)) / side
        return Detections(boxes, found.scores, (found.landmarks - corner) / side)

    with ThreadPoolExecutor(2) as pool:
        kept = [one for one in pool.map(faces, images, sides.tolist(), places) if len(one) == 1]
    print(f"one face in {len(kept)} of {len(images)}")
    parts = ([one.boxes for one in kept], [one.scores for one in kept], [one.landmarks for one in kept])
    return Detections(*(np.concatenate(part) for part in parts))


def relative(squares: np.ndarray, faces: Detections) -> np.ndarray:
    """Shifts and log side, [N, 3], of squares in heights of the faces' boxes."""
    centres, height = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2, faces.boxes[:, 3:] - faces.boxes[:, 1:2]
    return np.concatenate(((squares[:, :2] - centres) / height, np.log(squares[:, 2:] / height)), axis=1)


def targets(faces: Detections) -> np.ndarray:
    """The same of the pictures themselves."""
    return relative(np.tile((0.5, 0.5, 1.0), (len(faces), 1)), faces)


def by_box(faces: Detections) -> CropGeometry:
    """Medians; a mirrored picture is as likely, so that nothing is shifted sideways."""
    _, centre_y, log_side = np.median(targets(faces), axis=0)
    return CropGeometry(side=float(np.exp(log_side)), centre_y=float(centre_y))


def by_landmarks(faces: Detections) -> LandmarkGeometry:
    """The coefficients with the least Huber loss: errors beyond the targets' median deviation count less."""
    wanted = targets(faces)
    seen = [landmark_terms(box, points) for box, points in zip(faces.boxes, faces.landmarks, strict=True)]
    sideways, terms = np.array([one for one, _ in seen]), np.array([values for _, values in seen])

    def fit(values: np.ndarray, target: np.ndarray) -> tuple[float, ...]:
        scale = float(np.median(np.abs(target - np.median(target))))
        start, *_ = np.linalg.lstsq(values, target, rcond=None)
        found = least_squares(lambda x: values @ x - target, start, loss="huber", f_scale=scale)
        return tuple(found.x.tolist())

    (centre_x,) = fit(sideways[:, None], wanted[:, 0])
    return LandmarkGeometry(
        centre_x, LandmarkTerms(*fit(terms, wanted[:, 1])), LandmarkTerms(*fit(terms, wanted[:, 2]))
    )


if __name__ == "__main__":
    main()

"""Faces cut out as FER2013 cut its own."""

from __future__ import annotations

import math
from operator import mul
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.picture import Picture, shrunk
from fer_batch.model.crop_geometry import CropGeometry, LandmarkTerms

_LOG_SIDES = (math.log(0.7), math.log(1.4))
"""Least and greatest logarithm of the side that landmarks can give a square, in heights of the box. Those of
a head upside down or in full profile lie where nobody's did when the geometry was measured."""
_LARGEST_SHIFT = 0.15
"""How far they can shift its centre from the box's, in the same."""


def crop_square(
    box: NDArray[np.float32], landmarks: NDArray[np.float32], geometry: CropGeometry
) -> tuple[float, float, float]:
    """Centre x, centre y and side, in pixels, of the square that the model wants of a face.

    Args:
        box: float32 [4], x0, y0, x1, y1 in pixels.
        landmarks: float32 [5, 2], as `Detections` has them; NaN where unknown: the box alone counts.
        geometry: of the model's card.
    """
    # Plain numbers: NumPy takes eight times as long for so few.
    x0, y0, x1, y1 = (float(value) for value in box)
    height = y1 - y0
    right, down, side = geometry.centre_x, geometry.centre_y, geometry.side
    if geometry.landmarks is not None and height > 0 and np.isfinite(landmarks).all():
        coefficients = geometry.landmarks
        landmarks_x, terms = landmark_terms(box, landmarks)
        right = _within(coefficients.centre_x * landmarks_x, -_LARGEST_SHIFT, _LARGEST_SHIFT)
        down = _within(_weighted_sum(coefficients.centre_y, terms), -_LARGEST_SHIFT, _LARGEST_SHIFT)
        side = math.exp(_within(_weighted_sum(coefficients.log_side, terms), *_LOG_SIDES))
    return (x0 + x1) / 2 + right * height, (y0 + y1) / 2 + down * height, max(side * height, 1.0)


def landmark_terms(box: NDArray[np.float32], landmarks: NDArray[np.float32]) -> tuple[float, LandmarkTerms]:
    """What the coefficients of a `LandmarkGeometry` are for.

    Args:
        box: float32 [4], x0, y0, x1, y1, in any unit, higher than 0.
        landmarks: float32 [5, 2], as `Detections` has them, in the same.

    Returns:
        `landmarks_x`, the mean x of the point between the eyes, the nose and the point between the corners
        of the mouth, in heights of the box and from its centre; and the terms.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    x, y, height = (x0 + x1) / 2, (y0 + y1) / 2, y1 - y0
    (eye_x, eye_y), (other_eye_x, other_eye_y), nose, mouth, other_mouth = landmarks.tolist()
    eyes_x, mouth_x = (eye_x + other_eye_x) / 2, (mouth[0] + other_mouth[0]) / 2
    landmarks_x = ((eyes_x + nose[0] + mouth_x) / 3 - x) / height
    return landmarks_x, LandmarkTerms(
        constant=1.0,
        aspect=(x1 - x0) / height,
        eyes_y=((eye_y + other_eye_y) / 2 - y) / height,
        nose_y=(nose[1] - y) / height,
        mouth_y=((mouth[1] + other_mouth[1]) / 2 - y) / height,
        eye_distance=(other_eye_x - eye_x) / height,
        mouth_width=(other_mouth[0] - mouth[0]) / height,
        yaw=landmarks_x**2,
        roll=abs(other_eye_y - eye_y) / height,
    )


def _weighted_sum(coefficients: LandmarkTerms, terms: LandmarkTerms) -> float:
    return sum(map(mul, coefficients, terms))


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def crop_faces(
    picture: Picture,
    boxes: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    geometry: CropGeometry,
    size: int,
) -> NDArray[np.uint8]:
    """Cut faces out of a picture as gray squares.

    What lies beyond the picture's edge repeats the edge. Shrinking averages over areas, as a camera
    further away would; enlarging is bilinear.

    Args:
        picture: what to cut them out of.
        boxes: float32 [N, 4], x0, y0, x1, y1 in pixels.
        landmarks: float32 [N, 5, 2], as `Detections` has them; NaN where unknown.
        geometry: of the model's card.
        size: side of the crops in pixels.

    Returns:
        uint8 [N, size, size].
    """
    crops = np.empty((len(boxes), size, size), np.uint8)
    for index, (box, points) in enumerate(zip(boxes, landmarks, strict=True)):
        crops[index] = _crop(picture, *crop_square(box, points, geometry), size)
    return crops


def _crop(picture: Picture, centre_x: float, centre_y: float, side: float, size: int) -> NDArray[np.uint8]:
    # Whole pixels are cut out first, so that INTER_AREA sees every one of them exactly once.
    left, top = round(centre_x - side / 2), round(centre_y - side / 2)
    extent = max(1, round(side))
    height, width = picture.size
    # A box far outside is possible for a face at the edge; at least one pixel is always inside.
    rows = slice(min(max(top, 0), height - 1), max(min(top + extent, height), 1))
    columns = slice(min(max(left, 0), width - 1), max(min(left + extent, width), 1))
    inside = picture.gray(rows, columns)
    missing = (
        max(rows.start - top, 0),
        max(top + extent - rows.stop, 0),
        max(columns.start - left, 0),
        max(left + extent - columns.stop, 0),
    )
    if any(missing):
        inside = cast(NDArray[np.uint8], cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE))
    return shrunk(inside, (size, size))

"""Faces cut out as FER2013 cut its own."""

from __future__ import annotations

import cmath
import math
from operator import mul
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.looks import FACE_ASPECT
from fer_batch.inference.picture import Picture, shrunk
from fer_batch.model.crop_geometry import CropGeometry, LandmarkTerms

_LOG_SIDES = (math.log(0.7), math.log(1.4))
"""Least and greatest logarithm of the side that landmarks can give a square, in heights of the box. Those of
a head upside down or in full profile lie where nobody's did when the geometry was measured."""
_QUARTER = math.pi / 2
_STEEPEST = math.radians(15)
"""By how much a face may be tilted, by its landmarks, and be cut out as it is: the network has seen such in
its training. YuNet's landmarks tell three quarters of a tilt at most, so that this is some 20 degrees."""
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


def head_roll(landmarks: NDArray[np.float32]) -> float:
    """By how much a face is turned in the picture, in radians, clockwise; 0 where landmarks are unknown.

    Args:
        landmarks: float32 [5, 2], as `Detections` has them.
    """
    if not np.isfinite(landmarks).all():
        return 0.0
    right_eye, left_eye, _, right_mouth, left_mouth = (complex(x, y) for x, y in landmarks.tolist())
    # From eye to eye and corner to corner of the mouth, and down the face, each turned to point to the right:
    # of a face from the side the former are short and tell little, and the latter is long.
    across = (left_eye - right_eye) + (left_mouth - right_mouth)
    down = (right_mouth + left_mouth - right_eye - left_eye) * -1j
    return cmath.phase(across + down) if across + down else 0.0


def crop_faces(
    picture: Picture,
    boxes: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    geometry: CropGeometry,
    size: int,
) -> NDArray[np.uint8]:
    """Cut faces out of a picture as gray squares, upright where their landmarks tell how they are turned.

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
        roll = head_roll(points)
        quarters = round(roll / _QUARTER)
        if abs(roll - quarters * _QUARTER) > _STEEPEST:
            square = _square_of_turned(box, points, geometry, roll, _upright_sides(box))
            crops[index] = _tilted_crop(picture, *square, roll, size)
        else:
            sides = box[2:] - box[:2]
            sides = sides[::-1] if quarters % 2 else sides
            square = _square_of_turned(box, points, geometry, quarters * _QUARTER, sides)
            crops[index] = np.rot90(_crop(picture, *square, size), quarters)
    return crops


def _upright_sides(box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Width and height of a face, upright, of which a box is known while it is tilted.

    The box around an ellipse has the same sum of squared sides however the ellipse is turned.
    """
    width, height = (box[2:] - box[:2]).tolist()
    upright = math.hypot(width, height) / math.hypot(FACE_ASPECT, 1)
    return np.array([FACE_ASPECT * upright, upright], np.float32)


def _square_of_turned(
    box: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    geometry: CropGeometry,
    angle: float,
    sides: NDArray[np.float32],
) -> tuple[float, float, float]:
    """The square of a face that is turned clockwise by an angle in radians, to be cut out turned as it is.

    Args:
        box: in the picture.
        landmarks: in the picture.
        geometry: of the model's card.
        angle: of the face.
        sides: width and height of the face's box were it upright.

    Returns:
        Centre x, centre y and side in pixels.
    """
    if not angle:
        return crop_square(box, landmarks, geometry)
    middle = (box[:2] + box[2:]) / 2
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], np.float32)
    # A row times `turn` is turned clockwise by the angle, times its transpose back.
    level_box = np.concatenate([-sides / 2, sides / 2]).astype(np.float32)
    x, y, side = crop_square(level_box, ((landmarks - middle) @ turn.T).astype(np.float32), geometry)
    centre = middle + np.array([x, y], np.float32) @ turn
    return float(centre[0]), float(centre[1]), side


def _tilted_crop(
    picture: Picture, centre_x: float, centre_y: float, side: float, roll: float, size: int
) -> NDArray[np.uint8]:
    """A square that is turned clockwise by `roll`, levelled: at twice the size first, and then shrunk."""
    room = math.sqrt(2)
    large, twice = round(2 * room * size), 2 * size
    around = _crop(picture, centre_x, centre_y, side * large / twice, large)
    matrix = cv2.getRotationMatrix2D(((large - 1) / 2, (large - 1) / 2), math.degrees(roll), 1)
    matrix[:, 2] -= (large - twice) / 2
    level = cv2.warpAffine(
        around, matrix, (twice, twice), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return shrunk(cast(NDArray[np.uint8], level), (size, size))


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

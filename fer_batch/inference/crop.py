"""Faces cut out as FER2013 cut its own."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.picture import Picture, shrunk
from fer_batch.model.crop_geometry import CropGeometry, LandmarkGeometry

_SIDES = (0.7, 1.4)
"""Between which landmarks can move the side of a square, in heights of the box. Those of a head upside down
or in full profile lie where nobody's did when the geometry was measured."""
_LARGEST_SHIFT = 0.15
"""How far they can move its centre, in the same."""


def crop_squares(
    boxes: NDArray[np.float32], landmarks: NDArray[np.float32], geometry: CropGeometry
) -> NDArray[np.float64]:
    """The squares that the model wants of faces.

    Args:
        boxes: float32 [N, 4], x0, y0, x1, y1 in pixels.
        landmarks: float32 [N, 5, 2], as `Detections` has them; NaN where unknown: the box alone counts.
        geometry: of the model's card.

    Returns:
        float64 [N, 3]: centre x, centre y and side in pixels, the side at least 1.
    """
    corners = boxes.astype(np.float64)
    centres, extents = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    height = np.maximum(extents[:, 1:], 1e-3)
    # In heights: shift to the right, shift downwards, side.
    plain = np.array((geometry.centre_x, geometry.centre_y, geometry.side), np.float64)
    squares = np.tile(plain, (len(boxes), 1))
    if geometry.landmarks is not None:
        points = (landmarks - centres[:, None]) / height[:, None]
        by_landmarks = _by_landmarks(extents[:, 0] / height[:, 0], points, geometry.landmarks)
        squares = np.where(np.isfinite(by_landmarks).all(1, keepdims=True), by_landmarks, squares)
    squares *= height
    squares[:, :2] += centres
    squares[:, 2] = np.maximum(squares[:, 2], 1.0)
    return squares


def _by_landmarks(
    aspect: NDArray[np.float64], points: NDArray[np.float64], geometry: LandmarkGeometry
) -> NDArray[np.float64]:
    """Shift to the right, shift downwards and side, [N, 3], of faces of which all is in heights."""
    sideways, terms = landmark_terms(aspect, points)
    return np.stack(
        (
            np.clip(sideways * geometry.centre_x, -_LARGEST_SHIFT, _LARGEST_SHIFT),
            np.clip((terms * geometry.centre_y).sum(1), -_LARGEST_SHIFT, _LARGEST_SHIFT),
            np.exp(np.clip((terms * geometry.log_side).sum(1), *np.log(_SIDES))),
        ),
        axis=1,
    )


def landmark_terms(
    aspect: NDArray[np.float64], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a `LandmarkGeometry` weighs.

    Args:
        aspect: float64 [N], widths of the boxes, in their heights.
        points: float64 [N, 5, 2], landmarks from the centres of the boxes, in the same.

    Returns:
        float64 [N], how far to the right of the centre the middle of eyes, nose and mouth lies, and
        float64 [N, T], the values of `LANDMARK_TERMS`.
    """
    eyes, nose, mouth = points[:, :2].mean(1), points[:, 2], points[:, 3:].mean(1)
    across_eyes, across_mouth = points[:, 1] - points[:, 0], points[:, 4] - points[:, 3]
    sideways = (eyes[:, 0] + nose[:, 0] + mouth[:, 0]) / 3
    terms = (
        np.ones(len(points)),
        aspect,
        eyes[:, 1],
        nose[:, 1],
        mouth[:, 1],
        across_eyes[:, 0],
        across_mouth[:, 0],
        sideways**2,
        np.abs(across_eyes[:, 1]),
    )
    return sideways, np.stack(terms, axis=1)


def crop_faces(picture: Picture, squares: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """Cut faces out of a picture as gray squares.

    What lies beyond the picture's edge repeats the edge. Shrinking averages over areas, as a camera
    further away would; enlarging is bilinear.

    Args:
        picture: what to cut them out of.
        squares: float64 [N, 3], as `crop_squares` gives them.
        size: side of the crops in pixels.

    Returns:
        uint8 [N, size, size].
    """
    crops = np.empty((len(squares), size, size), np.uint8)
    for index, (centre_x, centre_y, side) in enumerate(squares.tolist()):
        crops[index] = _crop(picture, centre_x, centre_y, side, size)
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

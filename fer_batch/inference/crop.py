"""Faces cut out as FER2013 cut its own."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.picture import Picture, shrunk
from fer_batch.model.onnx_file import CropGeometry


def crop_square(box: NDArray[np.float32], geometry: CropGeometry) -> tuple[float, float, float]:
    """Centre x, centre y and side, in pixels, of the square that the model wants around a box.

    Args:
        box: x0, y0, x1, y1 in pixels.
        geometry: of the model's card.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    height = y1 - y0
    centre_x = (x0 + x1) / 2 + geometry.centre_x * height
    centre_y = (y0 + y1) / 2 + geometry.centre_y * height
    return centre_x, centre_y, max(geometry.side * height, 1.0)


def crop_faces(
    picture: Picture, boxes: NDArray[np.float32], geometry: CropGeometry, size: int
) -> NDArray[np.uint8]:
    """Cut faces out of a picture as gray squares.

    What lies beyond the picture's edge repeats the edge. Shrinking averages over areas, as a camera
    further away would; enlarging is bilinear.

    Args:
        picture: what to cut them out of.
        boxes: float32 [N, 4], x0, y0, x1, y1 in pixels.
        geometry: of the model's card.
        size: side of the crops in pixels.

    Returns:
        uint8 [N, size, size].
    """
    crops = np.empty((len(boxes), size, size), np.uint8)
    for index, box in enumerate(boxes):
        crops[index] = _crop(picture, *crop_square(box, geometry), size)
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

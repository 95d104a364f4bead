"""Frames as they are to be shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

import av
import cv2
import numpy as np

from fer_batch.annotation.video_picture import VideoPicture, converted
from fer_batch.inference.picture import ArrayPicture, Picture

_SQUARE = 1.02
"""Pixels whose sides differ by less are square: encoders state the rounding of a video's size."""
_LONGEST_PIXEL = 4
"""A pixel that is said to be longer than this is a mistake; anamorphic film and broadcasts stay below 2.5."""


class Upright:
    """How the frames of one video are stored, and how they are to be shown."""

    def __init__(self) -> None:
        self._rotation: int | None = None
        self._axes = (1.0, 0.0), (0.0, 1.0)

    def of(self, picture: av.VideoFrame, pixel_aspect: Fraction | None = None) -> Picture:
        """A frame in square pixels, turned and mirrored as the file says.

        Args:
            picture: as it was decoded.
            pixel_aspect: width of a stored pixel over its height; the width of the frame is stretched by it.

        Raises:
            DecodeError: the frame cannot be converted.
        """
        # The matrix is looked at again where it says another angle, not for every frame: a frame whose
        # side data was looked at is in a circle with it, and stays in memory until somebody collects it.
        if picture.rotation != self._rotation:
            self._rotation, self._axes = picture.rotation, _display_axes(picture)
        # Right and down in what is stored lead to (a, b) and (c, d), right and down, in what is shown.
        (a, b), (c, d) = self._axes
        width = _shown_width(picture.width, pixel_aspect)
        square = width == picture.width
        if square and VideoPicture.can_show(picture) and a > abs(b) and d > abs(c):
            return VideoPicture(picture)
        image = converted(picture)
        if not square:
            shape = (width, picture.height)
            image = cv2.resize(image, shape, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
        if abs(b) > abs(a):
            image, (a, b), (c, d) = image.swapaxes(0, 1), (c, d), (a, b)
        return ArrayPicture(np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]))


def _shown_width(width: int, pixel_aspect: Fraction | None) -> int:
    if not pixel_aspect or pixel_aspect < 0:
        return width
    longer = max(pixel_aspect, 1 / pixel_aspect)
    return round(width * pixel_aspect) if _SQUARE <= longer <= _LONGEST_PIXEL else width


def _display_axes(picture: av.VideoFrame) -> tuple[tuple[float, float], tuple[float, float]]:
    try:
        matrix = cast(Mapping[str, Any], picture.side_data).get("DISPLAYMATRIX")
    except ValueError:
        # PyAV refuses all side data where there is some of a kind that it does not know.
        angle = math.radians(picture.rotation)
        return (math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))
    if matrix is None:
        return (1.0, 0.0), (0.0, 1.0)
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    return (a, b), (c, d)

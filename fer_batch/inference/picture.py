"""Pictures that give out what is asked of them, and compute no more.

A detector wants a small colour picture, a classifier a few gray squares: of a large frame, most pixels are
never looked at in colour.
"""

from __future__ import annotations

from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

_MAY_LOSE_A_LINE = 512
"""Side, in pixels, from which the last odd line or column is left out rather than averaged in."""


def _halves(side: int) -> bool:
    return side % 2 == 0 or side >= _MAY_LOSE_A_LINE


def shrunk(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture at another size, each pixel of a smaller one an average over those that it covers.

    Args:
        image: uint8 [H, W] or [H, W, C].
        size: height and width in pixels.
    """
    height, width = size
    # Halving is twenty times faster than any other shrinking, and averages just as well.
    while all(has >= 2 * wants and _halves(has) for has, wants in zip(image.shape, size, strict=False)):
        rows, columns = image.shape[0] // 2, image.shape[1] // 2
        half = cv2.resize(image[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA)
        image = cast(NDArray[np.uint8], half)
    if image.shape[:2] == size:
        return image
    smaller = height < image.shape[0] or width < image.shape[1]
    interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cast(NDArray[np.uint8], cv2.resize(image, (width, height), interpolation=interpolation))


class Picture(Protocol):
    """One upright picture."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    def rgb(self, size: tuple[int, int] | None = None, /) -> NDArray[np.uint8]:
        """The picture in colour, uint8 [H, W, 3], shrunk to a height and a width where they are given.

        Each pixel of a smaller picture is an average over those that it covers.
        """
        ...

    def gray(self, rows: slice, columns: slice, /) -> NDArray[np.uint8]:
        """A part of the picture's brightness, uint8 [h, w], 0 black to 255 white."""
        ...


class ArrayPicture:
    """A picture that lies in memory: uint8 [H, W, 3], RGB."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self._image = image

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self._image.shape[:2]
        return height, width

    def rgb(self, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """See `Picture.rgb`; at its own size it is the array itself."""
        if size is None or size == self.size:
            return self._image
        return shrunk(self._image, size)

    def gray(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """See `Picture.gray`."""
        part = self._image[rows, columns]
        if rows.step or columns.step:
            part = np.ascontiguousarray(part)
        return cast(NDArray[np.uint8], cv2.cvtColor(part, cv2.COLOR_RGB2GRAY))


class TurnedPicture:
    """A picture turned clockwise by quarters: what a camera saw that lies on its side or hangs upside down.

    Args:
        picture: as it is shown.
        quarters: 1 to 3.
    """

    def __init__(self, picture: Picture, quarters: int) -> None:
        self._picture, self._quarters = picture, quarters

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._turned(self._picture.size)

    def rgb(self, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """See `Picture.rgb`."""
        shown = self._picture.rgb(None if size is None else self._turned(size))
        return np.ascontiguousarray(np.rot90(shown, -self._quarters))

    def gray(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """See `Picture.gray`."""
        whole = slice(None)
        return np.ascontiguousarray(
            np.rot90(self._picture.gray(whole, whole), -self._quarters)[rows, columns]
        )

    def _turned(self, size: tuple[int, int]) -> tuple[int, int]:
        height, width = size
        return (width, height) if self._quarters % 2 else (height, width)


def turned(picture: Picture, quarters: int) -> Picture:
    """A picture turned clockwise by 0 to 3 quarters."""
    return TurnedPicture(picture, quarters) if quarters else picture

"""What is drawn beside a face: its label and its bars, which know their size and paint themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fer_batch.annotation.lettering import lettered
from fer_batch.annotation.rectangles import Corners, Size
from fer_batch.emotions import LABELS, Emotion

Colour: TypeAlias = tuple[int, int, int]
"""(R, G, B), 0–255."""

_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_LUMINANCE_BETWEEN = 0.179
"""A colour of this luminance has the same contrast with black as with white (WCAG 2)."""
_ROW_OF_TEXT = 1.3
"""Height of a bar's row, in its font's size."""
_BAR, _THICKNESS = 3, 0.5
"""Length and thickness of a whole bar, in the height of its row."""
_TRACK_OF_TEXT = 0.75
"""Font size of a track's number, in that of the rest of a label."""


@dataclass(frozen=True)
class Label:
    """A line of text on a ground of the face's colour: expression, probability and track."""

    expression: str
    probability: str
    """May be empty, as may the track: nothing is shown then."""
    track: str
    font: int
    """Size in pixels."""
    smallest_font: int
    """That can still be read."""
    colour: Colour

    @property
    def size(self) -> Size:
        """In pixels, with what is around the text."""
        texts = self._texts
        width = sum(text.shape[1] for text in texts) + (len(texts) - 1) * self._space + 2 * self._pad
        return width, texts[0].shape[0] + 2 * max(2, self.font // 6)

    @property
    def _pad(self) -> int:
        return max(3, self.font // 4)

    @property
    def _space(self) -> int:
        return round(0.35 * self.font)

    @property
    def _texts(self) -> list[NDArray[np.uint8]]:
        # Apart from each other they are all drawn before long: there are only so many probabilities.
        track_font = max(self.smallest_font, round(_TRACK_OF_TEXT * self.font))
        texts = (self.expression, self.font), (self.probability, self.font), (self.track, track_font)
        return [lettered(text, font) for text, font in texts if text]

    def draw(self, image: NDArray[np.uint8], rectangle: Corners) -> None:
        """Paint it over a rectangle of its size."""
        x0, y0, x1, y1 = rectangle
        image[y0:y1, x0:x1] = self.colour
        ink = _WHITE if _luminance(self.colour) < _LUMINANCE_BETWEEN else _BLACK
        texts = self._texts
        x, bottom = x0 + self._pad, y1 - (y1 - y0 - texts[0].shape[0]) // 2
        for text in texts:
            _write(image, text, (x, bottom - text.shape[0]), ink)
            x += text.shape[1] + self._space


@dataclass(frozen=True)
class Chart:
    """A bar for each of the seven expressions, on dark glass: what is behind it stays visible."""

    probabilities: Sequence[float]
    """Seven, 0–1, in the order of `Emotion`."""
    row: int
    """Height of each bar's row, in pixels."""
    colour: Colour
    """Of its outline: the face's."""
    darkness: int = 4
    """What is behind it is so many times darker."""

    @staticmethod
    def smallest_row(font: int) -> int:
        """Height of a row whose text has this size."""
        return round(_ROW_OF_TEXT * font)

    @property
    def size(self) -> Size:
        """In pixels."""
        height, width = _names(self._font, self.row).shape
        return width + self._length + 4 * self._pad, height + 2 * self._pad

    @property
    def _font(self) -> int:
        return int(self.row / _ROW_OF_TEXT)

    @property
    def _pad(self) -> int:
        return max(4, self.row // 5)

    @property
    def _length(self) -> int:
        return _BAR * self.row

    def draw(self, image: NDArray[np.uint8], rectangle: Corners) -> None:
        """Paint it over a rectangle of its size."""
        x0, y0, x1, y1 = rectangle
        glass = image[y0:y1, x0:x1]
        glass //= self.darkness
        outline(image, rectangle, self.colour, 1)
        _write(image, _names(self._font, self.row), (x0 + self._pad, y0 + self._pad), _WHITE)
        thickness, start = round(_THICKNESS * self.row), x1 - self._pad - self._length
        for emotion, probability in zip(Emotion, self.probabilities, strict=True):
            top = y0 + self._pad + emotion * self.row
            middle = top + (self.row - thickness) // 2
            rail = image[middle : middle + thickness, start : start + self._length]
            rail[:] = rail // 2 + 45
            rail[:, : round(self._length * probability)] = emotion.colour


@lru_cache(64)
def _names(font: int, row: int) -> NDArray[np.uint8]:
    """The seven names among each other, as a mask like that of `lettered`; not to be changed."""
    masks = [lettered(label, font) for label in LABELS]
    column = np.zeros((row * len(masks), max(mask.shape[1] for mask in masks)), np.uint8)
    for number, mask in enumerate(masks):
        top = number * row + (row - mask.shape[0]) // 2
        column[top : top + mask.shape[0], : mask.shape[1]] = mask
    column.flags.writeable = False
    return column


def outline(image: NDArray[np.uint8], rectangle: Corners, colour: Colour, line: int) -> None:
    """Draw a rectangle's edge, `line` pixels wide, inside of it."""
    x0, y0, x1, y1 = rectangle
    inner_x0, inner_y0, inner_x1, inner_y1 = (
        min(x0 + line, x1),
        min(y0 + line, y1),
        max(x1 - line, x0),
        max(y1 - line, y0),
    )
    image[y0:inner_y0, x0:x1] = image[inner_y1:y1, x0:x1] = colour
    image[y0:y1, x0:inner_x0] = image[y0:y1, inner_x1:x1] = colour


def _write(image: NDArray[np.uint8], text: NDArray[np.uint8], corner: tuple[int, int], ink: Colour) -> None:
    """Blend text into a picture, with its upper left corner there."""
    x, y = corner
    under = image[y : y + text.shape[0], x : x + text.shape[1]]
    # From 0 to 256: a shift is several times as fast as a division.
    share = (text.astype(np.uint16) + (text >> 7))[:, :, None]
    under[:] = (share * np.array(ink, np.uint16) + (256 - share) * under) >> 8


def _luminance(colour: Colour) -> float:
    """Relative luminance of an sRGB colour, 0–1 (WCAG 2)."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

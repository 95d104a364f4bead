"""What a person sees of a face's row: box, label and bars, drawn into the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.annotation.blur import Box
from fer_batch.emotions import Emotion

_FONT, _THIN_FONT = cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_SIMPLEX
_BLACK, _WHITE, _GRAY = (0, 0, 0), (255, 255, 255), (110, 110, 110)
_MIN_SIDE_FOR_BARS = 60
"""Height of a face, in pixels, below which seven bars cannot be told apart."""
_SMALLEST_LABEL, _SMALLEST_NUMBER = 0.5, 0.4
"""Sizes, in those of OpenCV's fonts, below which letters run together."""

_Corners: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1 in whole pixels."""


@dataclass(frozen=True)
class DrawnFace:
    """A face as it is shown."""

    box: Box
    emotion: Emotion | None
    """None where it is uncertain."""
    probabilities: Sequence[float]
    """Seven, 0–1, in the order of `Emotion`."""
    track: int | None = None
    """None in pictures, which have no tracks."""

    @property
    def label(self) -> str:
        """The expression with its probability."""
        if self.emotion is None:
            return "uncertain"
        return f"{self.emotion.label} {self.probabilities[self.emotion]:.0%}"

    @property
    def colour(self) -> tuple[int, int, int]:
        """(R, G, B), 0–255."""
        return _GRAY if self.emotion is None else self.emotion.colour

    @property
    def corners(self) -> _Corners:
        """The box in whole pixels."""
        x0, y0, x1, y1 = self.box
        return round(x0), round(y0), round(x1), round(y1)

    def enlarged(self, factor: int) -> DrawnFace:
        """The same face in a picture enlarged by a factor."""
        x0, y0, x1, y1 = (factor * value for value in self.box)
        return replace(self, box=(x0, y0, x1, y1))


def draw(image: NDArray[np.uint8], faces: Sequence[DrawnFace]) -> None:
    """Draw each face's box, track, expression and probability, and bars for all seven, in place.

    Args:
        image: uint8 [H, W, 3], RGB.
        faces: what to draw.
    """
    # Legible at every size: one pixel of line for every 400 of the shorter side.
    scale = max(min(image.shape[:2]) / 720, _SMALLEST_LABEL)
    taken = [face.corners for face in faces]
    for face in faces:
        _, y0, _, y1 = face.corners
        if y1 - y0 >= _MIN_SIDE_FOR_BARS:
            _draw_bars(image, face, taken, scale)
    # Boxes and labels come last: no chart may cover them.
    for face in faces:
        _draw_face(image, face, scale)


def _draw_face(image: NDArray[np.uint8], face: DrawnFace, scale: float) -> None:
    x0, y0, x1, y1 = face.corners
    line = max(1, round(2 * scale))
    cv2.rectangle(image, (x0, y0), (x1, y1), face.colour, line, cv2.LINE_AA)
    # In a group, a label wider than its face would cover the neighbour's.
    widest = cv2.getTextSize(face.label, _FONT, 1, 1)[0][0]
    scale = max(_SMALLEST_LABEL, min(scale, (x1 - x0) / widest))
    thin, pad = max(1, round(scale)), max(2, round(4 * scale))
    number = "" if face.track is None else f"#{face.track}"
    number_scale = max(_SMALLEST_NUMBER, scale / 2)
    (width, height), descent = cv2.getTextSize(face.label, _FONT, scale, thin)
    number_width = cv2.getTextSize(number, _THIN_FONT, number_scale, thin)[0][0]
    whole_width = width + (number_width + 2 * pad if number else 0) + 2 * pad
    whole_height = height + descent + 2 * pad
    top = y0 - whole_height if y0 >= whole_height else min(y1, image.shape[0] - whole_height)
    left = min(max(x0, 0), max(image.shape[1] - whole_width, 0))
    cv2.rectangle(image, (left, top), (left + whole_width, top + whole_height), face.colour, cv2.FILLED)
    ink = _WHITE if sum(face.colour) < 3 * 128 else _BLACK
    x, baseline = left + pad, top + pad + height
    cv2.putText(image, face.label, (x, baseline), _FONT, scale, ink, thin, cv2.LINE_AA)
    place = x + width + 2 * pad, baseline
    cv2.putText(image, number, place, _THIN_FONT, number_scale, ink, thin, cv2.LINE_AA)


def _meet(a: _Corners, b: _Corners) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_bars(image: NDArray[np.uint8], face: DrawnFace, taken: list[_Corners], scale: float) -> None:
    """A small chart beside the box, where it covers nothing that is taken and the picture does not end.

    Its place is taken from then on.
    """
    x0, y0, x1, y1 = face.corners
    row = min((y1 - y0) // len(Emotion), round(26 * scale))
    text_scale = row / 36
    thickness = max(1, round(1.5 * text_scale))
    text_width = max(
        cv2.getTextSize(emotion.label, _FONT, text_scale, thickness)[0][0] for emotion in Emotion
    )
    length, pad = round(3 * row), max(2, row // 5)
    width = text_width + length + 3 * pad
    bottom = y0 + row * len(Emotion)
    places = [(side, y0, side + width, bottom) for side in (x1 + pad, x0 - pad - width)]
    free = [
        place
        for place in places
        if place[0] >= 0 and place[2] <= image.shape[1] and not any(_meet(place, other) for other in taken)
    ]
    if not free:
        return
    taken.append(free[0])
    left = free[0][0]
    panel = image[max(y0, 0) : max(bottom, 0), left : left + width]
    panel[:] = panel // 3  # a dark glass: the background stays visible
    for emotion, probability in zip(Emotion, face.probabilities, strict=True):
        top = y0 + row * emotion
        baseline = (left + pad, top + row - pad)
        cv2.putText(image, emotion.label, baseline, _FONT, text_scale, _WHITE, thickness, cv2.LINE_AA)
        start = left + 2 * pad + text_width
        end = (start + round(length * probability), top + row - pad)
        cv2.rectangle(image, (start, top + pad), end, emotion.colour, cv2.FILLED)

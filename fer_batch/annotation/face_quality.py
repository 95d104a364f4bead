"""How well each face can be read, from its box, its landmarks and its crop.

Each part is a ramp. Where it begins and ends was chosen on FER2013's validation pictures, made worse step
by step: where the part is 1 the classifier loses next to nothing, near 0 it knows little
(`benchmarks/face_quality.py` prints accuracies). Of the pose, which FER2013 cannot show, looking down was
measured on heads turned in three dimensions (`benchmarks/head_pose.py`), the rest goes by geometry. Noise is
not measured: in 48 pixels it cannot be told from texture.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.detail import squared_differences
from fer_batch.inference.detector import Detections

Floats = NDArray[np.floating]
Complex = NDArray[np.complexfloating]

_SMALLEST = 0.25
"""Height of a face that cannot be read, as a share of the model's input; it is 1 from the input's size on."""
_DETAIL = (0.25, 0.40)
"""Of `_sharpness`: in a picture with no detail at all, and in one that is sharp enough."""
_CONTRAST = (2.0, 16.0)
"""Standard deviation of the gray levels."""
_BLACK, _WHITE = 2, 253
_CLIPPED = (1.0, 0.3)
"""Share of the pixels that are black or white."""
_OFFSET = (0.65, 0.15)
"""Of the nose from the middle between the eyes, in distances of the eyes: a profile's, and that of a head
turned by 15 to 20 degrees."""
_NOSE_HIGH = (0.2, 0.42)
"""Where the nose is between eyes (0) and mouth (1), in heads that look up; usual is 0.54."""
_PITCH_BY_EYES, _PITCH_BY_NOSE, _PITCH_OFFSET = 295.0, 80.0, -1.0
"""Of `head_pitch`: degrees for each size of the box that the eyes are below its centre, degrees for the whole
way of the nose from eyes to mouth, and degrees that are added."""
_PITCH = (45.0, 15.0)
"""Degrees that a head looks down: where nearly half of the faces are misread, four times as many as of level
ones, and where misreadings begin to be more."""
_ROLL = (75.0, 25.0)
"""Degrees that the line of the eyes is off the horizontal."""
_SCORE = (0.4, 0.8)
_TINY = 1e-3


@dataclass(frozen=True, eq=False)
class FaceQuality:
    """Parts of the quality of N faces, each float32 [N], 0–1, 1 good."""

    size: NDArray[np.float32]
    """1 where the face has the pixels that the model reads, 0 at a quarter of them."""
    sharpness: NDArray[np.float32]
    """1 in focus and at rest."""
    pose: NDArray[np.float32]
    """1 seen from the front, 0 from the side, above, below or upside down; NaN without landmarks."""
    light: NDArray[np.float32]
    """0 without contrast, or black or white all over."""
    detection: NDArray[np.float32]
    """1 where the detector is sure that it is a face; NaN without a score."""

    def __getitem__(self, faces: slice) -> FaceQuality:
        """The quality of some of the faces."""
        return FaceQuality(*(getattr(self, part.name)[faces] for part in fields(self)))

    @property
    def overall(self) -> NDArray[np.float32]:
        """The least of the parts that are known: float32 [N], 0–1.

        Not their product: what is small is also soft, and would count twice.
        """
        return np.fmin.reduce([self.size, self.sharpness, self.pose, self.light, self.detection])


def face_quality(faces: Detections, crops: NDArray[np.uint8], input_size: int) -> FaceQuality:
    """Measure the faces of a frame, or of several.

    Args:
        faces: N boxes and landmarks in pixels of their frame, and scores; NaN where unknown.
        crops: uint8 [N, S, S], gray, as the classifier gets them. Sharpness is calibrated for S = 48.
        input_size: side of what the model reads, in pixels.
    """
    heights = faces.boxes[:, 3] - faces.boxes[:, 1]
    size = _ramp(np.log(np.maximum(heights, _TINY) / input_size), np.log(_SMALLEST), 0.0)
    parts = (size, _sharpness(crops), _pose(faces), _light(crops), _ramp(faces.scores, *_SCORE))
    return FaceQuality(*(part.astype(np.float32) for part in parts))


def _ramp(values: Floats, zero: float, one: float) -> Floats:
    """From 0 at `zero` to 1 at `one`, which may be the lower; NaN stays."""
    return np.minimum(np.maximum((values - zero) / (one - zero), 0), 1)


def _sharpness(crops: NDArray[np.uint8]) -> Floats:
    """How fast pixels part with their distance, across or down, whichever is less: motion blurs one.

    Of the mean squared differences D of pixels, (D2 - D1) / (D4 - D2): neither noise nor contrast has a
    part in it.
    """
    one, two, four = squared_differences(crops).swapaxes(0, 1)
    detail = (two - one) / np.maximum(four - two, _TINY)
    return _ramp(detail.min(0), *_DETAIL)


def _light(crops: NDArray[np.uint8]) -> Floats:
    contrast = np.maximum(crops.std(axis=(1, 2)), _TINY)
    clipped = ((crops <= _BLACK) | (crops >= _WHITE)).mean(axis=(1, 2))
    return np.minimum(_ramp(np.log(contrast), *np.log(_CONTRAST)), _ramp(clipped, *_CLIPPED))


def head_pitch(boxes: NDArray[np.float32], landmarks: NDArray[np.float32]) -> Floats:
    """Estimate how far heads look down.

    The detector's landmarks hardly move when a head nods. Its box does: it gains crown and loses chin, and
    the eyes come closer to its centre. That, and where the nose is between eyes and mouth, is measured along
    the face's own axis and in sizes of the box, so that it holds for a head that is tilted, or lies.

    Args:
        boxes: float32 [N, 4], x0, y0, x1, y1 in pixels.
        landmarks: float32 [N, 5, 2], as `Detections` has them, in the same.

    Returns:
        Degrees, [N], negative for heads that look up; NaN where the landmarks are unknown. It is off by 14
        degrees (standard deviation, 1,348 photographs), more where the picture ends close to the face.
    """
    return _pitch(boxes, _levelled(landmarks))


def _pitch(boxes: NDArray[np.float32], level: _Levelled) -> Floats:
    width, height = np.maximum(boxes[:, 2:] - boxes[:, :2], _TINY).T
    centre = (boxes[:, 0] + boxes[:, 2] + 1j * (boxes[:, 1] + boxes[:, 3])) / 2
    # The square root of the area, unlike width and height, is hardly another for a box of a tilted head.
    eyes_below_centre = (
        ((level.middle - centre) * level.turn).imag * np.abs(level.eyes) / np.sqrt(width * height)
    )
    return _PITCH_BY_EYES * eyes_below_centre + _PITCH_BY_NOSE * level.depth + _PITCH_OFFSET


class _Levelled(NamedTuple):
    """Landmarks as complex numbers, which one product turns and scales.

    So that the eyes lie level, at -0.5 and 0.5, with the mouth below.
    """

    eyes: Complex
    """From the right to the left, in pixels."""
    middle: Complex
    """Between the eyes, in pixels."""
    turn: Complex
    """What a distance in pixels is multiplied by."""
    nose: Complex
    """From the middle, levelled."""
    depth: Floats
    """Of the nose between eyes (0) and mouth (1)."""


def _levelled(landmarks: NDArray[np.float32]) -> _Levelled:
    right_eye, left_eye, *others = (landmarks[..., 0] + 1j * landmarks[..., 1]).T
    eyes, middle = left_eye - right_eye, (right_eye + left_eye) / 2
    turn = eyes.conj() * np.maximum(np.abs(eyes), _TINY) ** -2.0  # dividing would warn of unknown points
    nose, *mouth = ((point - middle) * turn for point in others)
    depth = nose.imag / np.maximum(sum(corner.imag for corner in mouth) / 2, _TINY)
    return _Levelled(eyes, middle, turn, nose, depth)


def _pose(faces: Detections) -> Floats:
    level = _levelled(faces.landmarks)
    return np.minimum.reduce(
        [
            _ramp(np.abs(level.nose.real), *_OFFSET),
            _ramp(level.depth, *_NOSE_HIGH),
            _ramp(_pitch(faces.boxes, level), *_PITCH),
            _ramp(np.abs(np.angle(level.eyes, deg=True)), *_ROLL),
        ]
    )

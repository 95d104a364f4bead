"""A face at four times its size, where its parts are in space, and what is laid over it.

What is drawn is drawn at the fine size and averaged down, so that its edges are as soft as a camera's. A head
is a simple solid, turned to the side as its landmarks say: what is drawn on it is turned with it. How much of
its eyes and its mouth is covered is known exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Gray = NDArray[np.uint8]
Map = NDArray[np.float32]
"""[192, 192]: tones 0–255, or shares 0–1."""
Point = tuple[float, float] | tuple[float, float, float]
"""Along the eyes, down, and out of the face, from the middle between the eyes; 1 is their distance."""

SIDE = 48
FINE = 4
LARGE = SIDE * FINE
COVERED = (0.15, 0.5)
"""Share of an eye or of the mouth that is covered: below the first nothing is missing, from the second on
it is hidden."""
_NOSE = 0.45
"""How far the tip of the nose is in front of the eyes."""
_STEEPEST = 1.15
"""Radians that a head is believed to be turned by."""


@dataclass(frozen=True)
class Head:
    """Where the parts of a face are in the fine picture."""

    origin: NDArray[np.float64]
    """Between the eyes, x and y in fine pixels."""
    along: NDArray[np.float64]
    down: NDArray[np.float64]
    unit: float
    """Distance of the eyes, seen from the front, in fine pixels."""
    yaw: float
    """Radians; positive where the nose points to the right of the picture."""
    mouth: tuple[float, float]
    """Its middle, along and down, as it is seen."""

    def at(self, x: float, y: float, z: float | None = None) -> tuple[int, int]:
        """The fine pixel of a point; without a depth, of one on the front of the face."""
        depth = -0.45 * min(x * x, 1.4) if z is None else z
        seen = x * np.cos(self.yaw) + depth * np.sin(self.yaw)
        return self.flat(float(seen), y)

    def flat(self, x: float, y: float) -> tuple[int, int]:
        """The fine pixel of a point that does not turn with the head."""
        point = self.origin + self.unit * (x * self.along + y * self.down)
        return round(float(point[0])), round(float(point[1]))

    def outline(self, points: Sequence[Point] | NDArray[np.float64]) -> NDArray[np.int32]:
        """Points as OpenCV takes them."""
        return np.array([self.at(*point) for point in points], np.int32)

    def length(self, units: float) -> int:
        """Fine pixels of a length, at least one."""
        return max(1, round(units * self.unit))

    @property
    def roll(self) -> float:
        """Degrees."""
        return float(np.degrees(np.arctan2(self.along[1], self.along[0])))


def head_of(landmarks: NDArray[np.float32]) -> Head:
    """The head that landmarks, [5, 2] in pixels of the 48-pixel picture, belong to."""
    points = (landmarks.astype(np.float64) + 0.5) * FINE
    right, left, nose = points[:3]
    origin, lips = (right + left) / 2, points[3:].mean(0)
    eyes = max(float(np.hypot(*(left - right))), 8.0)
    along = (left - right) / eyes
    down = np.array([-along[1], along[0]])
    yaw = float(np.arctan2((nose - origin) @ along / _NOSE, eyes).clip(-_STEEPEST, _STEEPEST))
    unit = min(max(eyes / np.cos(yaw), 0.8 * float(np.hypot(*(lips - origin)))), LARGE / 2)
    mouth = (lips - origin) / unit
    return Head(origin, along, down, unit, yaw, (float(mouth @ along), float(mouth @ down)))


class Scene:
    """A picture of a face that things are laid over.

    Args:
        picture: uint8 [48, 48].
        landmarks: [5, 2], x, y in pixels, in the order of `storage.LANDMARKS`.
        other: another picture, uint8 [48, 48], that things may be cut out of.
        rng: of all that is random.
    """

    def __init__(self, picture: Gray, landmarks: NDArray[np.float32], other: Gray, rng: Rng) -> None:
        self.picture, self.landmarks, self.other, self.rng = picture, landmarks, other, rng
        self.head = head_of(landmarks)
        self.image: Map = fine(picture)
        self.cover: Map = np.zeros((LARGE, LARGE), np.float32)
        """How much of the face can no longer be seen, 0–1."""
        self._touched: Map = np.zeros((LARGE, LARGE), np.float32)

    def lay(self, mask: Gray, tone: Map | float, opacity: float = 1.0, edge: float | None = None) -> None:
        """Lay something over the picture: a mask, 0–255, in a tone, with soft edges."""
        blur = self.rng.uniform(0.8, 2.5) if edge is None else edge
        where = around(mask, blur)
        alpha = soft(mask[where], blur) * np.float32(opacity)
        wanted = tone[where] if isinstance(tone, np.ndarray) else np.float32(tone)
        self.image[where] += alpha * (wanted - self.image[where])
        for share in (self.cover, self._touched):
            share[where] = np.maximum(share[where], alpha)

    def shade(self, mask: Map, factor: Map | float) -> None:
        """Darken or lighten where a mask, 0–1, is: a shadow, a tint; it hides nothing."""
        self.image *= 1 + mask * (np.float32(factor) - 1)
        np.maximum(self._touched, mask, out=self._touched)

    def glow(self, light: Map) -> None:
        """Add light, 0–255: a reflection; it hides nothing."""
        self.image += light
        self._touched = np.maximum(self._touched, light / 50)

    def hide(self, mask: Map) -> None:
        """Count what a mask, 0–1, covers as hidden, whatever was drawn there."""
        self.cover = np.maximum(self.cover, mask)

    def finished(self) -> Gray:
        """The picture, uint8 [48, 48]."""
        small = cv2.resize(self.image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        share = cv2.resize(self._touched, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        # Where nothing lies the picture stays as it is: going to the fine size and back would blur it.
        return np.where(share > 0.01, small, self.picture).round().clip(0, 255).astype(np.uint8)

    def hidden(self) -> tuple[float, float]:
        """How hidden the eyes, by the worse of the two, and the mouth are, 0–1."""
        low, high = COVERED
        shares = [float(self.cover[part].mean()) if part.any() else 0.0 for part in parts(self)]
        right, left, mouth = (min(max((share - low) / (high - low), 0.0), 1.0) for share in shares)
        return max(right, left), mouth

    def skin(self) -> float:
        """The tone of the cheeks."""
        tones = []
        for x in (-0.3, 0.3):
            column, row = self.head.flat(x, 0.6)
            patch = self.image[max(0, row - 8) : row + 9, max(0, column - 8) : column + 9]
            if patch.size:
                tones.append(float(np.median(patch)))
        return float(np.mean(tones)) if tones else 128.0


def parts(scene: Scene) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Where both eyes and the mouth are: masks at the fine size."""
    head, points = scene.head, (scene.landmarks + 0.5) * FINE
    narrow = max(float(np.cos(head.yaw)), 0.4)
    masks = []
    for eye in points[:2]:
        mask = empty()
        axes = (head.length(0.28 * narrow), head.length(0.15))
        cv2.ellipse(mask, _pixel(eye), axes, head.roll, 0, 360, 1, cv2.FILLED)
        masks.append(mask > 0)
    half = float(np.hypot(*(points[4] - points[3]))) / 2
    mask, axes = empty(), (max(head.length(0.3 * narrow), round(half)), head.length(0.2))
    cv2.ellipse(mask, _pixel(points[3:].mean(0)), axes, head.roll, 0, 360, 1, cv2.FILLED)
    return masks[0], masks[1], mask > 0


def _pixel(point: NDArray[np.float32]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def fine(picture: Gray) -> Map:
    """A picture at the fine size."""
    return cv2.resize(picture, (LARGE, LARGE), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def empty() -> Gray:
    """A mask of nothing."""
    return np.zeros((LARGE, LARGE), np.uint8)


def filled(outline: NDArray[np.int32]) -> Gray:
    """A mask of the inside of an outline."""
    return np.asarray(cv2.fillPoly(empty(), [outline], 255, cv2.LINE_AA), np.uint8)


def around(mask: Gray, edge: float) -> tuple[slice, slice]:
    """Rows and columns that a mask reaches once its edges are blurred: most things are small."""
    left, top, width, height = cv2.boundingRect(mask)
    far = int(4 * edge) + 2
    return (
        slice(max(0, top - far), top + height + far),
        slice(max(0, left - far), left + width + far),
    )


def soft(mask: Gray, edge: float) -> Map:
    """A mask, 0–255, as shares, its edges blurred by so many fine pixels."""
    return cv2.GaussianBlur(mask, (0, 0), edge).astype(np.float32) / np.float32(255)


def ramp(rng: Rng, angle: float | None = None) -> Map:
    """Rises from about -0.5 to 0.5 across the picture."""
    turn = rng.uniform(0, 2 * np.pi) if angle is None else angle
    step = np.linspace(-0.5, 0.5, LARGE, dtype=np.float32)
    return (step[None] * np.cos(turn) + step[:, None] * np.sin(turn)).astype(np.float32)


def rough(rng: Rng, grain: int) -> Map:
    """Smooth noise of mean 0 and deviation 1; a grain is so many fine pixels wide."""
    count = max(2, LARGE // grain)
    noise = rng.standard_normal((count, count)).astype(np.float32)
    return cv2.resize(noise, (LARGE, LARGE), interpolation=cv2.INTER_CUBIC)


def surface(rng: Rng, tone: float | None = None) -> Map:
    """A tone that is plain, shaded, striped, checked or rough."""
    base = rng.choice([rng.uniform(0, 60), rng.uniform(0, 255)]) if tone is None else tone
    across = ramp(rng)
    result = np.float32(base) + np.float32(rng.uniform(0, 90)) * across
    kind = rng.choice(4, p=[0.5, 0.12, 0.1, 0.28])
    if kind == 1:
        result += np.float32(rng.uniform(5, 60)) * np.sign(np.sin(across * np.float32(rng.uniform(20, 90))))
    elif kind == 2:
        rate = np.float32(rng.uniform(20, 70))
        result += np.float32(rng.uniform(5, 40)) * np.sign(np.sin(across * rate) * np.sin(ramp(rng) * rate))
    elif kind == 3:
        result += np.float32(rng.uniform(4, 30)) * rough(rng, int(rng.integers(3, 30)))
    return result.clip(0, 255).astype(np.float32)

"""Hands at the face: fingers over the mouth, fists, palms over an eye, heads in hands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from making.scene import Gray, Map, Rng, Scene, around, empty, ramp, rough, soft

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class _Hand:
    """A hand in the plane of the picture; lengths in distances of the eyes."""

    root: Vector
    """Where the fingers begin: the middle of the knuckles."""
    direction: float
    """That the fingers point in: radians, 0 along the eyes, turning downwards."""
    size: float
    """Of the whole hand: 1 is as wide as the eyes are apart."""
    fingers: int
    bend: float
    """Radians that each finger turns by from joint to joint."""
    fan: float
    """Radians between neighbouring fingers."""
    curled: float
    """Share of their length that is seen: little of a fist."""


def _unit(angle: float) -> Vector:
    return np.array([np.cos(angle), np.sin(angle)])


class _Painter:
    """Paints the parts of a hand in the tone of the face's skin, lit from one side."""

    def __init__(self, scene: Scene) -> None:
        rng = scene.rng
        self.scene = scene
        tone = scene.skin() * rng.uniform(0.72, 1.3) + rng.uniform(-12, 12)
        self.tone: Map = np.float32(tone) * (1 + np.float32(rng.uniform(0, 0.5)) * ramp(rng))
        self.tone += np.float32(rng.uniform(0, 6)) * rough(rng, int(rng.integers(3, 14)))
        self.gloom = rng.uniform(0.35, 0.75)
        self.light = _unit(rng.uniform(0, 2 * np.pi))

    def limb(self, points: list[Vector], widths: list[float]) -> None:
        """A finger or an arm along points, as wide as said at each, darker at its edges."""
        head = self.scene.head
        one = empty()
        for index in range(len(points) - 1):
            steps = 6
            for step in range(steps + 1):
                share = step / steps
                place = points[index] * (1 - share) + points[index + 1] * share
                radius = head.length((widths[index] * (1 - share) + widths[index + 1] * share) / 2)
                cv2.circle(one, head.flat(*place), radius, 255, cv2.FILLED, cv2.LINE_AA)
        self._model(one, head.length(max(widths) / 2))

    def blob(self, centre: Vector, axes: tuple[float, float], angle: float) -> None:
        """A palm or the back of a hand."""
        head, one = self.scene.head, empty()
        size = (head.length(axes[0]), head.length(axes[1]))
        cv2.ellipse(one, head.flat(*centre), size, float(np.degrees(angle)) + head.roll, 0, 360, 255, -1)
        self._model(one, min(size))

    def _model(self, one: Gray, radius: int) -> None:
        where = around(one, max(1.5, radius * 0.35))
        part = one[where]
        if not part.size:
            return
        depth = cv2.distanceTransform(part, cv2.DIST_L2, 3)
        height = (depth / max(2.0, radius)).clip(0, 1)
        bulge = np.sqrt(1 - (1 - height) ** 2).astype(np.float32)
        slope = cv2.Sobel(bulge, cv2.CV_32F, 1, 0) * self.light[0]
        slope += cv2.Sobel(bulge, cv2.CV_32F, 0, 1) * self.light[1]
        factor = self.gloom + (1 - self.gloom) * bulge + slope * (radius * 0.06)
        shadow = soft(part, max(1.5, radius * 0.35)) * np.float32(0.3)  # on what is behind it
        scene = self.scene
        scene.image[where] *= 1 - shadow * (scene.cover[where] < 0.5)
        tone = np.zeros_like(scene.image)
        tone[where] = (self.tone[where] * factor.clip(0.2, 1.25)).clip(0, 255)
        scene.lay(one, tone, 1.0, edge=1.2)


def _draw(scene: Scene, hand: _Hand) -> None:
    rng, painter = scene.rng, _Painter(scene)
    size, across = hand.size, _unit(hand.direction + np.pi / 2)
    pointing = _unit(hand.direction)
    thickness = size * 0.25
    palm = hand.root - pointing * size * 0.5
    wrist = hand.root - pointing * size * 1.2 + across * rng.normal(0, 0.1)
    elbow = wrist + _unit(hand.direction + np.pi + rng.normal(0, 0.25)) * 3
    painter.limb([elbow, wrist], [size * 0.95, size * 0.62])
    painter.blob(palm, (size * 0.62, size * 0.5), hand.direction)
    lengths = np.array([0.85, 1.0, 0.95, 0.72])[: hand.fingers] * size * 1.05 * hand.curled
    order = range(hand.fingers) if rng.random() < 0.5 else range(hand.fingers - 1, -1, -1)
    for finger in order:
        offset = finger - (hand.fingers - 1) / 2
        angle = hand.direction + hand.fan * offset + rng.normal(0, 0.05)
        point = hand.root + across * offset * thickness * 1.02 - pointing * 0.1
        points = [point]
        for share in (0.45, 0.32, 0.23):
            point = point + _unit(angle) * lengths[finger] * share
            points.append(point)
            angle += hand.bend
        painter.limb(points, [thickness, thickness * 0.95, thickness * 0.88, thickness * 0.72])
        _nail(scene, points, thickness, rng)
    if rng.random() < 0.4:
        side = float(rng.choice([-1, 1]))
        start = palm + across * side * size * 0.4
        angle = hand.direction + side * rng.uniform(0.3, 1.2)
        middle = start + _unit(angle) * size * 0.45
        painter.limb([start, middle, middle + _unit(angle - side * 0.3) * size * 0.4], [0.32 * size] * 3)


def _nail(scene: Scene, points: list[Vector], thickness: float, rng: Rng) -> None:
    if rng.random() < 0.5:
        return
    head, mask = scene.head, empty()
    tip, before = points[-1], points[-2]
    angle = float(np.degrees(np.arctan2(*(tip - before)[::-1]))) + head.roll
    axes = (head.length(thickness * 0.35), head.length(thickness * 0.25))
    cv2.ellipse(mask, head.flat(*tip), axes, angle, 0, 360, 255, cv2.FILLED)
    scene.lay(mask, float(scene.skin() * rng.uniform(0.6, 1.6)), rng.uniform(0.2, 0.7), edge=1.0)


def _from_below(rng: Rng) -> float:
    return -np.pi / 2 + rng.normal(0, 0.5)


def _sideways(rng: Rng) -> float:
    side = rng.choice([0.0, np.pi])
    return float(side + rng.normal(0, 0.35))


def over_mouth(scene: Scene) -> None:
    """Fingers or a palm over the mouth, from the side or from below."""
    rng, (x, y) = scene.rng, scene.head.mouth
    direction = _sideways(rng) if rng.random() < 0.5 else _from_below(rng)
    size = rng.uniform(0.75, 1.25)
    centre = np.array([x, y]) + rng.normal(0, 0.13, 2)
    root = centre - _unit(direction) * size * rng.uniform(-0.15, 0.6)
    fingers = int(rng.choice([1, 2, 3, 4], p=[0.1, 0.15, 0.2, 0.55]))
    _draw(scene, _Hand(root, direction, size, fingers, rng.normal(0, 0.2), rng.uniform(0, 0.18), 1.0))


def fist(scene: Scene) -> None:
    """A fist before the mouth, as of those who cough or think."""
    rng, (x, y) = scene.rng, scene.head.mouth
    direction = _from_below(rng) + rng.normal(0, 0.4)
    root = np.array([x, y]) + rng.normal(0, 0.15, 2) + [0, rng.uniform(-0.1, 0.3)]
    curled = rng.uniform(0.25, 0.5)
    size = rng.uniform(0.8, 1.3)
    _draw(scene, _Hand(root, direction, size, 4, rng.normal(0.4, 0.3), rng.normal(0, 0.05), curled))


def over_eyes(scene: Scene) -> None:
    """A palm or fingers over one eye or both, from below, from the side or from above."""
    rng = scene.rng
    side = float(rng.choice([-0.5, 0.5, 0.0], p=[0.4, 0.4, 0.2]))
    choices: list[Callable[[Rng], float]] = [_from_below, _sideways, lambda r: np.pi / 2 + r.normal(0, 0.5)]
    direction = choices[int(rng.choice(3, p=[0.55, 0.25, 0.2]))](rng)
    size = rng.uniform(0.85, 1.35)
    root = np.array([side, 0.0]) + rng.normal(0, 0.12, 2) - _unit(direction) * size * rng.uniform(-0.2, 0.6)
    fingers = int(rng.integers(2, 5))
    _draw(scene, _Hand(root, direction, size, fingers, rng.normal(0, 0.15), rng.uniform(0, 0.25), 1.0))


def over_face(scene: Scene) -> None:
    """Both hands over the face."""
    rng = scene.rng
    for side in (-1, 1):
        size = rng.uniform(0.9, 1.3)
        root = np.array([side * rng.uniform(0.3, 0.6), rng.uniform(0.1, 0.9)])
        direction = -np.pi / 2 - side * rng.uniform(-0.1, 0.5)
        _draw(scene, _Hand(root, direction, size, 4, rng.normal(0, 0.1), rng.uniform(0, 0.12), 1.0))


def beside(scene: Scene) -> None:
    """A hand at the chin, the cheek, the temple or the forehead, which leaves eyes and mouth free."""
    rng = scene.rng
    side = float(rng.choice([-1, 1]))
    mouth = scene.head.mouth[1]
    places = [
        (side * 0.1, mouth + 0.75, _from_below(rng) if rng.random() < 0.3 else _sideways(rng)),
        (side * 1.0, 0.65 * mouth, _from_below(rng) - side * 0.1),
        (side * 1.1, 0.0, _from_below(rng) - side * 0.4),
        (side * 0.4, -0.85, np.pi / 2 - side * 0.9 + rng.normal(0, 0.4)),
    ]
    x, y, direction = places[int(rng.integers(4))]
    size = rng.uniform(0.75, 1.15)
    root = np.array([x, y]) + rng.normal(0, 0.1, 2) - _unit(direction) * size * 0.4
    curled = 1.0 if rng.random() < 0.6 else 0.4
    _draw(scene, _Hand(root, direction, size, int(rng.integers(1, 5)), rng.normal(0, 0.2), 0.08, curled))

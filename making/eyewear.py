"""Sunglasses, which hide the eyes, and spectacles, which do not: of many shapes, turned as the head is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from making.scene import LARGE, Gray, Head, Map, Rng, Scene, empty, filled, fine, ramp, rough, soft

_SEEN_THROUGH = (0.42, 0.62)
"""Share of light that a lens lets through: below the first the eye behind it is hidden, from the second on it
is seen."""
_GLARE = 55.0
"""Reflected light, 0–255, in which an eye is no longer seen."""


@dataclass(frozen=True)
class _Shape:
    """The lenses and the frame of a pair of glasses; lengths in distances of the eyes."""

    width: float
    height: float
    power: float
    """2 is an ellipse; more is more of a rectangle."""
    drop: float
    """How far below the eyes the lenses are."""
    taper: float
    """How much lower they are at the outside than at the nose; below 0 in the eyes of cats."""
    lean: float
    """How much narrower they are at the bottom."""
    one: bool
    """A single shield over both eyes."""
    thick: float
    """Of the rim."""
    rim: str
    """`full`, `top` or `none`."""


def _shape(rng: Rng) -> _Shape:
    slim = rng.random() < 0.45
    return _Shape(
        width=rng.uniform(0.34, 0.49),
        height=rng.uniform(0.13, 0.25) if slim else rng.uniform(0.22, 0.42),
        power=rng.uniform(1.9, 5.5),
        drop=rng.uniform(-0.06, 0.09) if slim else rng.uniform(-0.02, 0.14),
        taper=rng.normal(0, 0.06),
        lean=rng.uniform(-0.05, 0.3),
        one=rng.random() < 0.12,
        thick=rng.uniform(0.015, 0.05) if rng.random() < 0.6 else rng.uniform(0.05, 0.12),
        rim=str(rng.choice(["full", "top", "none"], p=[0.6, 0.2, 0.2])),
    )


def _lens(shape: _Shape, side: float) -> NDArray[np.float64]:
    """The outline of a lens, [60, 2]; side is -0.5 or 0.5, or 0 for a shield."""
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    width = shape.width + 0.5 if shape.one else shape.width
    x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / shape.power) * width
    y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / shape.power) * shape.height
    x = x * (1 - shape.lean * (y > 0) * y / shape.height)
    outward = np.abs(x) / width if shape.one else x * np.sign(side) / width
    return np.stack([x + (0 if shape.one else side), y + shape.drop + shape.taper * outward], 1)


def _lenses(shape: _Shape, head: Head) -> list[NDArray[np.int32]]:
    return [head.outline(_lens(shape, side)) for side in ((0.0,) if shape.one else (-0.5, 0.5))]


def _frame_mask(shape: _Shape, lenses: list[NDArray[np.int32]], scene: Scene) -> Gray:
    """Rims, bridge and arms."""
    head, rng, mask = scene.head, scene.rng, empty()
    thick = head.length(shape.thick)
    for lens in lenses:
        if shape.rim == "full":
            cv2.polylines(mask, [lens], isClosed=True, color=255, thickness=thick, lineType=cv2.LINE_AA)
        elif shape.rim == "top":
            cv2.polylines(mask, [lens[30:]], isClosed=False, color=255, thickness=thick, lineType=cv2.LINE_AA)
    level = shape.drop - rng.uniform(0.0, 0.7) * shape.height
    inner = 0.5 - shape.width
    if not shape.one:
        bow = level - rng.uniform(-0.02, 0.06)
        bridge = head.outline([(-inner - 0.03, level), (0, bow, 0.05), (inner + 0.03, level)])
        cv2.polylines(mask, [bridge], isClosed=False, color=255, thickness=thick, lineType=cv2.LINE_AA)
        if rng.random() < 0.2:  # a second bar, as aviators have
            lower = head.outline([(-0.25, level - 0.12), (0, level - 0.14, 0.05), (0.25, level - 0.12)])
            cv2.polylines(mask, [lower], isClosed=False, color=255, thickness=max(1, thick // 2))
    arm = max(head.length(rng.uniform(0.02, 0.1)), 1)
    hinge, lift = 0.5 + shape.width, rng.uniform(-0.1, 0.08)
    for side in (-1, 1):
        # The far arm is behind the head.
        if side * head.yaw > 0.25:
            continue
        points: list[tuple[float, float, float]] = [
            (side * hinge * 0.97, level, -0.45 * hinge**2),
            (side * 1.12, level + lift * 0.4, -0.75),
            (side * 1.15, level + lift, -1.9),
        ]
        line = head.outline(points)
        cv2.polylines(mask, [line], isClosed=False, color=255, thickness=arm, lineType=cv2.LINE_AA)
    return mask


def _reflection(scene: Scene, strength: float) -> Map:
    """What a lens mirrors, 0–255: sky, a window, a lamp, the land, another picture."""
    rng, head = scene.rng, scene.head
    kind = rng.choice(5, p=[0.3, 0.25, 0.15, 0.15, 0.15])
    row = (np.arange(LARGE, dtype=np.float32)[:, None] - np.float32(head.at(0, 0)[1])) / np.float32(head.unit)
    light = np.zeros((LARGE, LARGE), np.float32)
    if kind == 0:  # sky above or ground below, to a horizon across the lens
        edge, sharp = rng.uniform(-0.12, 0.22), rng.uniform(4, 50)
        sign = rng.choice([-1, 1])
        light += 1 / (1 + np.exp((sign * (row - edge) * sharp).clip(-30, 30)))
        light *= 1 + np.float32(rng.uniform(0, 0.35)) * rough(rng, int(rng.integers(6, 24)))
    elif kind == 1:  # a streak
        middle, wide = rng.uniform(-0.1, 0.2), rng.uniform(0.02, 0.08)
        tilt = ramp(rng, 0.0) * np.float32(rng.uniform(-0.5, 0.5))
        light += np.exp(-(((row - middle + tilt) / wide) ** 2))
        light *= (1 + np.float32(0.6) * rough(rng, 16)).clip(0, 2)
    elif kind == 2:  # lamps and windows
        for side in (-0.5, 0.5):
            x, y = side + rng.normal(0, 0.15), rng.normal(0.03, 0.08)
            size = (head.length(rng.uniform(0.05, 0.3)), head.length(rng.uniform(0.04, 0.2)))
            corners = cv2.boxPoints((head.at(x, y), size, head.roll + rng.normal(0, 20)))
            light += soft(filled(corners.astype(np.int32)), rng.uniform(1, 5))
    elif kind == 3:  # another picture, small
        side = int(rng.integers(60, 150))
        picture = cv2.resize(fine(scene.other), (side, side), interpolation=cv2.INTER_AREA)
        light += np.tile(picture, (4, 4))[:LARGE, :LARGE] / 255
    else:
        light += (rough(rng, int(rng.integers(8, 40))) * 0.5 + 0.3).clip(0, 1)
    return (light * strength).clip(0, 255).astype(np.float32)


def _skin_shadow(scene: Scene, lenses: list[NDArray[np.int32]]) -> None:
    """The shadow that glasses throw on the cheeks."""
    down = np.array([0, scene.head.length(scene.rng.uniform(0.03, 0.12))])
    shadow = np.maximum.reduce([filled(lens + down.astype(np.int32)) for lens in lenses])
    scene.shade(soft(shadow, scene.rng.uniform(2, 6)), scene.rng.uniform(0.6, 0.95))


def sunglasses(scene: Scene) -> None:
    """From black to half transparent, with gradients and reflections."""
    rng = scene.rng
    shape = _shape(rng)
    lenses = _lenses(shape, scene.head)
    _skin_shadow(scene, lenses)
    glass = np.maximum.reduce([filled(lens) for lens in lenses])
    inside = soft(glass, rng.uniform(0.8, 2))
    top = rng.choice([rng.uniform(0, 0.15), rng.uniform(0.1, 0.42)])
    bottom = top if rng.random() < 0.5 else rng.uniform(top, min(top + 0.35, 0.6))
    row = (np.arange(LARGE, dtype=np.float32)[:, None] - np.float32(scene.head.at(0, shape.drop)[1])) / (
        np.float32(scene.head.unit * shape.height * 2)
    )
    through = (top + (bottom - top) * (row + 0.5)).clip(0, 1) * np.ones((1, LARGE), np.float32)
    strength = 0.0 if rng.random() < 0.3 else rng.choice([rng.uniform(5, 70), rng.uniform(50, 210)])
    mirrored = _reflection(scene, float(strength)) * inside
    haze = rng.uniform(0, 40)  # a coating: what a lens is where nothing is behind it
    hidden = _unseen(through)
    # Tint is light lost, not a dark paint: but less of it in a dim picture.
    scene.lay(glass, haze, 1.0 - top, edge=1.0) if rng.random() < 0.4 else scene.shade(inside, through)
    scene.glow(mirrored)
    scene.hide(inside * np.maximum(hidden, (mirrored / np.float32(_GLARE)).clip(0, 1)))
    _lay_frame(scene, shape, lenses)


def _unseen(through: Map) -> Map:
    low, high = _SEEN_THROUGH
    return ((high - through) / (high - low)).clip(0, 1)


def _lay_frame(scene: Scene, shape: _Shape, lenses: list[NDArray[np.int32]]) -> None:
    rng = scene.rng
    dark = rng.random() < 0.65
    tone = rng.uniform(0, 60) if dark else rng.uniform(60, 240)
    before = scene.cover.copy()
    metal = np.float32(tone) + np.float32(rng.uniform(0, 50)) * rough(rng, 12)
    scene.lay(_frame_mask(shape, lenses, scene), metal.clip(0, 255), rng.uniform(0.6, 1))
    if shape.thick < 0.08:
        scene.cover = before  # a thin rim hides nothing


def spectacles(scene: Scene) -> None:
    """Glasses through which the eyes are seen, with and without reflections beside them."""
    rng = scene.rng
    shape = _shape(rng)
    lenses = _lenses(shape, scene.head)
    if rng.random() < 0.5:
        _skin_shadow(scene, lenses)
    inside = soft(np.maximum.reduce([filled(lens) for lens in lenses]), rng.uniform(0.8, 2))
    scene.shade(inside, rng.uniform(0.68, 1.0))
    if rng.random() < 0.5:
        light = _reflection(scene, rng.uniform(10, 150)) * inside
        scene.glow(light)
        scene.hide((light / np.float32(_GLARE) - 0.3).clip(0, 1))
    _lay_frame(scene, shape, lenses)

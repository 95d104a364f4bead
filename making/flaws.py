"""Pictures spoilt on purpose: things in front of faces, watermarks, and what is no face at all.

What is drawn is drawn at four times the size and averaged down, so that its edges are as soft as a
camera's. Where it lies follows from the face's landmarks, and how much of eyes and mouth it covers is
known exactly.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Gray = NDArray[np.uint8]

SIDE = 48
_FINE = 4
_LARGE = SIDE * _FINE
_COVERED = (0.15, 0.5)
"""Share of an eye or of the mouth that is covered: below the first nothing is missing, from the second on
the face is occluded."""


@dataclass(frozen=True)
class _Layer:
    """Something to lay over a picture, at the fine size."""

    alpha: NDArray[np.float32]
    """[192, 192], 0–1."""
    tone: NDArray[np.float32]
    """[192, 192], 0–255."""


@dataclass(frozen=True)
class _Frame:
    """Coordinates of a face: unit the distance of the eyes, origin between them, x along them, y down."""

    middle: NDArray[np.float64]
    along: NDArray[np.float64]
    down: NDArray[np.float64]
    eyes: float

    def at(self, x: float, y: float) -> tuple[int, int]:
        """The pixel of a point in the fine picture."""
        point = self.middle + self.eyes * (x * self.along + y * self.down)
        return round(float(point[0])), round(float(point[1]))

    def length(self, units: float) -> int:
        """Pixels of a length, at least one."""
        return max(1, round(units * self.eyes))

    @property
    def roll(self) -> float:
        """Degrees."""
        return float(np.degrees(np.arctan2(self.along[1], self.along[0])))


def _frame(landmarks: NDArray[np.float32]) -> _Frame:
    right, left = (landmarks[:2].astype(np.float64) + 0.5) * _FINE
    eyes = float(np.hypot(*(left - right)))
    along = (left - right) / max(eyes, 1e-6)
    return _Frame((right + left) / 2, along, np.array([-along[1], along[0]]), eyes)


def _parts(landmarks: NDArray[np.float32]) -> list[NDArray[np.bool_]]:
    """Where the eyes and the mouth are: three masks at the fine size."""
    frame = _frame(landmarks)
    masks = []
    points = (landmarks + 0.5) * _FINE
    for eye in points[:2]:
        mask = np.zeros((_LARGE, _LARGE), np.uint8)
        cv2.ellipse(
            mask, _pixel(eye), (frame.length(0.3), frame.length(0.18)), frame.roll, 0, 360, 1, cv2.FILLED
        )
        masks.append(mask > 0)
    mask = np.zeros((_LARGE, _LARGE), np.uint8)
    half = float(np.hypot(*(points[4] - points[3]))) / 2
    axes = (max(frame.length(0.35), round(half)), frame.length(0.22))
    cv2.ellipse(mask, _pixel(points[3:].mean(0)), axes, frame.roll, 0, 360, 1, cv2.FILLED)
    masks.append(mask > 0)
    return masks


def _pixel(point: NDArray[np.float32]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def occlusion(alpha: NDArray[np.float32], landmarks: NDArray[np.float32]) -> float:
    """How occluded a face is by a layer of this opacity, 0–1: by the worst covered of eyes and mouth."""
    covers = [float(alpha[mask].mean()) if mask.any() else 0.0 for mask in _parts(landmarks)]
    low, high = _COVERED
    return float(np.clip((max(covers) - low) / (high - low), 0, 1))


def _texture(rng: Rng, tone: float | None = None) -> NDArray[np.float32]:
    """A surface: plain, shaded, striped, checked or rough."""
    base = rng.choice([rng.uniform(0, 60), rng.uniform(0, 255)]) if tone is None else tone
    y, x = np.mgrid[0:_LARGE, 0:_LARGE].astype(np.float32) / _LARGE
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    surface = base + rng.uniform(0, 70) * ramp
    kind = rng.choice(4, p=[0.5, 0.15, 0.1, 0.25])
    if kind == 1:
        surface += rng.uniform(5, 60) * np.sign(np.sin(ramp * rng.uniform(20, 90)))
    elif kind == 2:
        other = (x - 0.5) * np.sin(angle) - (y - 0.5) * np.cos(angle)
        rate = rng.uniform(20, 70)
        surface += rng.uniform(5, 40) * np.sign(np.sin(ramp * rate)) * np.sign(np.sin(other * rate))
    elif kind == 3:
        rough = rng.normal(0, 1, (_LARGE // 4, _LARGE // 4)).astype(np.float32)
        surface += rng.uniform(5, 35) * cv2.resize(rough, (_LARGE, _LARGE), interpolation=cv2.INTER_CUBIC)
    return surface.clip(0, 255).astype(np.float32)


def _mask() -> Gray:
    return np.zeros((_LARGE, _LARGE), np.uint8)


def _layer(mask: Gray, tone: NDArray[np.float32], opacity: float = 1.0) -> _Layer:
    return _Layer(mask.astype(np.float32) * (opacity / 255), tone)


def _skin(picture: Gray, frame: _Frame, rng: Rng) -> float:
    x, y = frame.at(0, 0.55)
    patch = picture[max(0, y // _FINE - 4) : y // _FINE + 5, max(0, x // _FINE - 4) : x // _FINE + 5]
    return float((np.median(patch) if patch.size else 128) * rng.uniform(0.75, 1.2))


def _sunglasses(_picture: Gray, frame: _Frame, _other: Gray, rng: Rng) -> _Layer:
    mask, width, height = _mask(), rng.uniform(0.34, 0.5), rng.uniform(0.24, 0.42)
    power = rng.uniform(2, 5)
    turn = np.linspace(0, 2 * np.pi, 60)
    drop = rng.uniform(-0.02, 0.12)
    for side in (-0.5, 0.5):
        xs = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / power) * width + side
        ys = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / power) * height + drop
        outline = np.array([frame.at(x, y) for x, y in zip(xs, ys, strict=True)], np.int32)
        cv2.fillPoly(mask, [outline], 255)
        cv2.line(
            mask, frame.at(side, -0.02), frame.at(side * 2.6, -0.1), 255, frame.length(rng.uniform(0.05, 0.1))
        )
    cv2.line(mask, frame.at(-0.2, -0.05), frame.at(0.2, -0.05), 255, frame.length(rng.uniform(0.05, 0.12)))
    tone = _texture(rng, rng.uniform(0, 75))
    if rng.random() < 0.4:
        shine = _mask()
        cv2.ellipse(
            shine,
            frame.at(rng.uniform(-0.7, 0.7), rng.uniform(-0.1, 0.1)),
            (frame.length(0.12), frame.length(0.06)),
            rng.uniform(0, 180),
            0,
            360,
            255,
            cv2.FILLED,
        )
        tone = tone + cv2.GaussianBlur(shine, (0, 0), 3).astype(np.float32) * np.float32(
            rng.uniform(0.2, 0.7)
        )
    return _layer(mask, tone.clip(0, 255), rng.uniform(0.85, 1))


def _glasses(_picture: Gray, frame: _Frame, _other: Gray, rng: Rng) -> _Layer:
    """Spectacles, through which the eyes are seen: no occlusion."""
    mask, axes = _mask(), (frame.length(rng.uniform(0.34, 0.46)), frame.length(rng.uniform(0.24, 0.36)))
    thick = frame.length(rng.uniform(0.03, 0.1))
    for side in (-0.5, 0.5):
        cv2.ellipse(mask, frame.at(side, 0.04), axes, frame.roll, 0, 360, 255, thick)
        cv2.line(mask, frame.at(side * 1.8, 0), frame.at(side * 2.6, -0.08), 255, thick)
    cv2.line(mask, frame.at(-0.14, 0), frame.at(0.14, 0), 255, thick)
    return _layer(mask, _texture(rng), rng.uniform(0.6, 1))


def _beard(frame: _Frame, landmarks: NDArray[np.float32], rng: Rng) -> _Layer:
    """Hair on chin, cheeks and lip that leaves the mouth free: no occlusion."""
    mouth = landmarks[3:].astype(np.float64).mean(0)
    y = float(((mouth + 0.5) * _FINE - frame.middle) @ frame.down) / max(frame.eyes, 1e-6)
    mask, half, chin = _mask(), rng.uniform(0.65, 1.15), rng.uniform(0.55, 1.1)
    cheek = y - rng.uniform(-0.1, 0.5)
    turn = np.linspace(0, np.pi, 30)
    jaw = [frame.at(half * np.cos(t), cheek + (y + chin - cheek) * np.sin(t) ** 0.7) for t in turn]
    inner = rng.uniform(0.5, 0.85) * half
    cheeks = [frame.at(inner * np.cos(t), cheek + (y - cheek - 0.1) * np.sin(t) ** 0.7) for t in turn[::-1]]
    cv2.fillPoly(mask, [np.array(jaw + cheeks, np.int32)], 255)
    if rng.random() < 0.8:
        axes = frame.length(rng.uniform(0.35, 0.6)), frame.length(rng.uniform(0.08, 0.16))
        cv2.ellipse(mask, frame.at(0, y - 0.26), axes, frame.roll, 0, 360, 255, cv2.FILLED)
    free, axes = _mask(), (frame.length(rng.uniform(0.35, 0.48)), frame.length(rng.uniform(0.14, 0.26)))
    cv2.ellipse(free, frame.at(0, y), axes, frame.roll, 0, 360, 255, cv2.FILLED)
    soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(1, 8)).astype(np.float32)
    soft *= 1 - cv2.GaussianBlur(free, (0, 0), 2).astype(np.float32) / 255
    dark = rng.uniform(0, 80) if rng.random() < 0.75 else rng.uniform(100, 220)
    hairs = dark + rng.uniform(5, 25) * rng.normal(0, 1, (_LARGE, _LARGE)).astype(np.float32)
    return _layer(soft.astype(np.uint8), hairs.clip(0, 255).astype(np.float32), rng.uniform(0.4, 1))


def _where(rng: Rng) -> tuple[float, float]:
    """A place that matters: an eye, both eyes, or the mouth."""
    x, y = [(-0.5, 0.0), (0.5, 0.0), (0.0, 0.0), (0.0, 1.1), (0.0, 0.85)][rng.integers(5)]
    return x + rng.normal(0, 0.12), y + rng.normal(0, 0.12)


def _hand(picture: Gray, frame: _Frame, _other: Gray, rng: Rng) -> _Layer:
    mask = _mask()
    x, y = _where(rng)
    tone = np.full((_LARGE, _LARGE), _skin(picture, frame, rng), np.float32)
    tone += (_texture(rng, 128) - 128) * 0.15
    direction, spread = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.3)
    across = np.array([-np.sin(direction), np.cos(direction)])
    pointing = np.array([np.cos(direction), np.sin(direction)])
    thickness = rng.uniform(0.2, 0.3)
    count = int(rng.integers(2, 5))
    for finger in range(count):
        offset = (finger - (count - 1) / 2) * thickness * rng.uniform(0.95, 1.15)
        angle = direction + spread * (finger - (count - 1) / 2)
        root = np.array([x, y]) + across * offset - pointing * rng.uniform(0.5, 0.8)
        tip = root + np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.8, 1.5)
        one = _mask()
        cv2.line(one, frame.at(*root), frame.at(*tip), 255, frame.length(thickness))
        depth = cv2.distanceTransform(one, cv2.DIST_L2, 3)
        rounded = np.minimum(depth / max(1.0, frame.length(thickness) / 2), 1)
        shade = (0.6 + 0.4 * rounded).astype(np.float32)
        tone = np.where(one > 0, _skin(picture, frame, rng) * 0.15 + tone * 0.85 * shade, tone)
        mask = np.maximum(mask, one)
    palm = np.array([x, y]) - pointing * rng.uniform(0.9, 1.3)
    axes = (frame.length(rng.uniform(0.5, 0.7)), frame.length(rng.uniform(0.4, 0.6)))
    cv2.ellipse(
        mask, frame.at(*palm), axes, float(np.degrees(direction)) + frame.roll, 0, 360, 255, cv2.FILLED
    )
    return _layer(mask, tone.clip(0, 255).astype(np.float32))


def _bar(_picture: Gray, frame: _Frame, _other: Gray, rng: Rng) -> _Layer:
    x, y = _where(rng)
    centre = frame.at(x, y)
    size = (frame.length(rng.uniform(0.9, 3.5)), frame.length(rng.uniform(0.3, 0.9)))
    corners = cv2.boxPoints((centre, size, frame.roll + rng.choice([rng.normal(0, 12), rng.uniform(0, 180)])))
    mask = _mask()
    cv2.fillPoly(mask, [corners.astype(np.int32)], 255)
    return _layer(mask, _texture(rng))


def _cup(_picture: Gray, frame: _Frame, _other: Gray, rng: Rng) -> _Layer:
    """A round thing with a handle or stem: a microphone, a cup, a camera, a flower."""
    mask = _mask()
    x, y = _where(rng)
    radius = rng.uniform(0.35, 0.75)
    axes = (frame.length(radius), frame.length(radius * rng.uniform(0.7, 1.2)))
    cv2.ellipse(mask, frame.at(x, y), axes, rng.uniform(0, 180), 0, 360, 255, cv2.FILLED)
    angle = rng.uniform(0.1, np.pi - 0.1)
    end = frame.at(x + 3 * np.cos(angle), y + 3 * np.sin(angle))
    cv2.line(mask, frame.at(x, y), end, 255, frame.length(rng.uniform(0.1, 0.5)))
    return _layer(mask, _texture(rng))


def _scarf(_picture: Gray, frame: _Frame, _other: Gray, rng: Rng) -> _Layer:
    """Cloth over mouth and chin, or over all below a line; masks of hospitals among them."""
    top, bend = rng.uniform(0.45, 0.95), rng.uniform(-0.25, 0.25)
    low = 4.0 if rng.random() < 0.6 else rng.uniform(1.5, 1.9)
    half = 3.0 if low > 2 else rng.uniform(0.8, 1.2)
    xs = np.linspace(-half, half, 20)
    wave = rng.normal(0, 0.02, 20)
    upper = [frame.at(x, top + bend * (1 - (x / half) ** 2) + w) for x, w in zip(xs, wave, strict=True)]
    outline = np.array([*upper, frame.at(half * 0.8, low), frame.at(-half * 0.8, low)], np.int32)
    mask = _mask()
    cv2.fillPoly(mask, [outline], 255)
    return _layer(mask, _texture(rng))


def _hair(_picture: Gray, frame: _Frame, _other: Gray, rng: Rng) -> _Layer:
    mask = _mask()
    x, _ = _where(rng)
    spread = rng.uniform(0.2, 0.6)
    lean, curl = rng.normal(0, 0.4), rng.normal(0, 0.4)
    bottom = rng.uniform(0.35, 1.8)
    for _strand in range(int(rng.integers(25, 140))):
        start = x + rng.normal(0, spread)
        t = np.linspace(-1.6, bottom + rng.normal(0, 0.15), 12)
        xs = start + lean * (t + 1.6) / 3 + curl * np.sin((t + 1.6) * 0.8) * 0.4
        points = np.array([frame.at(a, b) for a, b in zip(xs, t, strict=True)], np.int32)
        cv2.polylines(mask, [points], isClosed=False, color=255, thickness=int(rng.integers(1, 5)))
    dark = rng.uniform(0, 70) if rng.random() < 0.7 else rng.uniform(100, 220)
    streaks = np.repeat(rng.normal(0, 14, (1, _LARGE)).astype(np.float32), _LARGE, 0)
    return _layer(mask, (dark + streaks).clip(0, 255).astype(np.float32), rng.uniform(0.8, 1))


def _piece(_picture: Gray, frame: _Frame, other: Gray, rng: Rng) -> _Layer:
    """A blob cut out of another picture, enlarged."""
    x, y = _where(rng)
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = rng.uniform(0.45, 0.9) * (1 + 0.25 * np.sin(turn * rng.integers(1, 4) + rng.uniform(0, 6)))
    stretch = rng.uniform(0.6, 1.8)
    outline = np.array(
        [frame.at(x + r * stretch * np.cos(t), y + r * np.sin(t)) for r, t in zip(radius, turn, strict=True)],
        np.int32,
    )
    mask = _mask()
    cv2.fillPoly(mask, [outline], 255)
    side = int(rng.integers(14, 30))
    row, column = rng.integers(0, SIDE - side, 2)
    part = np.rot90(other[row : row + side, column : column + side], int(rng.integers(4)))
    tone = cv2.resize(np.ascontiguousarray(part), (_LARGE, _LARGE), interpolation=cv2.INTER_CUBIC)
    return _layer(mask, tone.astype(np.float32))


Draws = Callable[[Gray, _Frame, Gray, Rng], _Layer]

OCCLUDERS: dict[str, Draws] = {
    "sunglasses": _sunglasses,
    "hand": _hand,
    "bar": _bar,
    "cup": _cup,
    "scarf": _scarf,
    "hair": _hair,
    "piece": _piece,
}
"""What hides a face, by name: each draws one over a face, given a second picture to take things from."""


def _laid_over(picture: Gray, layer: _Layer) -> Gray:
    fine = cv2.resize(picture, (_LARGE, _LARGE), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    alpha = cv2.GaussianBlur(layer.alpha, (0, 0), 1.5)
    mixed = fine + alpha * (layer.tone - fine)
    small = cv2.resize(mixed.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    share = cv2.resize(alpha, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    # Where nothing lies the picture stays as it is: going to the fine size and back would blur it.
    return np.where(share > 0.01, small, picture).round().clip(0, 255).astype(np.uint8)


def occlude(
    picture: Gray, landmarks: NDArray[np.float32], kind: str, other: Gray, rng: Rng
) -> tuple[Gray, float]:
    """Lay something in front of a face.

    Args:
        picture: uint8 [48, 48].
        landmarks: [5, 2], x, y in pixels, in the order of `storage.LANDMARKS`.
        kind: of `OCCLUDERS`.
        other: another picture, uint8 [48, 48], that things may be cut out of.
        rng: of all that is random.

    Returns:
        The picture, and how occluded the face is, 0–1.
    """
    layer = OCCLUDERS[kind](picture, _frame(landmarks), other, rng)
    return _laid_over(picture, layer), occlusion(layer.alpha, landmarks)


def decoy(
    picture: Gray, landmarks: NDArray[np.float32], kind: str, other: Gray, rng: Rng
) -> tuple[Gray, float]:
    """The same where it hides nothing, spectacles, or a beard; arguments and result as of `occlude`."""
    frame, which = _frame(landmarks), rng.random()
    if which < 0.3:
        return _laid_over(picture, _glasses(picture, frame, other, rng)), 0.0
    if which < 0.5:
        return _laid_over(picture, _beard(frame, landmarks, rng)), 0.0
    for _attempt in range(6):
        layer = OCCLUDERS[kind](picture, frame, other, rng)
        shift = rng.uniform(-1, 1, 2) * _LARGE * 0.6
        moved = cv2.warpAffine(layer.alpha, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (_LARGE, _LARGE))
        layer = _Layer(np.asarray(moved, np.float32), layer.tone)
        if layer.alpha.mean() > 0.02 and occlusion(layer.alpha, landmarks) == 0:
            return _laid_over(picture, layer), 0.0
    return picture, 0.0


_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)


def watermark(picture: Gray, rng: Rng) -> Gray:
    """Print a word over a picture, uint8 [48, 48], half transparent, as picture agencies do."""
    mask = _mask()
    letters = string.ascii_letters if rng.random() < 0.5 else string.ascii_lowercase
    word = "".join(rng.choice(list(letters), int(rng.integers(4, 14))))
    font, scale = int(rng.choice(_FONTS)), rng.uniform(0.7, 2.2)
    thickness = int(rng.integers(2, 6))
    (width, height), _ = cv2.getTextSize(word, font, scale, thickness)
    x = int(rng.uniform(-0.5 * width, max(1.0, _LARGE - 0.5 * width)))
    y = int(rng.uniform(height, _LARGE - 4))
    cv2.putText(mask, word, (x, y), font, scale, 255, thickness, cv2.LINE_AA)
    if rng.random() < 0.25:
        radius = int(height * rng.uniform(0.6, 1.2))
        cv2.circle(mask, (x - radius, y - height // 2), radius, 255, thickness, cv2.LINE_AA)
    if rng.random() < 0.3:
        turn = cv2.getRotationMatrix2D((_LARGE / 2, _LARGE / 2), rng.uniform(-50, 50), 1)
        mask = np.asarray(cv2.warpAffine(mask, turn, (_LARGE, _LARGE)), np.uint8)
    tone = 255.0 if rng.random() < 0.7 else 0.0
    layer = _layer(mask, np.full((_LARGE, _LARGE), tone, np.float32), rng.uniform(0.3, 0.9))
    return _laid_over(picture, layer)


def no_face(picture: Gray, rng: Rng) -> Gray:
    """Make something of a picture, uint8 [48, 48], that shows no face."""
    kind = rng.integers(4)
    if kind == 0:  # its parts in disorder
        cells = int(rng.choice([3, 4, 6]))
        side = SIDE // cells
        blocks = picture.reshape(cells, side, cells, side).swapaxes(1, 2).reshape(-1, side, side)
        return (
            blocks[rng.permutation(len(blocks))]
            .reshape(cells, cells, side, side)
            .swapaxes(1, 2)
            .reshape(SIDE, SIDE)
        )
    if kind == 1:  # a spot of it, enlarged
        side = int(rng.integers(6, 14))
        row, column = rng.integers(0, SIDE - side, 2)
        return np.asarray(
            cv2.resize(
                picture[row : row + side, column : column + side], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
            ),
            np.uint8,
        )
    surface = cv2.resize(_texture(rng), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if kind == 2:  # a surface with things on it
        for _thing in range(int(rng.integers(0, 5))):
            centre = tuple(int(v) for v in rng.integers(0, SIDE, 2))
            axes = tuple(int(v) for v in rng.integers(2, 24, 2))
            cv2.ellipse(
                surface,
                centre,
                axes,
                rng.uniform(0, 180),
                0,
                360,
                rng.uniform(0, 255),
                int(rng.choice([-1, 1, 3])),
            )
        return surface.clip(0, 255).astype(np.uint8)
    plain = surface.clip(0, 255).astype(np.uint8)  # print
    for _line in range(int(rng.integers(1, 4))):
        plain = watermark(plain, rng)
    return plain


def shaded(picture: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    """A picture, float32 [48, 48], 0–255, with a soft or hard shadow over part of it: nothing is hidden."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    across = (x - rng.uniform(-0.3, 0.3)) * np.cos(angle) + (y - rng.uniform(-0.3, 0.3)) * np.sin(angle)
    edge = 1 / (1 + np.exp(-across * np.exp(rng.uniform(np.log(6), np.log(120)))))
    return picture * (1 - rng.uniform(0.3, 0.9) * edge).astype(np.float32)

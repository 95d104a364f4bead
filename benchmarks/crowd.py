"""A made-up crowd whose every face is known: real faces that walk over real backgrounds.

Faces are pictures of FER2013, each one person; they appear inside the picture or at its edge, wander
at up to two of their heights a second, pass in front of each other, and leave. Every so often the scene
is cut and all are replaced. The camera rests, shakes as in a hand, pans to and fro, or both: then the same
crowd is drawn on a larger picture, and seen through a window that moves over it. Everything follows from the
seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

VISIBLE = 0.5
"""A face counts while at least so much of it is neither covered nor outside the picture."""
_TURN = 1.2
"""How much the velocity wanders in a second, in heights."""
_FASTEST = 2.0
Camera: TypeAlias = Literal["rest", "shake", "pan", "both"]
_SHAKE_HZ = 3.0, 3.9
"""How often a second a shaken camera goes to and fro, and up and down."""
_SHAKE = 0.1, 0.5
"""How far it goes from where it rests, in face heights: between these, and half as far up and down."""
_PAN = 2.0, 8.0
"""Least and greatest speed of a camera that pans, in face heights a second: another one each way."""
_PAN_SHARE = 0.25
"""How far it goes to either side, in widths of the picture."""


@dataclass(frozen=True)
class CrowdSettings:
    """What crowd to make; sizes in pixels, times in seconds."""

    seconds: float = 60.0
    fps: float = 25.0
    size: tuple[int, int] = (720, 1280)
    people: int = 8
    heights: tuple[float, float] = (36.0, 90.0)
    scene_s: float = 15.0
    seed: int = 0
    camera: Camera = "rest"

    @property
    def face(self) -> float:
        """Height of a face in the middle of `heights`, in pixels."""
        return math.sqrt(self.heights[0] * self.heights[1])


@dataclass(frozen=True)
class Face:
    """A picture of a face, and where in it the face is."""

    picture: NDArray[np.uint8]
    """[S, S], gray."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1, as shares of the side."""


PLAIN_FACE = Face(np.full((48, 48), 128, np.uint8), (0.15, 0.05, 0.85, 0.95))


@dataclass(frozen=True)
class CrowdFrame:
    """One frame and its truth."""

    time_s: float
    cut: bool
    image: NDArray[np.uint8] | None
    """RGB; None where no backgrounds were given."""
    people: NDArray[np.int64]
    """[N]: who can be seen."""
    boxes: NDArray[np.float32]
    """[N, 4]: x0, y0, x1, y1 of their faces."""


@dataclass
class _Person:
    number: int
    face: Face
    height: float
    """Of the face's box, in pixels; x and y are its centre."""
    x: float
    y: float
    vx: float
    vy: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        half = self.side * (self.face.box[2] - self.face.box[0]) / 2
        return self.x - half, self.y - self.height / 2, self.x + half, self.y + self.height / 2

    @property
    def side(self) -> float:
        """Of the whole picture, in pixels."""
        return self.height / (self.face.box[3] - self.face.box[1])


def film_crowd(
    settings: CrowdSettings, faces: Sequence[Face], backgrounds: Sequence[NDArray[np.uint8]]
) -> Iterator[CrowdFrame]:
    """The frames of a crowd as its camera sees them; who comes back into the picture is somebody else.

    Args:
        settings: what to make.
        faces: one a person, from the first again when there are not enough.
        backgrounds: RGB pictures, one a scene.
    """
    if settings.camera == "rest":
        yield from make_crowd(settings, faces, backgrounds)
        return
    rows, columns = settings.size
    places = np.rint(_camera_places(settings)).astype(int)
    margin = np.abs(places).max(0)
    size = (rows + 2 * int(margin[1]), columns + 2 * int(margin[0]))
    people = round(settings.people * size[0] * size[1] / (rows * columns))
    numbers: dict[int, int] = {}
    born = 0
    crowd = make_crowd(replace(settings, size=size, people=people), faces, backgrounds)
    for frame, place in zip(crowd, places, strict=True):
        left, top = (place + margin).tolist()
        boxes = frame.boxes - np.array([left, top, left, top], np.float32)
        window = 0.0, 0.0, float(columns), float(rows)
        shares = [_area(_common(box, window)) / _area(box) for box in map(tuple, boxes.tolist())]
        for person, share in zip(frame.people.tolist(), shares, strict=True):
            if share == 0:
                numbers.pop(person, None)
            elif share >= VISIBLE and person not in numbers:
                numbers[person], born = born, born + 1
        seen = np.array(shares) >= VISIBLE
        yield replace(
            frame,
            image=None
            if frame.image is None
            else frame.image[top : top + rows, left : left + columns].copy(),
            people=np.array([numbers[person] for person in frame.people[seen].tolist()], np.int64),
            boxes=boxes[seen],
        )


def _camera_places(settings: CrowdSettings) -> NDArray[np.float64]:
    """Where the camera looks in each frame, x and y in pixels from where it rests: [frames, 2]."""
    rng = np.random.default_rng((settings.seed, 1))
    times = np.arange(round(settings.seconds * settings.fps)) / settings.fps
    places = np.zeros((len(times), 2))
    if settings.camera in ("shake", "both"):
        phases = rng.uniform(0, 2 * math.pi, 3)
        middle, swing = sum(_SHAKE) / 2, (_SHAKE[1] - _SHAKE[0]) / 2
        far = settings.face * (middle + swing * np.sin(times + phases[2]))
        places[:, 0] += far * np.sin(2 * math.pi * _SHAKE_HZ[0] * times + phases[0])
        places[:, 1] += far / 2 * np.sin(2 * math.pi * _SHAKE_HZ[1] * times + phases[1])
    if settings.camera in ("pan", "both"):
        x, way, farthest = 0.0, 1, _PAN_SHARE * settings.size[1]
        speed = rng.uniform(*_PAN) * settings.face
        for index in range(len(times)):
            places[index, 0] += x
            x += way * speed / settings.fps
            if abs(x) > farthest:
                x, way = math.copysign(farthest, x), -way
                speed = rng.uniform(*_PAN) * settings.face
    return places


def make_crowd(
    settings: CrowdSettings,
    faces: Sequence[Face] = (PLAIN_FACE,),
    backgrounds: Sequence[NDArray[np.uint8]] = (),
) -> Iterator[CrowdFrame]:
    """The frames of a crowd before a camera that rests.

    Args:
        settings: what to make.
        faces: one a person, from the first again when there are not enough.
        backgrounds: RGB pictures, one a scene; none draws no pictures.
    """
    rng = np.random.default_rng(settings.seed)
    people: list[_Person] = []
    scene, born = -1, 0
    for index in range(round(settings.seconds * settings.fps)):
        time_s = index / settings.fps
        cut = int(time_s / settings.scene_s) != scene
        if cut:
            scene, people = int(time_s / settings.scene_s), []
        while len(people) < settings.people:
            people.append(_appear(born, faces[born % len(faces)], settings, rng, at_edge=not cut))
            born += 1
        for person in people:
            _walk(person, 1 / settings.fps, rng)
        people = [person for person in people if _inside(person, settings.size) > 0]
        people.sort(key=lambda person: person.height)  # nearer faces are larger, and in front
        seen = [p for i, p in enumerate(people) if _visible(p, people[i + 1 :], settings.size) >= VISIBLE]
        image = None
        if backgrounds:
            ground = backgrounds[scene % len(backgrounds)]
            image = cv2.resize(ground, settings.size[::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8)
            for person in people:
                _draw(image, person)
        yield CrowdFrame(
            time_s,
            cut and index > 0,
            image,
            np.array([p.number for p in seen], np.int64),
            np.array([p.box for p in seen], np.float32).reshape(-1, 4),
        )


def _appear(
    number: int, face: Face, settings: CrowdSettings, rng: np.random.Generator, *, at_edge: bool
) -> _Person:
    height = float(np.exp(rng.uniform(*np.log(settings.heights))))
    rows, columns = settings.size
    x, y = float(rng.uniform(0, columns)), float(rng.uniform(0.2, 0.8)) * rows
    speed, angle = rng.uniform(0.2, _FASTEST) * height, rng.uniform(0, 2 * math.pi)
    vx, vy = speed * math.cos(angle), 0.3 * speed * math.sin(angle)
    if at_edge:
        x = -0.3 * height if vx > 0 else columns + 0.3 * height
    return _Person(number, face, height, x, y, vx, vy)


def _walk(person: _Person, dt: float, rng: np.random.Generator) -> None:
    h = person.height
    person.vx += float(rng.normal(0, _TURN * h * math.sqrt(dt)))
    person.vy += float(rng.normal(0, 0.4 * _TURN * h * math.sqrt(dt)))
    person.vy -= 0.5 * dt * person.vy
    limit = _FASTEST * h
    person.vx, person.vy = max(-limit, min(limit, person.vx)), max(-limit, min(limit, person.vy))
    person.x += person.vx * dt
    person.y += person.vy * dt


def _area(box: tuple[float, float, float, float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _common(
    a: tuple[float, float, float, float], b: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _inside(person: _Person, size: tuple[int, int]) -> float:
    return _area(_common(person.box, (0.0, 0.0, float(size[1]), float(size[0])))) / _area(person.box)


def _visible(person: _Person, in_front: Sequence[_Person], size: tuple[int, int]) -> float:
    covered = max((_area(_common(person.box, other.box)) for other in in_front), default=0.0)
    return _inside(person, size) - covered / _area(person.box)


def _draw(image: NDArray[np.uint8], person: _Person) -> None:
    """Blend the picture in, with soft edges."""
    box, side = person.face.box, round(person.side)
    left = round(person.x - person.side * (box[0] + box[2]) / 2)
    top = round(person.y - person.side * (box[1] + box[3]) / 2)
    shrinks = side < person.face.picture.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    drawn = cv2.resize(person.face.picture, (side, side), interpolation=interpolation)
    border = max(1, side // 16)
    mask = np.zeros((side, side), np.float32)
    mask[border:-border, border:-border] = 1
    mask = cv2.GaussianBlur(mask, (0, 0), border / 2)
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + side, image.shape[0]), min(left + side, image.shape[1])
    if y1 <= y0 or x1 <= x0:
        return
    part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    alpha = mask[part][..., None]
    under = image[y0:y1, x0:x1]
    image[y0:y1, x0:x1] = under * (1 - alpha) + drawn[part][..., None] * alpha

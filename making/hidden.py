"""Faces that something hides, and open ones that look like it: which kinds there are, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from making import eyewear, hands, open_faces, things
from making.scene import Gray, Rng, Scene

Draws = Callable[[Scene], None]

HIDING: dict[str, tuple[Draws, float]] = {
    "sunglasses": (eyewear.sunglasses, 0.36),
    "hand over mouth": (hands.over_mouth, 0.13),
    "fist": (hands.fist, 0.05),
    "hand over eyes": (hands.over_eyes, 0.08),
    "hands over face": (hands.over_face, 0.03),
    "mask": (things.mask, 0.05),
    "cloth": (things.cloth, 0.04),
    "hat": (things.hat, 0.03),
    "microphone": (things.microphone, 0.04),
    "cup": (things.cup, 0.03),
    "slab": (things.slab, 0.04),
    "food": (things.food, 0.02),
    "hair": (things.hair, 0.05),
    "somebody": (things.somebody, 0.03),
    "piece": (things.piece, 0.02),
}
"""What may hide a part of a face, by name, and how often each is drawn."""

OPEN: dict[str, tuple[Draws, float]] = {
    "spectacles": (eyewear.spectacles, 0.22),
    "deep eyes": (open_faces.deep_eyes, 0.18),
    "half in shadow": (open_faces.half_in_shadow, 0.1),
    "closed eyes": (open_faces.closed_eyes, 0.14),
    "beard": (open_faces.beard, 0.11),
    "paint": (open_faces.paint, 0.06),
    "bars of light": (open_faces.bars_of_light, 0.05),
    "cigarette": (things.cigarette, 0.03),
    "hand beside": (hands.beside, 0.11),
}
"""What leaves eyes and mouth to be seen, by name, and how often each is drawn."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture of a face, and what of it is hidden."""

    picture: Gray
    """[48, 48]."""
    eyes: float
    """How hidden the worse of the eyes is, 0–1."""
    mouth: float


def choose(kinds: Mapping[str, tuple[Draws, float]], rng: Rng) -> str:
    """One of the kinds, as often as they say."""
    weights = np.array([weight for _, weight in kinds.values()])
    return str(rng.choice(list(kinds), p=weights / weights.sum()))


def draw(
    picture: Gray, landmarks: NDArray[np.float32], other: Gray, rng: Rng, names: tuple[str, ...]
) -> Drawn:
    """Draw things of these names, one after the other, over a face.

    Args:
        picture: uint8 [48, 48].
        landmarks: [5, 2], x, y in pixels, in the order of `storage.LANDMARKS`.
        other: another picture, uint8 [48, 48], that things may be cut out of.
        rng: of all that is random.
        names: of `HIDING` and `OPEN`.
    """
    scene = Scene(picture, landmarks + rng.normal(0, 0.35, (5, 2)).astype(np.float32), other, rng)
    for name in names:
        (HIDING | OPEN)[name][0](scene)
    eyes, mouth = scene.hidden()
    return Drawn(scene.finished(), eyes, mouth)


def draw_beside(picture: Gray, landmarks: NDArray[np.float32], other: Gray, rng: Rng) -> Drawn:
    """What hides faces, but beside this one; where there is no room, the picture as it was."""
    for _attempt in range(5):
        scene = Scene(picture, landmarks, other, rng)
        head = scene.head
        scene.head = replace(head, origin=head.origin + head.unit * rng.uniform(-2.5, 2.5, 2))
        HIDING[choose(HIDING, rng)][0](scene)
        scene.head = head
        if scene.hidden() == (0.0, 0.0) and scene.cover.mean() > 0.02:
            return Drawn(scene.finished(), 0.0, 0.0)
    return Drawn(picture, 0.0, 0.0)


def draw_hidden(picture: Gray, landmarks: NDArray[np.float32], other: Gray, rng: Rng) -> Drawn:
    """Something that hides, sometimes over what does not."""
    under = (choose(OPEN, rng),) if rng.random() < 0.2 else ()
    return draw(picture, landmarks, other, rng, (*under, choose(HIDING, rng)))


def draw_open(picture: Gray, landmarks: NDArray[np.float32], other: Gray, rng: Rng) -> Drawn:
    """One or two things that hide nothing."""
    more = (choose(OPEN, rng),) if rng.random() < 0.3 else ()
    return draw(picture, landmarks, other, rng, (choose(OPEN, rng), *more))

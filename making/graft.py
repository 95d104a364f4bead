"""Eyes and mouths of other real faces, hidden and open, set into a face.

What hides a real face has the light, the grain and the reflections of a real picture. Open parts are set in,
too: that a part was set in says nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from making.scene import FINE, LARGE, Gray, Map, Rng, Scene, empty, filled, fine


@dataclass(frozen=True, eq=False)
class Donor:
    """A real face whose eyes or mouth are set into another."""

    picture: Gray
    """[48, 48]"""
    landmarks: NDArray[np.float32]
    """[5, 2]"""


def graft(picture: Gray, landmarks: NDArray[np.float32], donor: Donor, part: str, rng: Rng) -> Gray:
    """Set the eyes or the mouth of another face into a face.

    Args:
        picture: uint8 [48, 48].
        landmarks: [5, 2], x, y in pixels, in the order of `storage.LANDMARKS`.
        donor: the other face.
        part: `eyes` or `mouth`.
        rng: of all that is random.
    """
    scene = Scene(picture, landmarks, donor.picture, rng)
    other = Scene(donor.picture, donor.landmarks, picture, rng)
    given = _warped(donor, landmarks, rng)
    gain = np.float32(np.clip(scene.skin() / max(other.skin(), 1.0), 0.6, 1.7))
    scene.lay(_eyes(scene) if part == "eyes" else _mouth(scene), given * gain, edge=scene.head.unit * 0.07)
    return scene.finished()


def _warped(donor: Donor, target: NDArray[np.float32], rng: Rng) -> Map:
    """A picture at the fine size, moved so that its eyes and its mouth lie on those of another."""
    here, there = (
        np.stack([points[0], points[1], points[3:].mean(0)]).astype(np.float32) * FINE + FINE / 2
        for points in (donor.landmarks, target)
    )
    there = (there + rng.normal(0, 2, (3, 2))).astype(np.float32)
    move = cv2.getAffineTransform(here, there)
    return np.asarray(
        cv2.warpAffine(fine(donor.picture), move, (LARGE, LARGE), borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def _eyes(scene: Scene) -> Gray:
    head, rng = scene.head, scene.rng
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    wide, high = rng.uniform(0.95, 1.3), rng.uniform(0.3, 0.5)
    x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.6 * wide
    y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.6 * high + 0.05
    return filled(np.array([head.flat(*point) for point in zip(x, y, strict=True)], np.int32))


def _mouth(scene: Scene) -> Gray:
    head, rng, mask = scene.head, scene.rng, empty()
    x, y = head.mouth
    axes = (head.length(rng.uniform(0.8, 1.3)), head.length(rng.uniform(0.6, 0.9)))
    cv2.ellipse(mask, head.flat(x, y + rng.uniform(0.05, 0.3)), axes, head.roll, 0, 360, 255, cv2.FILLED)
    return mask

"""Faces as a detector finds them in one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """The faces of one picture, highest score first."""

    boxes: NDArray[np.float32]
    """[N, 4]: x0, y0, x1, y1 in pixels; may reach beyond the picture."""
    scores: NDArray[np.float32]
    """[N], 0–1."""
    landmarks: NDArray[np.float32]
    """[N, 5, 2]: x, y in pixels of right eye, left eye, nose, right and left corner of the mouth; NaN where
    unknown."""

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Detections:
        """Some of the faces: a mask, or their positions."""
        return Detections(self.boxes[chosen], self.scores[chosen], self.landmarks[chosen])

    def joined(self, *others: Detections) -> Detections:
        """These faces and others of the same picture, highest score first."""
        every = (self, *others)
        together = Detections(
            np.concatenate([one.boxes for one in every]),
            np.concatenate([one.scores for one in every]),
            np.concatenate([one.landmarks for one in every]),
        )
        return together[np.argsort(-together.scores, kind="stable")]

    def moved(self, x: float, y: float) -> Detections:
        """The same faces in a picture that begins so many pixels further left and up."""
        by = np.array([x, y, x, y], np.float32)
        return Detections(self.boxes + by, self.scores, self.landmarks + by[:2])

    def scaled(self, x: float, y: float) -> Detections:
        """The same faces in a picture so many times as wide and as high."""
        by = np.array([x, y, x, y], np.float32)
        return Detections(self.boxes * by, self.scores, self.landmarks * by[:2])

    def turned_back(self, quarters: int, size: tuple[int, int]) -> Detections:
        """The same faces in the picture as it was before it was turned.

        Args:
            quarters: by which it was turned clockwise, 0 to 3.
            size: height and width before that, in pixels.
        """
        if not quarters:
            return self
        height, width = size

        def back(points: NDArray[np.float32]) -> NDArray[np.float32]:
            x, y = points[..., 0], points[..., 1]
            ways = ((y, height - x), (width - x, height - y), (width - y, x))
            return np.stack(ways[quarters - 1], -1).astype(np.float32)

        corners = back(self.boxes.reshape(-1, 2, 2))
        boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
        return Detections(boxes, self.scores, back(self.landmarks))


def no_faces() -> Detections:
    """The faces of a picture without any."""
    return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much boxes share: intersection over union, float32 [N, M], of x0, y0, x1, y1, [N, 4] and [M, 4]."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    common = (np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner).clip(0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1) for boxes in (a, b)]
    return common / (areas[0][:, None] + areas[1][None] - common).clip(1e-9)

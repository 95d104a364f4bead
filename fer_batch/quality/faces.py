"""The face in each picture, whichever way up it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.dataset.images import SIDE
from fer_batch.inference.detections import Detections
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.inference.picture import ArrayPicture
from fer_batch.settings import DetectionSettings

_BORDER = 12
"""Pixels that each picture is given around it: FER2013's faces reach to the edge, YuNet's training faces
do not."""
_SEEN = 128
"""Side of what the detector sees."""
_DOUBTFUL = 0.5
"""Below this score a face is looked for once more, in the picture turned by a quarter and by a half."""
_SURELY_TURNED = 0.7
"""Score from which a face is believed to lie on its side or its head: something like one is often there."""
_LOWEST = 0.02
"""Score below which nothing counts as found: a weak answer still tells a face from none."""


@dataclass(frozen=True, eq=False)
class Faces:
    """The best face of each of N pictures."""

    scores: NDArray[np.float32]
    """[N], the detector's, 0–1; 0 where it finds nothing."""
    landmarks: NDArray[np.float32]
    """[N, 5, 2]: x, y in pixels of the picture, in the order of `storage.LANDMARKS`; NaN without a face."""


class FaceFinder:
    """YuNet on pictures that are a face from edge to edge, upright or not."""

    def __init__(self) -> None:
        settings = DetectionSettings(threshold=_LOWEST, size=_SEEN)
        self._detector = YuNet(resolve_detector("yunet"), settings)

    def find(self, pictures: NDArray[np.uint8]) -> Faces:
        """The face with the highest score in each picture, uint8 [N, 48, 48]."""
        scores = np.zeros(len(pictures), np.float32)
        landmarks = np.full((len(pictures), 5, 2), np.nan, np.float32)
        for index, picture in enumerate(pictures):
            for turns in range(4):
                found = self._look(np.rot90(picture, turns))
                lowest = max(scores[index], _SURELY_TURNED if turns else 0.0)
                if len(found) and found.scores[0] > lowest:
                    scores[index] = found.scores[0]
                    landmarks[index] = _turned_back(found.landmarks[0], turns)
                if scores[index] >= _DOUBTFUL:
                    break
        return Faces(scores, landmarks)

    def _look(self, picture: NDArray[np.uint8]) -> Detections:
        framed = np.pad(picture, _BORDER, mode="edge")
        seen = cv2.resize(framed, (_SEEN, _SEEN), interpolation=cv2.INTER_CUBIC)
        colour = np.asarray(cv2.cvtColor(seen, cv2.COLOR_GRAY2RGB), np.uint8)
        faces = self._detector.detect_batch([ArrayPicture(colour)])[0]
        scale = (SIDE + 2 * _BORDER) / _SEEN
        return Detections(faces.boxes * scale - _BORDER, faces.scores, faces.landmarks * scale - _BORDER)


def _turned_back(points: NDArray[np.float32], turns: int) -> NDArray[np.float32]:
    """Points of a picture that `numpy.rot90` turned so often, in the picture as it was: [..., 2]."""
    x, y = points[..., 0], points[..., 1]
    back: tuple[Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]], ...] = (
        lambda: (x, y),
        lambda: (SIDE - y, x),
        lambda: (SIDE - x, SIDE - y),
        lambda: (y, SIDE - x),
    )
    return np.stack(back[turns](), axis=-1)

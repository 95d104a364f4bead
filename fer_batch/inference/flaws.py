"""What spoils a picture of a face: something before the eyes or the mouth, print across it, or no face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fer_batch.inference.session import open_network

SIDE = 48
"""Of the pictures that it sees, in pixels."""
_JPEG_QUALITY = 75
WEIGHTS = Path(__file__).parent / "weights" / "flaws.onnx"
"""The network of `FlawFinder`; `making/fit_flaws.py` makes it."""


def recompressed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A gray picture after JPEG at quality 75.

    Part of the pictures of a set may have been JPEG files and others not; the blocks that JPEG leaves are
    easier to tell apart than what is in the picture. After this, all have them.
    """
    done, data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of {picture.shape} as JPEG")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


@dataclass(frozen=True, eq=False)
class Flaws:
    """What is wrong with N pictures: float32 [N] each, 0–1, how sure the network is."""

    eyes_hidden: NDArray[np.float32]
    """Something hides an eye."""
    mouth_hidden: NDArray[np.float32]
    """Something hides the mouth."""
    print: NDArray[np.float32]
    """Words or a mark are printed across it."""
    no_face: NDArray[np.float32]
    """There is no face."""


class FlawFinder:
    """A small network that has learned from pictures spoilt on purpose. Several threads may use one at once.

    Args:
        weights: its ONNX file.
        mirrored: look at the mirror image of every picture as well and average the logits: a little surer,
            at twice the cost.
    """

    def __init__(self, weights: Path = WEIGHTS, *, mirrored: bool = True) -> None:
        self._network = open_network(weights)
        self._mirrored = mirrored

    def find(self, pictures: NDArray[np.uint8]) -> Flaws:
        """The flaws of gray pictures, uint8 [N, 48, 48]."""
        alike = np.stack([recompressed(picture) for picture in pictures])[:, None]
        logits = self._logits(alike)
        if self._mirrored:
            logits = (logits + self._logits(np.ascontiguousarray(alike[..., ::-1]))) / 2
        return Flaws(*expit(logits).T)

    def _logits(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._network.run(["flaws"], {"pixels": pictures})[0]

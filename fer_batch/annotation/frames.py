"""What passes from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.detector import Detections


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source."""

    index: int
    """0-based, in order of presentation; for picture folders the position in natural order."""
    time_s: float | None
    """Presentation time since the stream's start, in seconds; None for pictures."""
    image: NDArray[np.uint8] | None
    """uint8 [H, W, 3], RGB, upright; None where nothing could be decoded."""
    corrupt: bool = False
    """The decoder met damaged data in it."""
    file: str | None = None
    """The picture's path inside its folder; None for videos."""


@dataclass(frozen=True, eq=False)
class DetectedFrame:
    """A frame, its faces, and their crops."""

    frame: Frame
    faces: Detections
    crops: NDArray[np.uint8]
    """uint8 [N, S, S], gray, as the classifier wants them."""


@dataclass(frozen=True, eq=False)
class AnnotatedFrame:
    """A frame, its faces, and what they express."""

    frame: Frame
    faces: Detections
    probabilities: NDArray[np.float32]
    """float32 [N, 7], in the order of `Emotion`."""

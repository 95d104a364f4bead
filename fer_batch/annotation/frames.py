"""What passes from stage to stage."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_batch.annotation.face_quality import FaceQuality
from fer_batch.annotation.scenes import SceneState
from fer_batch.inference.detections import Detections
from fer_batch.inference.picture import Picture


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source."""

    index: int
    """0-based, in order of presentation; of pictures in natural order, each page of a file one of its own."""
    time_s: float | None
    """Presentation time since the stream's start, in seconds; None for pictures."""
    picture: Picture | None
    """Upright; None where nothing could be decoded."""
    corrupt: bool = False
    """The decoder met damaged data in it."""
    file: str | None = None
    """The picture's path inside its folder; None for videos."""
    pts: int | None = None
    """Presentation time in the stream's own ticks."""
    damaged: int = 0
    """Frames and packets of the source with damage, up to and with this one."""
    notes: tuple[str, ...] = ()
    """What is to be said of the source, up to and with this one."""

    @property
    def image(self) -> NDArray[np.uint8] | None:
        """The whole picture in colour, uint8 [H, W, 3], RGB, which is converted anew by every look."""
        return None if self.picture is None else self.picture.rgb()


@dataclass(frozen=True, eq=False)
class MarkedFrame:
    """A frame, and what is to be done with it."""

    frame: Frame
    number: int
    """0-based, among the sampled frames."""
    cut: bool
    """It begins a new scene."""
    search: bool
    """Faces are to be searched in it."""
    closely: bool
    """They are to be searched at its full size too."""
    glance: SceneState | None
    """What the next frames are compared with."""
    shift: tuple[float, float] = (0.0, 0.0)
    """How far the picture's content moved since the frame before, in pixels to the right and down; (0, 0) at
    a cut or where that is not known."""


@dataclass(frozen=True, eq=False)
class DetectedFrame:
    """A frame and the faces found in it."""

    marked: MarkedFrame
    faces: Detections | None
    """None where none were searched."""
    missed: Future[int] | None = None
    """How many further faces only its full size shows: nobody waits for that on the way to the tables. None
    where it is not looked at."""


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame, its faces and their tracks."""

    frame: Frame
    faces: Detections
    tracks: NDArray[np.int64]
    """[N]; -1 for pictures, which have no tracks."""
    to_crop: Detections
    """What to cut out and judge: `faces`, or, where none were searched, the same faces as they were last
    found, moved along with their tracks. They are a guess, which is why `faces` has no landmarks there, and
    no scores."""
    size: tuple[int, int] | None
    """Height and width of the picture in pixels; None where it could not be decoded."""
    due: NDArray[np.bool_]
    """[N]: whether somebody is to look whether anything hides the face."""
    missed: Future[int] | None
    """As in `DetectedFrame`."""
    resume: dict[str, Any] | None
    """At the end of a part: all that the stages up to here need to go on behind this frame."""


@dataclass(frozen=True, eq=False)
class CroppedFrame:
    """A frame, whose picture is not needed any more, and its faces as the classifier wants them."""

    tracked: TrackedFrame
    crops: NDArray[np.uint8]
    """uint8 [N, S, S], gray."""


@dataclass(frozen=True, eq=False)
class AnnotatedFrame:
    """A frame, its faces, and what they express."""

    tracked: TrackedFrame
    quality: FaceQuality
    probabilities: NDArray[np.float32]
    """float32 [N, 7], in the order of `Emotion`."""
    hidden: NDArray[np.float32]
    """float32 [N, 2]: how surely eyes and mouth are hidden, 0–1; NaN where nobody looked."""

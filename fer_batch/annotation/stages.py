"""What is done to frames, one function or generator a stage, in the order of the pipeline."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fer_batch.annotation.blur import blacken
from fer_batch.annotation.clock import SAME_TIME_S
from fer_batch.annotation.decode import Position
from fer_batch.annotation.face_quality import face_quality
from fer_batch.annotation.frames import (
    AnnotatedFrame,
    CroppedFrame,
    DetectedFrame,
    Frame,
    MarkedFrame,
    TrackedFrame,
)
from fer_batch.annotation.occlusion import OcclusionLooks
from fer_batch.annotation.parts import Resume
from fer_batch.annotation.scenes import LOOK_AHEAD, Thumbnail, next_frame, thumbnail
from fer_batch.annotation.track import Tracker
from fer_batch.errors import UsageError
from fer_batch.inference.classifier import Classifies
from fer_batch.inference.crop import crop_faces
from fer_batch.inference.detections import Detections, no_faces
from fer_batch.inference.detector import Detector
from fer_batch.inference.flaws import SIDE, FlawFinder
from fer_batch.inference.looks import confirmed
from fer_batch.inference.picture import ArrayPicture, Picture, shrunk, turned
from fer_batch.settings import AnnotateSettings

T = TypeVar("T")

FRAMES_A_PART = 1024
"""Frames after which what is found is safe on the disk. Every size of a batch divides it, so that a run
that goes on behind a part has the batches, and so the last digits, of one that was never stopped."""


CLOSELY_EVERY_S, CLOSELY_EVERY = 10.0, 10
"""One frame of so many seconds of a video, and one of so many pictures, is searched at its full size too."""


def mark(
    frames: Generator[Frame, None, None],
    settings: AnnotateSettings,
    resume: Resume | None = None,
) -> Generator[MarkedFrame, None, None]:
    """Blacken what must not be seen, number frames, find cuts, and say which are searched for faces.

    Args:
        frames: in order; those of videos have times. Closed at the end.
        settings: masks, and how many frames are searched; besides, every picture is, the first frame of each
            scene, and any before which, or behind which, none would be for longer than `max_gap_s`.
        resume: what is known of the frames before them.

    Raises:
        UsageError: there are masks, and none lies inside a frame of a video.
    """
    with closing(frames):
        yield from _marked(frames, settings, resume)


def _marked(
    frames: Iterable[Frame], settings: AnnotateSettings, resume: Resume | None
) -> Iterator[MarkedFrame]:
    number, scene = (resume.number, resume.glance) if resume else (0, None)
    searched_s = resume.tracker["searched_s"] if resume and resume.tracker else 0.0
    last_s = resume.position.time_s if resume else None
    for (frame, seen), *following in _with_following(
        (_seen(frame, settings) for frame in frames), LOOK_AHEAD
    ):
        cut, shift = False, (0.0, 0.0)
        if seen is not None and frame.time_s is not None:
            later = () if settings.smoothing.causal else _thumbnails(following)
            step = next_frame(scene, seen, frame.time_s, later)
            cut, shift, scene = step.cut, step.shift, step.state
        # Tracks alone fill a frame that is not searched. A picture has none, nor has a scene's first frame;
        # and where faces are, no track tells for longer than `max_gap_s`.
        closely = _is_to_search_closely(number, frame.time_s, last_s)
        search = cut or closely or number % settings.detection.every == 0 or frame.time_s is None
        if frame.time_s is not None:
            next_s = following[0][0].time_s if following else None
            longest_s = settings.tracking.max_gap_s + SAME_TIME_S
            search = search or max(frame.time_s, next_s or 0.0) - searched_s > longest_s
            searched_s = frame.time_s if search and frame.picture is not None else searched_s
        yield MarkedFrame(frame, number, cut, search, closely, scene, shift)
        number, last_s = number + 1, frame.time_s


def _seen(frame: Frame, settings: AnnotateSettings) -> tuple[Frame, Thumbnail | None]:
    """The frame, with what must not be seen blackened, and its thumbnail; None where it has none.

    Pictures have no time, so nothing is followed from one to the next.
    """
    picture = frame.picture
    if picture is not None and settings.privacy.masks:
        if frame.time_s is not None:
            _check_masks(picture.size, settings.privacy.masks)
        image = picture.rgb()
        blacken(image, settings.privacy.masks)
        picture = ArrayPicture(image)
        frame = replace(frame, picture=picture)
    return frame, None if picture is None or frame.time_s is None else thumbnail(picture)


def _thumbnails(frames: Iterable[tuple[Frame, Thumbnail | None]]) -> list[tuple[Thumbnail, float]]:
    """Those that there are, and when their frames are shown."""
    return [(seen, frame.time_s) for frame, seen in frames if seen is not None and frame.time_s is not None]


def _is_to_search_closely(number: int, time_s: float | None, last_s: float | None) -> bool:
    """Whether a frame is searched at its full size too, which shows how many faces are too small without.

    Args:
        number: of the frame, from 0.
        time_s: when it is shown; None for pictures.
        last_s: when the frame before it is shown; None for the first.
    """
    if time_s is None or last_s is None:
        return number % CLOSELY_EVERY == 0
    return time_s // CLOSELY_EVERY_S > last_s // CLOSELY_EVERY_S


def _check_masks(size: tuple[int, int], masks: Sequence[tuple[int, int, int, int]]) -> None:
    """Nothing, where at least one mask covers some of a frame: several may be for cameras of several sizes.

    Raises:
        UsageError: none does, and all that was to be hidden would be seen.
    """
    height, width = size
    if not any(x < width and y < height for x, y, _, _ in masks):
        stated = "; ".join(",".join(map(str, mask)) for mask in masks)
        raise UsageError(f"no mask lies inside the frames of {width}x{height} pixels: {stated}")


def _with_following(items: Iterable[T], count: int) -> Iterator[tuple[T, ...]]:
    """Each item and up to so many after it; no others are held."""
    remaining = iter(items)
    held = deque(islice(remaining, count))
    for item in remaining:
        held.append(item)
        del item  # it would outlive its turn
        yield tuple(held)
        held.popleft()
    while held:
        yield tuple(held)
        held.popleft()


@dataclass(frozen=True)
class Detecting:
    """Find faces.

    Args:
        detector: None takes every picture for one face.
        quarters: how often pictures have to be turned clockwise for their faces to be upright.
    """

    detector: Detector | None
    quarters: int = 0

    def __call__(self, batch: list[MarkedFrame]) -> list[DetectedFrame]:
        """The frames with the faces of those that are searched; none where nothing could be decoded."""
        found: list[Detections | None] = [None] * len(batch)
        to_search: list[tuple[int, Picture]] = []
        for index, marked in enumerate(batch):
            picture = marked.frame.picture
            if picture is None:
                found[index] = no_faces()
            elif self.detector is None:
                found[index] = _whole_picture(*picture.size)
            elif marked.search:
                to_search.append((index, picture))
        if self.detector is not None and to_search:
            upright = [turned(picture, self.quarters) for _, picture in to_search]
            faces = self.detector.detect_batch(upright)
            for (index, picture), one in zip(to_search, faces, strict=True):
                found[index] = one.turned_back(self.quarters, picture.size)
        return [DetectedFrame(marked, faces) for marked, faces in zip(batch, found, strict=True)]


def look_closely(
    frames: Iterable[DetectedFrame], detector: Detector | None, quarters: int, pool: Executor
) -> Iterator[DetectedFrame]:
    """Have the full size of some frames searched in the background: it takes as long as dozens of frames.

    Args:
        frames: in order.
        detector: None takes every picture for one face, and misses none.
        quarters: as of `Detecting`.
        pool: does it, as soon as it can.
    """
    for detected in frames:
        picture, faces = detected.marked.frame.picture, detected.faces
        if not detected.marked.closely or detector is None or picture is None or faces is None:
            yield detected
        else:
            missed = pool.submit(_count_missed, picture, faces, detector, quarters)
            yield replace(detected, missed=missed)


def _count_missed(picture: Picture, faces: Detections, detector: Detector, quarters: int) -> int:
    closely = detector.detect_closely(turned(picture, quarters))
    if closely is None:
        return 0
    return int(np.count_nonzero(~confirmed(closely.turned_back(quarters, picture.size), faces)))


def follow(
    frames: Iterable[DetectedFrame], tracker: Tracker | None, looks: OcclusionLooks
) -> Iterator[TrackedFrame]:
    """Give faces their tracks, and frames that were not searched the faces expected there.

    Args:
        frames: in order.
        tracker: None for pictures, which have no time to follow faces through.
        looks: tells which faces are due for a look.
    """
    for detected in frames:
        marked, frame = detected.marked, detected.marked.frame
        if tracker is None or frame.time_s is None or frame.picture is None:
            faces = detected.faces or no_faces()
            tracks, to_crop = np.full(len(faces), -1, np.int64), faces
            due = np.ones(len(faces), bool)
        elif detected.faces is None:
            tracks, boxes, points, scores = tracker.coast(frame.time_s, frame.picture.size, marked.shift)
            faces = _unseen(boxes)
            to_crop = _of_points(points, scores)
            due = np.zeros(len(faces), bool)  # where it is was guessed
        else:
            faces = to_crop = detected.faces
            tracks = tracker.update(
                frame.time_s,
                faces.boxes,
                frame.picture.size,
                points=_points(faces),
                scores=faces.scores,
                cut=marked.cut,
                shift=marked.shift,
            )
            due = looks.due(tracks, frame.time_s)
        resume = None
        if (marked.number + 1) % FRAMES_A_PART == 0:
            resume = {
                "position": asdict(Position.of(frame)),
                "number": marked.number + 1,
                "glance": marked.glance and marked.glance.as_json(),
                "tracker": None if tracker is None else tracker.state,
                "looks": looks.state,
            }
        size = None if frame.picture is None else frame.picture.size
        yield TrackedFrame(frame, faces, tracks, to_crop, size, due, detected.missed, resume)


@dataclass(frozen=True)
class Cropping:
    """Cut the faces of frames out.

    Args:
        classifier: whose card tells how to cut.
        whole: every picture is one face already.
        quarters: how often such a face has to be turned clockwise to be upright; others by their landmarks.
    """

    classifier: Classifies
    whole: bool
    quarters: int = 0

    def __call__(self, batch: list[TrackedFrame]) -> list[CroppedFrame]:
        """The faces of the frames, whose own pictures are free from here on."""
        return [self._crop(tracked) for tracked in batch]

    def _crop(self, tracked: TrackedFrame) -> CroppedFrame:
        card, picture, faces = self.classifier.card, tracked.frame.picture, tracked.faces
        size = card.input_size
        if picture is None or not len(faces):
            crops = np.empty((0, size, size), np.uint8)
        elif self.whole:
            face = shrunk(picture.gray(slice(None), slice(None)), (size, size))
            crops = np.ascontiguousarray(np.rot90(face, -self.quarters))[None]
        else:
            crops = crop_faces(picture, tracked.to_crop.boxes, tracked.to_crop.landmarks, card.crop, size)
        bare = replace(tracked, frame=replace(tracked.frame, picture=None))
        return CroppedFrame(bare, crops)


@dataclass(frozen=True)
class Classifying:
    """Read the expressions of a batch of frames in one pass, and judge how well each face can be read.

    Args:
        classifier: reads the expressions.
        flaws: sees whether anything hides a face.
    """

    classifier: Classifies
    flaws: FlawFinder

    def __call__(self, batch: list[CroppedFrame]) -> list[AnnotatedFrame]:
        """The same frames with the quality and the probabilities of their faces."""
        crops = np.concatenate([item.crops for item in batch])
        faces = [item.tracked.to_crop for item in batch]
        together = Detections(
            np.concatenate([one.boxes for one in faces]),
            np.concatenate([one.scores for one in faces]),
            np.concatenate([one.landmarks for one in faces]),
        )
        quality = face_quality(together, crops, self.classifier.card.input_size)
        probabilities = self.classifier.probabilities(crops)
        hidden = self._hidden(crops, np.concatenate([item.tracked.due for item in batch]))
        ends = np.cumsum([len(item.crops) for item in batch]).tolist()
        return [
            AnnotatedFrame(item.tracked, quality[begin:end], probabilities[begin:end], hidden[begin:end])
            for item, begin, end in zip(batch, [0, *ends], ends, strict=False)
        ]

    def _hidden(self, crops: NDArray[np.uint8], due: NDArray[np.bool_]) -> NDArray[np.float32]:
        hidden = np.full((len(crops), 2), np.nan, np.float32)
        if due.any():
            seen = self.flaws.find(np.stack([shrunk(crop, (SIDE, SIDE)) for crop in crops[due]]))
            hidden[due] = np.stack([seen.eyes_hidden, seen.mouth_hidden], 1)
        return hidden


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in order, `size` together, the last ones fewer.

    Batches depend on the items' order alone, never on timing: equal input gives equal batches.
    """
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def one_by_one(batches: Iterable[Sequence[T]]) -> Iterator[T]:
    """The items of all batches, in order."""
    return chain.from_iterable(batches)


def _unseen(boxes: NDArray[np.float32]) -> Detections:
    """Faces of which nothing is known but where they are."""
    n = len(boxes)
    return Detections(boxes, np.full(n, np.nan, np.float32), np.full((n, 5, 2), np.nan, np.float32))


def _points(faces: Detections) -> NDArray[np.float32]:
    """All that lies on faces, [N, 7, 2]: two corners of the box, and the landmarks."""
    return np.concatenate((faces.boxes.reshape(-1, 2, 2), faces.landmarks), axis=1)


def _of_points(points: NDArray[np.float32], scores: NDArray[np.float32]) -> Detections:
    """The faces that `_points` was made of."""
    points = points.reshape(-1, 7, 2)
    return Detections(points[:, :2].reshape(-1, 4), scores, points[:, 2:])


def _whole_picture(height: int, width: int) -> Detections:
    return _unseen(np.array([[0, 0, width, height]], np.float32))

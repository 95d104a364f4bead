"""Detecting, cropping and classifying, as functions that a pool can run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from fer_batch.annotation.frames import AnnotatedFrame, DetectedFrame, Frame
from fer_batch.inference.classifier import Classifies
from fer_batch.inference.crop import crop_faces, gray_square
from fer_batch.inference.detector import Detections, Detector

_FACES_A_BATCH = 16
_FRAMES_A_BATCH = 16
"""A batch is full at so many faces, or frames: frames without faces must not be held back."""


@dataclass(frozen=True)
class Detecting:
    """Find and cut out the faces of a frame.

    Args:
        detector: None takes every picture for one face.
        classifier: whose card tells how to cut.
        keep_images: pass the picture on, for an overlay; otherwise its memory is free from here on.
    """

    detector: Detector | None
    classifier: Classifies
    keep_images: bool

    def __call__(self, frame: Frame) -> DetectedFrame:
        """The frame with its faces; none where it could not be decoded."""
        card, image = self.classifier.card, frame.image
        kept = frame if self.keep_images else replace(frame, image=None)
        if image is None:
            return DetectedFrame(kept, _no_faces(), np.empty((0, card.input_size, card.input_size), np.uint8))
        if self.detector is None:
            return DetectedFrame(
                kept, _whole_picture(*image.shape[:2]), gray_square(image, card.input_size)[None]
            )
        faces = self.detector.detect(image)
        return DetectedFrame(kept, faces, crop_faces(image, faces.boxes, card.crop, card.input_size))


@dataclass(frozen=True)
class Classifying:
    """Read the expressions of a batch of frames in one pass."""

    classifier: Classifies

    def __call__(self, batch: list[DetectedFrame]) -> list[AnnotatedFrame]:
        """The same frames with the probabilities of their faces."""
        probabilities = self.classifier.probabilities(np.concatenate([item.crops for item in batch]))
        ends = np.cumsum([len(item.faces) for item in batch])
        parts = np.split(probabilities, ends[:-1])
        return [AnnotatedFrame(item.frame, item.faces, part) for item, part in zip(batch, parts, strict=True)]


def in_batches(frames: Iterable[DetectedFrame]) -> Iterator[list[DetectedFrame]]:
    """Frames in order, as many together as make a batch of faces.

    Batches depend on the frames alone, never on timing: equal input gives equal batches.
    """
    batch: list[DetectedFrame] = []
    faces = 0
    for frame in frames:
        batch.append(frame)
        faces += len(frame.faces)
        if faces >= _FACES_A_BATCH or len(batch) >= _FRAMES_A_BATCH:
            yield batch
            batch, faces = [], 0
    if batch:
        yield batch


def one_by_one(batches: Iterable[list[AnnotatedFrame]]) -> Iterator[AnnotatedFrame]:
    """The frames of all batches, in order."""
    return chain.from_iterable(batches)


def _no_faces() -> Detections:
    return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


def _whole_picture(height: int, width: int) -> Detections:
    box = np.array([[0, 0, width, height]], np.float32)
    return Detections(box, np.full(1, np.nan, np.float32), np.full((1, 5, 2), np.nan, np.float32))

"""What frames carry from stage to stage."""

from __future__ import annotations

import weakref
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from fer_batch.annotation.frames import DetectedFrame, Frame, MarkedFrame
from fer_batch.annotation.occlusion import OcclusionLooks
from fer_batch.annotation.stages import Classifying, Cropping, follow, mark
from fer_batch.annotation.track import Tracker
from fer_batch.inference.crop import crop_square
from fer_batch.inference.detections import Detections
from fer_batch.inference.flaws import FlawFinder
from fer_batch.inference.picture import ArrayPicture
from fer_batch.model.crop_geometry import FER2013_CROP
from fer_batch.model.onnx_file import ModelCard
from fer_batch.settings import AnnotateSettings, DetectionSettings, TrackingSettings


def test_no_more_frames_are_held_than_this_one_and_the_next_two() -> None:
    alive: weakref.WeakSet[Frame] = weakref.WeakSet()
    held: list[int] = []

    def frames() -> Generator[Frame, None, None]:
        for index in range(200):
            frame = Frame(index, None, None)
            alive.add(frame)
            yield frame

    for marked in mark(frames(), AnnotateSettings()):
        held.append(len(alive))
        del marked
    assert len(held) == 200
    assert max(held) <= 4  # the source may hold its last


def test_the_roundness_of_a_clock_makes_no_search() -> None:
    picture = ArrayPicture(np.zeros((48, 64, 3), np.uint8))
    frames = (Frame(index, time_s, picture) for index, time_s in enumerate((0.6, 0.8, 1.1)))
    rarely = AnnotateSettings(
        detection=DetectionSettings(every=1000), tracking=TrackingSettings(max_gap_s=0.5)
    )
    assert [marked.search for marked in mark(frames, rarely)] == [True, False, False]  # 1.1 - 0.6 > 0.5


class ReadsNothing:
    """Only the card of a classifier."""

    card = ModelCard("none", {"fer2013": 1.0}, crop=FER2013_CROP)
    batch_size = 1

    def probabilities(self, crops: NDArray[np.uint8], /) -> NDArray[np.float32]:
        return np.empty((len(crops), 7), np.float32)


def moving(step: int, *, searched: bool) -> DetectedFrame:
    """A face that turns away while it goes right by 4 pixels a frame; bright where its square begins."""
    box = np.array([100, 100, 180, 200], np.float32) + np.array([4, 0, 4, 0], np.float32) * step
    landmarks = np.array([[140, 136], [170, 136], [160, 156], [145, 173], [168, 173]], np.float32)
    landmarks[:, 0] += 4 * step
    ramp = np.broadcast_to((np.arange(400) % 256).astype(np.uint8)[None, :, None], (300, 400, 3)).copy()
    picture = ArrayPicture(np.roll(ramp, 4 * step, axis=1))
    frame = Frame(step, step / 25, picture)
    faces = Detections(box[None], np.array([0.7], np.float32), landmarks[None]) if searched else None
    return DetectedFrame(
        MarkedFrame(frame, step, cut=False, search=searched, closely=False, glance=None), faces
    )


def test_a_face_between_searches_is_cut_out_as_at_the_last_search() -> None:
    frames = [moving(step, searched=step < 20) for step in range(22)]
    tracked = list(follow(frames, Tracker(TrackingSettings()), OcclusionLooks()))
    crops = [item.crops[0] for item in Cropping(ReadsNothing(), whole=False)(tracked)]
    seen, expected = tracked[19], tracked[21]
    assert np.isnan(expected.faces.landmarks).all()
    assert expected.tracks.tolist() == [0]

    def square(item: int) -> tuple[float, float, float]:
        to_crop = tracked[item].to_crop
        return crop_square(to_crop.boxes[0], to_crop.landmarks[0], FER2013_CROP)

    by_box = crop_square(seen.faces.boxes[0], np.full((5, 2), np.nan, np.float32), FER2013_CROP)
    assert abs(square(19)[2] - by_box[2]) > 2  # else this would not tell
    np.testing.assert_allclose(square(21), np.add(square(19), (8, 0, 0)), atol=0.5)
    np.testing.assert_allclose(crops[21].astype(int), crops[19].astype(int), atol=3)


def test_a_face_between_searches_is_turned_aside_and_doubtful_as_at_the_last_one() -> None:
    frames = [moving(step, searched=step < 20) for step in range(22)]
    cropped = Cropping(ReadsNothing(), whole=False)(
        list(follow(frames, Tracker(TrackingSettings()), OcclusionLooks()))
    )
    *_, seen, _, expected = Classifying(ReadsNothing(), FlawFinder())(cropped)
    assert np.isnan(expected.tracked.faces.scores).all()
    for part in ("pose", "detection"):
        known = getattr(seen.quality, part)
        assert 0 < known < 1
        np.testing.assert_allclose(getattr(expected.quality, part), known, atol=1e-5)

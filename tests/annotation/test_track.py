"""Tracks stay with their faces, on walks whose every step is known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_batch.annotation import annotate
from fer_batch.annotation.track import Tracker
from fer_batch.settings import AnnotateSettings, DetectionSettings, TrackingSettings
from tests.videos import encode

SIZE = (720, 1280)
FPS = 25


def boxes(*centres: tuple[float, float], height: float = 60.0) -> np.ndarray:
    return np.array(
        [[x - 0.4 * height, y - height / 2, x + 0.4 * height, y + height / 2] for x, y in centres], np.float32
    ).reshape(-1, 4)


def tracker(max_gap_s: float = 2.0) -> Tracker:
    return Tracker(TrackingSettings(max_gap_s=max_gap_s))


def test_numbers_begin_at_zero_in_order_of_appearance() -> None:
    following = tracker()
    assert following.update(0.0, boxes((100, 100), (500, 300)), SIZE).tolist() == [0, 1]
    assert following.update(0.04, boxes((501, 300), (101, 100), (900, 200)), SIZE).tolist() == [1, 0, 2]
    assert following.update(0.08, boxes(), SIZE).tolist() == []


def test_faces_that_cross_keep_their_numbers() -> None:
    following = tracker()
    for frame in range(100):
        x = 100 + 8.0 * frame
        numbers = following.update(frame / FPS, boxes((x, 300), (900 - x + 100, 320)), SIZE)
        assert numbers.tolist() == [0, 1], frame


def test_a_face_that_is_missed_for_a_while_comes_back_as_itself() -> None:
    following = tracker()
    for frame in range(50):
        visible = frame < 20 or frame >= 40
        found = boxes((100 + 6.0 * frame, 300)) if visible else boxes()
        assert following.update(frame / FPS, found, SIZE).tolist() == [0] * visible


def test_a_face_that_is_missed_for_too_long_is_another() -> None:
    following = tracker(max_gap_s=0.5)
    assert following.update(0.0, boxes((300, 300)), SIZE).tolist() == [0]
    assert following.update(0.3, boxes(), SIZE).tolist() == []
    assert following.update(0.6, boxes((300, 300)), SIZE).tolist() == [1]


def test_the_roundness_of_a_clock_ends_no_track() -> None:
    following = tracker(max_gap_s=0.5)
    assert following.update(0.6, boxes((300, 300)), SIZE).tolist() == [0]
    assert following.update(0.7, boxes(), SIZE).tolist() == []
    assert following.update(1.1, boxes((300, 300)), SIZE).tolist() == [0]  # 1.1 - 0.6 > 0.5


@pytest.mark.parametrize("seconds", [2.002, 10.0, 3600.0])
def test_where_nobody_looks_for_long_a_face_that_stays_is_itself(seconds: float) -> None:
    following, rng = tracker(), np.random.default_rng(0)
    for frame in range(20):
        (x, y), (u, v) = rng.uniform(-15, 15, (2, 2))
        found = boxes((300 + x, 300 + y), (420 + u, 300 + v))
        assert following.update(frame * seconds, found, SIZE).tolist() == [0, 1]
    following.update(20 * seconds, boxes((300, 300)), SIZE)
    # The other one was looked for and not found.
    assert following.update(21 * seconds, boxes((300, 300), (420, 300)), SIZE).tolist() == [0, 2]


def test_where_nobody_looks_for_long_a_face_elsewhere_is_another() -> None:
    following = tracker()
    for frame in range(10):  # it walks, which tells nothing of where it is so much later
        following.update(frame / FPS, boxes((300 + 5.0 * frame, 300)), SIZE)
    state = following.state
    for place, number in (((350, 300), 0), ((375, 310), 0), ((345, 370), 1), ((415, 300), 1)):
        later = Tracker(TrackingSettings(), state)
        assert later.update(12.0, boxes(place), SIZE).tolist() == [number], place
    bigger = Tracker(TrackingSettings(), state).update(12.0, boxes((345, 300), height=180), SIZE)
    assert bigger.tolist() == [1]


def test_one_that_walked_out_is_not_the_next_that_walks_in() -> None:
    following = tracker()
    for frame in range(40):
        x = 1100 + 8.0 * frame
        following.update(frame / FPS, boxes((x, 300)) if x < SIZE[1] else boxes(), SIZE)
    assert following.update(2.0, boxes((1270, 300)), SIZE).tolist() == [1]


def test_nothing_goes_on_across_a_cut() -> None:
    following = tracker()
    following.update(0.0, boxes((300, 300)), SIZE)
    assert following.update(0.04, boxes((300, 300)), SIZE, cut=True).tolist() == [1]


def test_times_that_run_backwards_are_survived() -> None:
    following = tracker()
    for time_s in (0.0, 0.04, 0.0, 0.08):
        assert following.update(time_s, boxes((300, 300)), SIZE).tolist() == [0]


def test_coasting_goes_where_the_face_was_going() -> None:
    following = tracker()
    for frame in range(20):
        following.update(frame / FPS, boxes((200 + 5.0 * frame, 300), (800, 500)), SIZE)
    for frame in range(20, 24):
        numbers, expected, *_ = following.coast(frame / FPS, SIZE)
        assert numbers.tolist() == [0, 1]
        np.testing.assert_allclose(expected, boxes((200 + 5.0 * frame, 300), (800, 500)), atol=4)


def test_points_and_scores_of_faces_coast_with_them() -> None:
    following = tracker()
    rng = np.random.default_rng(0)
    points = np.array([[-12, -9], [12, -9], [0, 3]], np.float32)
    for frame in range(20):
        x, zoom = 200 + 5.0 * frame, 1.02**frame
        half = np.array([-30, -40, 30, 40]) * zoom * rng.normal(1, 0.05)  # as detectors measure
        grown = np.array([x, 300, x, 300]) + half
        found = np.concatenate((grown[None], boxes((800, 500)))).astype(np.float32)
        own = np.stack([points * zoom + (x, 300), [[1, 2], [np.nan, np.nan], [3, np.nan]]])
        scores = np.array([0.6 + frame / 100, np.nan], np.float32)
        following.update(frame / FPS, found, SIZE, points=own.astype(np.float32), scores=scores)
        following = Tracker(TrackingSettings(), json.loads(json.dumps(following.state, allow_nan=False)))
        *_, now, still = following.coast(frame / FPS, SIZE)
        np.testing.assert_allclose(now, own, rtol=1e-5)
        np.testing.assert_array_equal(still, scores)
    *_, moved, _ = following.coast(22 / FPS, SIZE)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved[0], points * 1.02**22 + (310, 300), atol=2.5)
    assert np.isnan(moved[1]).tolist() == [[False, False], [True, True], [False, True]]


def test_only_what_was_found_at_the_last_search_coasts() -> None:
    following = tracker()
    following.update(0.0, boxes((300, 300), (600, 300)), SIZE)
    following.update(0.04, boxes((600, 300)), SIZE)
    numbers, *_ = following.coast(0.08, SIZE)
    assert numbers.tolist() == [1]


@given(seed=st.integers(0, 2**32 - 1), stop=st.integers(1, 39))
@settings(max_examples=20)
def test_a_tracker_made_of_the_state_goes_on_the_same(seed: int, stop: int) -> None:
    rng = np.random.default_rng(seed)
    starts, steps = rng.uniform(100, 1100, (5, 2)), rng.normal(0, 8, (5, 2))
    frames = [
        boxes(*[tuple(place) for place in starts + steps * frame if rng.random() < 0.9])
        for frame in range(40)
    ]
    whole, resumed = tracker(), tracker()
    for frame, found in enumerate(frames):
        if frame == stop:
            state = json.loads(json.dumps(resumed.state))
            resumed = Tracker(TrackingSettings(), state)
        shift = (float(rng.normal(0, 3)), float(rng.normal(0, 3)))
        if rng.random() < 0.3:
            going, now, *_ = whole.coast(frame / FPS, SIZE, shift)
            numbers, expected, *_ = resumed.coast(frame / FPS, SIZE, shift)
            assert np.array_equal(now, expected)
        else:
            going = whole.update(frame / FPS, found, SIZE, shift=shift)
            numbers = resumed.update(frame / FPS, found, SIZE, shift=shift)
        assert np.array_equal(going, numbers)
    assert whole.state == resumed.state


@pytest.mark.parametrize("faces", [0, 1, 30])
def test_every_face_gets_a_number_of_its_own(faces: int) -> None:
    places = [(40.0 * face + 20, 300.0) for face in range(faces)]
    numbers = tracker().update(0.0, boxes(*places), SIZE)
    assert sorted(numbers.tolist()) == list(range(faces))


Place = tuple[float, float]


def walk(seed: int, frames: int = 40, people: int = 5) -> list[list[Place]]:
    """Where people who keep apart are found in each frame; one in ten is missed."""
    rng = np.random.default_rng(seed)
    starts = np.stack([500 + 300.0 * np.arange(people), rng.uniform(400, 800, people)], 1)
    steps = rng.uniform(-2, 2, (people, 2))
    return [
        [(float(x), float(y)) for x, y in starts + steps * frame if rng.random() < 0.9]
        for frame in range(frames)
    ]


@given(seed=st.integers(0, 2**32 - 1), farthest=st.floats(1, 1000), every=st.integers(1, 4))
@settings(max_examples=30)
def test_a_camera_whose_motion_is_known_changes_no_number(seed: int, farthest: float, every: int) -> None:
    rng = np.random.default_rng(seed)
    size = (4000, 4000)
    resting, moving = tracker(), tracker()
    place = np.array([1500.0, 1500.0])
    for frame, faces in enumerate(walk(seed)):
        shift = np.clip(place + rng.uniform(-farthest, farthest, 2), 1000, 2000) - place
        place = place + shift
        time_s, way = frame / FPS, (float(shift[0]), float(shift[1]))
        if frame % every:
            before, expected, *_ = resting.coast(time_s, size)
            numbers, shifted, *_ = moving.coast(time_s, size, way)
            np.testing.assert_allclose(shifted, expected + np.tile(place, 2), atol=30)
            assert np.array_equal(before, numbers)
        else:
            seen = boxes(*faces)
            shifted = (seen + np.tile(place, 2)).astype(np.float32)
            assert np.array_equal(
                resting.update(time_s, seen, size), moving.update(time_s, shifted, size, shift=way)
            )


def test_the_motion_of_the_camera_is_none_of_the_faces() -> None:
    following = tracker()
    for frame in range(20):
        x = 300 + 5.0 * frame  # half of it is the camera's, which then stops
        following.update(frame / FPS, boxes((x, 300)), SIZE, shift=(2.5 if frame else 0.0, 0.0))
    _, expected, *_ = following.coast(24 / FPS, SIZE)
    np.testing.assert_allclose(expected, boxes((395 + 12.5, 300)), atol=5)


@given(
    frames=st.integers(1, 12),
    speed=st.floats(-20, 20),
    angle=st.floats(0, 2 * math.pi),
    shift=st.tuples(st.floats(-60, 60), st.floats(-60, 60)),
    told=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100)
def test_a_box_over_the_last_one_is_never_refused(
    frames: int, speed: float, angle: float, shift: tuple[float, float], told: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    following = tracker()
    x = 600.0
    for frame in range(frames):
        x = 600 + speed * frame
        following.update(frame / FPS, boxes((x, 300), (100, 100)), SIZE)
    height, width = 60.0, 48.0
    # A third of the whole way to either side, whatever was expected: overlaps by more than half.
    away = rng.uniform(0, 0.3) * np.array([width * math.cos(angle), height * math.sin(angle)])
    moved = shift if told else (0.0, 0.0)
    seen = boxes((x + away[0] + moved[0], 300 + away[1] + moved[1]))
    # The other face, far off, tells nothing of where this one went.
    assert following.update(frames / FPS, seen, SIZE, shift=moved).tolist() == [0]


def test_the_gate_refuses_what_overlaps_too_little() -> None:
    for away, number in ((15.0, 0), (45.0, 2)):
        following = tracker()
        for frame in range(20):
            following.update(frame / FPS, boxes((300, 300), (900, 300)), SIZE)
        seen = boxes((300 + away, 300), (900, 300))
        assert following.update(20 / FPS, seen, SIZE).tolist() == [number, 1]


@pytest.mark.parametrize("fps", [5.0, 12.5, 25.0, 60.0])
@pytest.mark.parametrize("hertz", [1.0, 3.0])
@pytest.mark.parametrize("faces", [1, 4])
def test_people_side_by_side_stay_apart_before_a_camera_that_shakes(
    fps: float, hertz: float, faces: int
) -> None:
    following, rng = tracker(), np.random.default_rng(0)
    for frame in range(round(6 * fps)):
        time_s = frame / fps
        x = 300 + 30 * math.sin(2 * math.pi * hertz * time_s)  # half a face to either side, unmeasured
        y = 300 + 15 * math.sin(2.6 * math.pi * hertz * time_s)
        order = rng.permutation(faces)
        places = [(x + 55.0 * person, y) for person in order]
        assert following.update(time_s, boxes(*places), SIZE).tolist() == order.tolist() or not frame
        if not frame:
            following = tracker()
            following.update(time_s, boxes(*[(x + 55.0 * person, y) for person in range(faces)]), SIZE)


@pytest.mark.parametrize("fps", [12.5, 25.0, 60.0])
@pytest.mark.parametrize("speed", [2.0, 4.0, 8.0])
def test_faces_stay_themselves_before_a_camera_that_pans_unmeasured(fps: float, speed: float) -> None:
    following, size = tracker(), (720, 4000)
    for frame in range(round(3 * fps)):
        x = 2000 + 60 * speed * (1.5 - abs(frame / fps - 1.5))  # there, and back at once
        assert following.update(frame / fps, boxes((x, 300), (x + 60, 310)), size).tolist() == [0, 1]


def test_one_that_leaves_and_another_that_comes_are_no_motion_of_the_camera() -> None:
    following = tracker()
    for frame in range(20):
        following.update(frame / FPS, boxes((300, 300), (500, 300), (700, 300)), SIZE)
    seen = boxes((300, 300), (535, 300), (700, 300))
    assert following.update(20 / FPS, seen, SIZE).tolist() == [0, 3, 2]


def portrait(move: Callable[[float], Place], frames: int) -> list[np.ndarray]:
    """Views of a portrait whose face is 110 pixels high, by how far the camera is from it at each second."""
    astronaut = pytest.importorskip("skimage.data").astronaut()
    views = []
    for frame in range(frames):
        x, y = move(frame / FPS)
        shift = np.array([[1.6, 0, 320 - 1.6 * (224 + x)], [0, 1.6, 180 - 1.6 * (130 + y)]])
        views.append(cv2.warpAffine(astronaut, shift, (640, 360), borderMode=cv2.BORDER_REPLICATE))
    return views


def shaken(time_s: float) -> Place:
    return 55 * math.sin(4 * math.pi * time_s), 27 * math.sin(5.2 * math.pi * time_s)


def panned(time_s: float) -> Place:
    way = (4 * time_s / 1.6) % 2
    return min(way, 2 - way) * 176 - 88, 0.0


@pytest.mark.parametrize("move", [shaken, panned])
@pytest.mark.parametrize("every", [1, 5])
def test_a_face_in_a_video_has_one_track_however_the_camera_moves(
    move: Callable[[float], Place], every: int, tmp_path: Path
) -> None:
    views = portrait(move, 50)
    encode(tmp_path / "moved.mp4", views, fps=FPS)
    settings = AnnotateSettings(detection=DetectionSettings(every=every))
    annotate([str(tmp_path / "moved.mp4")], tmp_path / "out", settings)
    faces = pd.read_csv(tmp_path / "out" / "moved" / "faces.csv")
    assert faces.track.tolist() == [0] * len(views)
    centres = faces[["x", "y"]].to_numpy() + faces[["width", "height"]].to_numpy() / 2
    moves = np.array([move(frame / FPS) for frame in range(len(views))])
    still = centres + 1.6 * moves  # where it would be, had the camera rested
    # Where nobody looked too, it is within a quarter of the face of where it was seen.
    assert np.abs(still - np.median(still, axis=0)).max() < 0.25 * 176

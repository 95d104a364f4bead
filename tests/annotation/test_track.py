"""Tracks stay with their faces, on walks whose every step is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_batch.annotation.track import Tracker
from fer_batch.settings import TrackingSettings

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
        assert np.array_equal(
            whole.update(frame / FPS, found, SIZE), resumed.update(frame / FPS, found, SIZE)
        )
    assert whole.state == resumed.state


@pytest.mark.parametrize("faces", [0, 1, 30])
def test_every_face_gets_a_number_of_its_own(faces: int) -> None:
    places = [(40.0 * face + 20, 300.0) for face in range(faces)]
    numbers = tracker().update(0.0, boxes(*places), SIZE)
    assert sorted(numbers.tolist()) == list(range(faces))

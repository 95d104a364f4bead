"""Cuts are found, and what moves or gets lighter is none."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import astronaut, coffee
from videos import FACE, moving_face, portrait

from fer_batch.annotation.decode import DecodeReport, read_frames
from fer_batch.annotation.scenes import Thumbnail, compare, is_cut, thumbnail
from fer_batch.annotation.sources import Source
from fer_batch.inference.picture import ArrayPicture
from fer_batch.settings import SamplingSettings


def seen(image: np.ndarray) -> Thumbnail:
    return thumbnail(ArrayPicture(image))


def test_another_picture_is_another_scene() -> None:
    assert is_cut(seen(portrait()), seen(cv2.resize(coffee(), (320, 180))))


def test_motion_and_slow_light_are_not() -> None:
    frames = moving_face(20)
    for before, after in itertools.pairwise(frames):
        assert not is_cut(seen(before), seen(after))
    picture = portrait()
    assert not is_cut(seen(picture), seen(np.clip(picture * 1.08, 0, 255).astype(np.uint8)))


def test_another_size_is_another_scene() -> None:
    picture = portrait()
    half = picture[: picture.shape[0] // 2 * 2 : 2, : picture.shape[1] // 2 * 2 : 2]
    assert is_cut(seen(picture), seen(half))


def test_any_size_has_a_thumbnail() -> None:
    for size in ((1, 1), (18, 32), (2160, 3840), (50, 4000)):
        assert seen(np.zeros((*size, 3), np.uint8)).brightness.shape == (36, 64)


def test_one_take_has_no_cut(shared_data: Path) -> None:
    source = Source("pexels", shared_data / "clips" / "pexels.mp4", "video")
    before = None
    for frame in read_frames(source, SamplingSettings(), DecodeReport()):
        assert frame.picture is not None
        now = thumbnail(frame.picture)
        assert before is None or not is_cut(before, now)
        before = now


def view(right: float, down: float) -> np.ndarray:
    """The portrait from a camera, its content so many pixels to the right and down."""
    matrix = np.array([[1.5, 0, right - 120], [0, 1.5, down]])
    return cv2.warpAffine(
        astronaut(), matrix, (640, 360), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )


@given(st.floats(-100, 100), st.floats(-60, 60))
def test_how_far_the_camera_moved_is_known_to_a_fraction_of_a_pixel_of_the_thumbnail(
    right: float, down: float
) -> None:
    comparison = compare(seen(view(0, 0)), seen(view(right, down)))
    assert comparison.correlation > 0.7
    if max(abs(right), abs(down)) > 3:
        assert comparison.shift == pytest.approx((right, down), abs=4)


def test_who_moves_in_front_of_a_resting_camera_moves_no_camera() -> None:
    ground = cv2.resize(coffee(), (640, 360))
    x0, y0, x1, y1 = FACE
    head = cv2.resize(astronaut()[y0:y1, x0:x1], (220, 280))
    frames = [ground.copy() for _ in range(2)]
    for frame, x in zip(frames, (200, 212), strict=True):
        frame[60:340, x : x + 220] = head
    assert compare(*map(seen, frames)).shift == (0.0, 0.0)

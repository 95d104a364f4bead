"""Light, contrast and sharpness follow what is done to a picture; faces are measured from their points."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.quality.checks import CHECKS
from fer_batch.quality.faces import Faces
from fer_batch.quality.measure import measure_faces, measure_light

STEPS = 8


def textured(seed: int) -> np.ndarray:
    """A picture with edges and detail of every size, and room for changes of light: uint8 [48, 48]."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.uniform(-1, 1, (side, side)), (48, 48), interpolation=cv2.INTER_LINEAR)
        for side in (3, 6, 12, 24, 48)
    ]
    return (128 + 30 * sum(layers)).clip(40, 215).astype(np.uint8)


def scores(check: str, pictures: list[np.ndarray]) -> np.ndarray:
    return CHECKS[check].score(measure_light(np.stack(pictures).astype(np.uint8)))


@given(st.integers(0, 2**32 - 1))
def test_a_darker_picture_is_darker(seed: int) -> None:
    picture = textured(seed)
    assert (np.diff(scores("dark", [picture * gain for gain in np.linspace(1, 0.1, STEPS)])) > 0).all()


@given(st.integers(0, 2**32 - 1))
def test_a_brighter_picture_is_brighter(seed: int) -> None:
    picture = textured(seed)
    made = [picture + (255.0 - picture) * share for share in np.linspace(0, 0.9, STEPS)]
    assert (np.diff(scores("bright", made)) > 0).all()


@given(st.integers(0, 2**32 - 1))
def test_less_contrast_is_less_contrast(seed: int) -> None:
    picture = textured(seed)
    made = [128 + (picture - 128.0) * share for share in np.linspace(1, 0.1, STEPS)]
    assert (np.diff(scores("low_contrast", made)) > 0).all()


@given(st.integers(0, 2**32 - 1))
def test_a_blurred_picture_is_blurrier(seed: int) -> None:
    picture = textured(seed)
    # Below a pixel blur first takes the noise away, which has no part in sharpness.
    made = [cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (0.8, 1.1, 1.5, 2.0, 3.0)]
    assert (np.diff(scores("blurry", made)) > 0).all()


@given(st.integers(0, 2**32 - 1))
def test_noise_makes_no_picture_sharp_or_blurry(seed: int) -> None:
    picture = cv2.GaussianBlur(textured(seed), (0, 0), 1.0)
    noisy = picture + np.random.default_rng(seed).normal(0, 4, picture.shape)
    plain, changed = scores("blurry", [picture, noisy.clip(0, 255)])
    assert abs(changed - plain) < 0.25


@pytest.mark.parametrize("level", [0, 7, 128, 255])
def test_one_gray_level_is_blank_and_not_blurry(level: int) -> None:
    blank = np.full((48, 48), level, np.uint8)
    assert scores("blank", [blank])[0] == 1
    assert np.isnan(scores("blurry", [blank])[0])
    speck = blank.copy()
    speck[20:28, 20:28] ^= 64
    assert scores("blank", [speck])[0] < 0.1


POINTS = np.array([[15.6, 20], [32, 20], [23.8, 28], [17, 34.6], [30.6, 34.6]], np.float32)
"""A face as FER2013 has most of them."""


def off_centre(points: np.ndarray, score: float = 0.9) -> float:
    faces = Faces(np.array([score], np.float32), points[None].astype(np.float32))
    return float(CHECKS["off_centre"].score(measure_faces(faces))[0])


def moved(turn: float = 0.0, size: float = 1.0, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    angle = np.radians(turn)
    turning = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([23.8, 27.3])
    return (POINTS - middle) @ turning.T * size + middle + shift


def test_an_ordinary_face_is_in_its_place() -> None:
    assert off_centre(POINTS) < 0.1


@pytest.mark.parametrize(
    "change", [{"turn": 60}, {"turn": -90}, {"turn": 180}, {"size": 2.2}, {"size": 0.4}, {"shift": (12, 0)}]
)
def test_a_face_elsewhere_is_an_issue(change: dict) -> None:
    assert off_centre(moved(**change)) >= 0.5


@given(st.floats(0, 170), st.floats(1, 9))
def test_further_off_is_worse(turn: float, more: float) -> None:
    assert off_centre(moved(turn=turn + more)) >= off_centre(moved(turn=turn)) - 1e-6


def test_a_profile_is_an_issue() -> None:
    profile = POINTS.copy()
    profile[2, 0] += 16
    assert off_centre(profile) >= 0.5


def test_a_face_that_is_hardly_one_has_no_place() -> None:
    assert np.isnan(off_centre(POINTS, score=0.1))
    nothing = np.full((5, 2), np.nan, np.float32)
    assert np.isnan(off_centre(nothing, score=0.0))

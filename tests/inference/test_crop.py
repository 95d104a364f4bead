"""Crops lie where the geometry says, at every edge."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from fer_batch.inference.crop import crop_faces, crop_square, head_roll, landmark_terms
from fer_batch.inference.picture import ArrayPicture, shrunk
from fer_batch.model.crop_geometry import FER2013_CROP, CropGeometry, LandmarkGeometry, LandmarkTerms

coordinates = st.floats(-500, 500)
lengths = st.floats(0.1, 600)
UNKNOWN = np.full((5, 2), np.nan, np.float32)
FRONTAL = np.array([[-0.175, -0.14], [0.175, -0.14], [0, 0.06], [-0.145, 0.23], [0.145, 0.23]])
"""Landmarks from the box's centre and in its heights, as they lie in FER2013's pictures on average."""


EXACT = CropGeometry(1, 0, 0)
"""The square of a box that is one is the box."""


def by_box(box: list[float], geometry: CropGeometry = EXACT) -> tuple[float, float, float]:
    return crop_square(np.array(box, np.float32), UNKNOWN, geometry)


def cut(image: NDArray[np.uint8], box: list[float], geometry: CropGeometry = EXACT) -> NDArray[np.uint8]:
    return crop_faces(ArrayPicture(image), np.array([box], np.float32), UNKNOWN[None], geometry, 48)[0]


def by_landmarks(points: NDArray[np.float64], aspect: float = 0.79) -> tuple[float, float, float]:
    """The square of a box a hundred pixels high whose centre is (300, 200)."""
    half = 50 * aspect
    box = np.array([300 - half, 150, 300 + half, 250], np.float32)
    return crop_square(box, (points * 100 + (300, 200)).astype(np.float32), FER2013_CROP)


@given(x=coordinates, y=coordinates, width=lengths, height=lengths)
def test_any_box_gives_a_crop(x: float, y: float, width: float, height: float) -> None:
    crop = cut(np.full((120, 160, 3), 77, np.uint8), [x, y, x + width, y + height], FER2013_CROP)
    assert crop.shape == (48, 48)
    assert crop.dtype == np.uint8
    assert np.all(crop == 77)


@given(x=coordinates, y=coordinates, height=st.floats(2, 600))
def test_without_landmarks_the_square_has_the_stated_side_and_centre(
    x: float, y: float, height: float
) -> None:
    geometry = CropGeometry(side=1.1, centre_x=0.1, centre_y=-0.2)
    with_them = replace(geometry, landmarks=FER2013_CROP.landmarks)
    for stated in (geometry, with_them):
        centre_x, centre_y, side = by_box([x, y, x + 50, y + height], stated)
        assert side == pytest.approx(1.1 * height, rel=1e-3)
        assert centre_x == pytest.approx(x + 25 + 0.1 * height, abs=1e-2)
        assert centre_y == pytest.approx(y + height / 2 - 0.2 * height, abs=1e-2)


def test_a_card_without_factors_for_landmarks_does_not_look_at_them() -> None:
    box, geometry = [0.0, 0.0, 60.0, 80.0], CropGeometry()
    landmarks = np.full((5, 2), 7, np.float32)
    assert crop_square(np.array(box, np.float32), landmarks, geometry) == by_box(box, geometry)


def test_each_face_is_cut_by_what_is_known_of_it() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 180, 3), np.uint8)
    boxes = np.array([[10, 10, 70, 90], [100, 10, 160, 90]], np.float32)
    points = (FRONTAL * 80 + (40, 50)).astype(np.float32)
    known, unknown = crop_faces(ArrayPicture(image), boxes, np.stack([points, UNKNOWN]), FER2013_CROP, 48)
    assert np.array_equal(unknown, cut(image, boxes[1].tolist(), FER2013_CROP))
    assert not np.array_equal(known, cut(image, boxes[0].tolist(), FER2013_CROP))
    none = crop_faces(ArrayPicture(image), boxes[:0], np.empty((0, 5, 2), np.float32), FER2013_CROP, 48)
    assert none.shape == (0, 48, 48)


def test_a_frontal_face_has_about_the_square_of_its_box() -> None:
    assert by_landmarks(FRONTAL) == pytest.approx((300, 197.5, 97), abs=3)


points = arrays(np.float64, (5, 2), elements=st.floats(-1, 1))


@given(points=points, aspect=st.floats(0.3, 2))
def test_a_mirrored_face_has_the_mirrored_square(points: NDArray[np.float64], aspect: float) -> None:
    mirrored = points[[1, 0, 2, 4, 3]] * (-1, 1)
    centre_x, centre_y, side = by_landmarks(points, aspect)
    assert by_landmarks(mirrored, aspect) == pytest.approx((600 - centre_x, centre_y, side), abs=1e-3)


def test_coefficients_are_those_of_their_terms() -> None:
    box = np.array([0, 0, 80, 100], np.float32)
    points = np.array([[20, 32], [56, 40], [46, 58], [30, 78], [54, 76]], np.float32)
    landmarks_x, terms = landmark_terms(box, points)
    middle = (38 + 46 + 42) / 3
    assert landmarks_x == pytest.approx((middle - 40) / 100)
    expected = (1, 0.8, -0.14, 0.08, 0.27, 0.36, 0.24, ((middle - 40) / 100) ** 2, 0.08)
    assert terms == pytest.approx(expected)
    for name, value in terms._asdict().items():
        only = LandmarkTerms(**{term: float(term == name) for term in LandmarkTerms._fields})
        down = LandmarkTerms(*np.multiply(only, 0.1))
        square = crop_square(box, points, CropGeometry(landmarks=LandmarkGeometry(0.5, down, only)))
        side = min(max(math.exp(value), 0.7), 1.4)
        assert square == pytest.approx((40 + 0.5 * (middle - 40), 50 + 10 * value, 100 * side), abs=1e-6)


def test_the_square_goes_where_the_face_is_and_takes_a_turned_one_as_larger() -> None:
    centre_x, _, side = by_landmarks(FRONTAL)
    turned_x, _, turned_side = by_landmarks(np.add(FRONTAL, (0.15, 0)))
    assert turned_x > centre_x + 1
    assert turned_side > side


@given(points=points, aspect=st.floats(0.3, 2))
def test_no_landmarks_move_the_square_far(points: NDArray[np.float64], aspect: float) -> None:
    centre_x, centre_y, side = by_landmarks(points, aspect)
    assert abs(centre_x - 300) < 15.001
    assert abs(centre_y - 200) < 15.001
    assert 69.99 < side < 140.01


@given(scale=st.floats(0.1, 10), x=coordinates, y=coordinates)
def test_squares_move_and_grow_with_their_faces(scale: float, x: float, y: float) -> None:
    box, points = np.array([-30, -40, 30, 40], np.float64), np.add(FRONTAL, (0.05, 0)) * 80
    square = crop_square(box, points, FER2013_CROP)
    moved = crop_square(box * scale + (x, y, x, y), points * scale + (x, y), FER2013_CROP)
    assert moved == pytest.approx(np.array(square) * scale + (x, y, 0), abs=1e-6)


def test_a_square_has_at_least_a_pixel() -> None:
    assert by_box([5, 5, 5, 5]) == (5, 5, 1)


def test_what_is_inside_is_cut_out_exactly() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    image[50:98, 60:108] = np.arange(48, dtype=np.uint8)[:, None, None] + 100
    crop = cut(image, [60, 50, 108, 98])
    assert np.array_equal(crop, np.tile(np.arange(100, 148, dtype=np.uint8)[:, None], (1, 48)))


def test_beyond_the_edge_the_edge_is_repeated() -> None:
    image = np.full((100, 100, 3), 10, np.uint8)
    image[:, 0] = 200
    crop = cut(image, [-24, 20, 24, 68])
    assert np.all(crop[:, :25] == 200)
    assert np.all(crop[:, 25:] == 10)


def test_shrinking_averages() -> None:
    image = np.zeros((96, 96), np.uint8)
    image[::2] = 200
    assert np.all(shrunk(image, (48, 48)) == 100)


def test_colours_become_luma() -> None:
    red = np.zeros((48, 48, 3), np.uint8)
    red[..., 0] = 255
    assert ArrayPicture(red).gray(slice(5, 6), slice(5, 6)) == [[round(0.299 * 255)]]


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    rows=st.integers(1, 100),
    columns=st.integers(1, 100),
)
def test_shrinking_keeps_the_mean_and_gives_the_size(
    height: int, width: int, rows: int, columns: int
) -> None:
    ramp = np.add.outer(np.linspace(0, 100, height), np.linspace(0, 100, width)).astype(np.uint8)
    found = shrunk(ramp, (rows, columns))
    assert found.shape == (rows, columns)
    if rows <= height and columns <= width:
        assert abs(float(found.mean()) - float(ramp.mean())) < 4


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_that_lies_or_hangs_is_cut_out_as_the_upright_one(quarters: int) -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (300, 300, 3), np.uint8), (0, 0), 3).astype(np.uint8)
    box, middle = np.array([100, 90, 179, 190], np.float32), np.array([139.5, 140], np.float32)
    points = (FRONTAL * 100 + middle).astype(np.float32)
    upright = crop_faces(ArrayPicture(image), box[None], points[None], FER2013_CROP, 48)[0]
    turned_image = np.ascontiguousarray(np.rot90(image, -quarters))
    # Clockwise by a quarter, (x, y) goes to (300 - y, x).
    turn: dict[int, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
        1: lambda p: np.stack([300 - p[:, 1], p[:, 0]], 1),
        2: lambda p: 300 - p,
        3: lambda p: np.stack([p[:, 1], 300 - p[:, 0]], 1),
    }
    corners = turn[quarters](box.reshape(2, 2))
    lying = np.concatenate([corners.min(0), corners.max(0)])
    found = crop_faces(
        ArrayPicture(turned_image), lying[None], turn[quarters](points)[None], FER2013_CROP, 48
    )[0]
    assert np.abs(found.astype(int) - upright).mean() < 3
    assert abs(head_roll(turn[quarters](points))) == pytest.approx(min(quarters, 4 - quarters) * math.pi / 2)


@given(degrees=st.floats(-45, 45), seed=st.integers(0, 5))
def test_a_tilted_face_is_levelled(degrees: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.integers(0, 256, (300, 300, 3), np.uint8), (0, 0), 6).astype(np.uint8)
    image = np.clip((image.astype(int) - 128) * 5 + 128, 0, 255).astype(np.uint8)
    middle, angle = np.array([149.5, 149.5]), math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    points = FRONTAL * 100
    matrix = cv2.getRotationMatrix2D(middle.tolist(), -degrees, 1)
    tilted = cv2.warpAffine(image, matrix, (300, 300)).astype(np.uint8)
    # The box around the ellipse of a face of 72 by 100 pixels.
    half = np.hypot(36 * np.array([turn[0, 0], turn[0, 1]]), 50 * np.array([turn[0, 1], turn[0, 0]]))
    box = np.concatenate([middle - half, middle + half]).astype(np.float32)
    landmarks = (points @ turn + middle).astype(np.float32)
    upright_half = np.array([36, 50])
    upright_box = np.concatenate([middle - upright_half, middle + upright_half]).astype(np.float32)
    wanted = crop_faces(
        ArrayPicture(image), upright_box[None], (points + middle).astype(np.float32)[None], FER2013_CROP, 48
    )[0]
    found = crop_faces(ArrayPicture(tilted), box[None], landmarks[None], FER2013_CROP, 48)[0]
    if abs(degrees) > 16:  # below, the face is left as it is
        assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.95
    assert math.degrees(head_roll(landmarks)) == pytest.approx(degrees, abs=1e-2)

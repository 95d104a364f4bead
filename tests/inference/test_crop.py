"""Crops lie where the geometry says, at every edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.inference.crop import crop_faces, crop_square
from fer_batch.inference.picture import ArrayPicture, shrunk
from fer_batch.model.onnx_file import CropGeometry

coordinates = st.floats(-500, 500)
lengths = st.floats(0.1, 600)


@given(x=coordinates, y=coordinates, width=lengths, height=lengths)
def test_any_box_gives_a_crop(x: float, y: float, width: float, height: float) -> None:
    box = np.array([[x, y, x + width, y + height]], np.float32)
    crops = crop_faces(ArrayPicture(np.full((120, 160, 3), 77, np.uint8)), box, CropGeometry(), 48)
    assert crops.shape == (1, 48, 48)
    assert crops.dtype == np.uint8
    assert np.all(crops == 77)


@given(x=coordinates, y=coordinates, height=st.floats(2, 600))
def test_the_square_has_the_stated_side_and_centre(x: float, y: float, height: float) -> None:
    geometry = CropGeometry(side=1.1, centre_x=0.1, centre_y=-0.2)
    centre_x, centre_y, side = crop_square(np.array([x, y, x + 50, y + height], np.float64), geometry)
    assert side == pytest.approx(1.1 * height, rel=1e-5)
    assert centre_x == pytest.approx(x + 25 + 0.1 * height, abs=1e-3)
    assert centre_y == pytest.approx(y + height / 2 - 0.2 * height, abs=1e-3)


def test_what_is_inside_is_cut_out_exactly() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    image[50:98, 60:108] = np.arange(48, dtype=np.uint8)[:, None, None] + 100
    box = np.array([[60, 50, 108, 98]], np.float32)
    (crop,) = crop_faces(ArrayPicture(image), box, CropGeometry(1, 0, 0), 48)
    assert np.array_equal(crop, np.tile(np.arange(100, 148, dtype=np.uint8)[:, None], (1, 48)))


def test_beyond_the_edge_the_edge_is_repeated() -> None:
    image = np.full((100, 100, 3), 10, np.uint8)
    image[:, 0] = 200
    (crop,) = crop_faces(
        ArrayPicture(image), np.array([[-24, 20, 24, 68]], np.float32), CropGeometry(1, 0, 0), 48
    )
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

"""Picture files of many pixels are read as small ones are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fer_batch.annotation import still
from fer_batch.annotation.still import read_still
from fer_batch.errors import DecodeError

LARGE, SMALL = (4100, 8000), (410, 800)
"""Height and width."""
COLOURS = np.array([[250, 20, 20], [20, 250, 20], [20, 20, 250], [128, 128, 128]], np.uint8)
"""Red, green, blue and gray: of the upper left, upper right, lower left and lower right quarter."""


def coloured(size: tuple[int, int]) -> Image.Image:
    """Four quarters of four colours."""
    return Image.fromarray(COLOURS.reshape(2, 2, 3)).resize(size[::-1], Image.Resampling.NEAREST)


def check_quarters(image: np.ndarray, size: tuple[int, int]) -> None:
    assert (image.shape, image.dtype) == ((*size, 3), np.uint8)
    height, width = size
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    found = image[np.ix_(rows, columns)].reshape(4, 3).astype(int)
    np.testing.assert_allclose(found, COLOURS, atol=6)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_colours_are_rgb_and_exif_turns_the_picture(
    tmp_path: Path, size: tuple[int, int], suffix: str
) -> None:
    assert (np.prod(size) >= still._LARGE) == (size == LARGE)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored so that it has to be turned clockwise
    path = tmp_path / f"a.{suffix}"
    coloured(size).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95, compress_level=1)
    check_quarters(read_still(path), size)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_part_of_a_jpeg_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    ramp = np.tile(np.linspace(0, 255, size[1]).astype(np.uint8), (size[0], 1))
    whole = cv2.imencode(".jpg", ramp)[1].tobytes()
    path = tmp_path / "part.jpg"
    for kept in (len(whole) // 5, len(whole) - 1000, len(whole) - 2):
        path.write_bytes(whole[:kept])
        with pytest.raises(DecodeError, match=r"^part.jpg cannot be decoded$"):
            read_still(path)
    path.write_bytes(whole)
    assert read_still(path).shape == (*size, 3)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_part_of_a_png_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "part.png"
    coloured(size).save(path, compress_level=1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DecodeError, match=r"^part.png cannot be decoded$"):
        read_still(path)


@pytest.mark.parametrize("name", ["caf\udce9.jpg", "new\nline.jpg", "größe.jpg"])
def test_a_large_picture_of_any_name_is_read(tmp_path: Path, name: str) -> None:
    coloured(LARGE).save(tmp_path / "a.jpg", quality=95)
    try:
        (tmp_path / "a.jpg").rename(tmp_path / name)
    except (OSError, UnicodeError):
        pytest.skip("the file system does not take such a name")
    check_quarters(read_still(tmp_path / name), LARGE)

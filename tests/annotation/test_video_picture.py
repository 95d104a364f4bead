"""What is asked of a decoded frame is what the whole frame, converted, would have given."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from videos import portrait

from fer_batch.annotation.video_picture import VideoPicture, converted
from fer_batch.inference.picture import ArrayPicture

FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "nv12"]


def frame(name: str, width: int = 322, height: int = 180) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(portrait(width, height), format="rgb24").reformat(format=name)


@pytest.mark.parametrize("name", FORMATS)
def test_brightness_is_that_of_the_colours(name: str) -> None:
    made = frame(name)
    picture, whole = VideoPicture(made), ArrayPicture(converted(made))
    assert picture.size == whole.size == (180, 322)
    for rows, columns in (
        (slice(None), slice(None)),
        (slice(20, 90), slice(101, 222)),
        (slice(None, None, 3),) * 2,
    ):
        found, wanted = picture.gray(rows, columns), whole.gray(rows, columns)
        assert found.dtype == np.uint8
        assert found.shape == wanted.shape
        # Saturated colours are clipped on their way to RGB and back.
        assert np.percentile(np.abs(found.astype(int) - wanted), 99) <= 3


@pytest.mark.parametrize("name", FORMATS)
def test_colours_are_the_frames_at_any_size(name: str) -> None:
    made = frame(name)
    wanted = made.to_ndarray(format="rgb24")
    assert np.array_equal(VideoPicture(made).rgb(), wanted)
    for size in ((90, 161), (90, 160), (60, 100), (44, 80)):
        small = cv2.resize(wanted, size[::-1], interpolation=cv2.INTER_AREA)
        found = VideoPicture(made).rgb(size)
        assert found.shape == (*size, 3)
        assert np.abs(found.astype(int) - small).mean() < 4


@pytest.mark.parametrize(("width", "height", "times"), [(640, 360, 2), (1280, 720, 4), (512, 512, 8)])
def test_halves_are_averages(width: int, height: int, times: int) -> None:
    size = (height // times, width // times)
    for matrix in (Colorspace.ITU601, Colorspace.ITU709):
        for levels in (ColorRange.MPEG, ColorRange.JPEG):
            made = frame("yuv420p", width, height)
            made.colorspace, made.color_range = matrix, levels
            found, average = VideoPicture(made).rgb(size), converted(made, size)
            assert found.shape == average.shape == (*size, 3)
            assert np.abs(found.astype(int) - average).mean() < 3


def test_other_formats_are_converted_whole() -> None:
    deep = frame("yuv420p10le")
    assert not VideoPicture.can_show(deep)
    with pytest.raises(ValueError, match="yuv420p10le"):
        VideoPicture(deep)
    assert np.abs(converted(deep).astype(int) - portrait(322, 180)).mean() < 4


def test_frames_may_change_their_size() -> None:
    for width, height in ((322, 180), (64, 48), (322, 180)):
        made = frame("yuv420p", width, height)
        assert np.array_equal(converted(made), made.to_ndarray(format="rgb24"))

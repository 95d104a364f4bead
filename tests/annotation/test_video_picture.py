"""What is asked of a decoded frame is what the whole frame, converted, would have given."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from videos import in_pq, portrait

from fer_batch.annotation.upright import Upright
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


def hdr_frame(image: np.ndarray, name: str, levels: ColorRange = ColorRange.MPEG) -> av.VideoFrame:
    """A picture in PQ, as HDR10 has it."""
    given = av.VideoFrame.from_ndarray(in_pq(image), format="rgb48le")
    # FFmpeg's threads write over the beginnings of each other's lines.
    made = given.reformat(format=name, dst_colorspace=Colorspace.BT2020, dst_color_range=levels, threads=1)
    made.color_trc, made.colorspace, made.color_range = 16, 0 if name.startswith("gbr") else 9, levels
    return made


RAMP = np.tile(np.arange(230, dtype=np.uint8), (16, 1))
"""All but highlights."""
DEEP = ["yuv420p10le", "yuv422p10le", "yuv444p10le", "p010le", "yuv420p12le", "yuv444p12le", "gray10le"]


def hdr_ramp(name: str, levels: ColorRange) -> av.VideoFrame:
    """`RAMP` in PQ, rounded once."""
    made = av.VideoFrame(RAMP.shape[1], RAMP.shape[0], name)
    bits = made.format.components[0].bits
    step = 1 << (bits - 8)
    black, white = (0, 256 * step - 1) if levels == ColorRange.JPEG else (16 * step, 235 * step)
    values = (black + in_pq(RAMP) / 65_280 * (white - black)).round().astype(np.int64)
    for number, plane in enumerate(made.planes):
        dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
        lines = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
        lines[:] = 128 * step if number and not name.startswith("gbr") else values[:1, :1]
        if not number or name.startswith("gbr"):
            lines[:, : RAMP.shape[1]] = values
        lines <<= 6 if name == "p010le" else 0
    made.color_trc, made.color_range = 16, levels
    made.colorspace = 0 if name.startswith("gbr") else 9
    return made


@pytest.mark.parametrize("levels", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("name", [*DEEP, "yuv420p", "yuv444p", "nv12", "gray"])
def test_hdr_is_as_bright_as_sdr(name: str, levels: ColorRange) -> None:
    error = np.abs(converted(hdr_ramp(name, levels)).astype(int) - RAMP[:, :, None])
    assert error[:, 96:160].max() <= 2
    # Eight bits have but 127 values from black to white.
    assert error.max() <= (1 if name in DEEP else 3)


def test_hdr_in_rgb_is_as_bright_as_sdr() -> None:
    found = converted(hdr_ramp("gbrp10le", ColorRange.JPEG)).astype(int)
    assert np.abs(found - RAMP[:, :, None]).max() <= 1


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize(("width", "height"), [(322, 180), (321, 179)])
def test_brightness_of_hdr_is_that_of_its_colours(name: str, width: int, height: int) -> None:
    made, upright = hdr_frame(portrait(width, height), name), Upright()
    assert not VideoPicture.can_show(made)
    for aspect in (None, Fraction(4, 3)):
        picture = upright.of(made, aspect)
        colours = picture.rgb()
        wanted = cv2.resize(portrait(width, height), colours.shape[1::-1])
        assert np.abs(colours.astype(int) - wanted).mean() < 6
        part = slice(20, 90), slice(101, 222)
        found = picture.gray(*part)
        assert np.array_equal(found, cv2.cvtColor(np.ascontiguousarray(colours[part]), cv2.COLOR_RGB2GRAY))
        assert abs(found.mean() - cv2.cvtColor(wanted, cv2.COLOR_RGB2GRAY)[part].mean()) < 2


@pytest.mark.parametrize("transfer", [1, 6, 14, 18, 99])
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
def test_sdr_does_not_change_by_a_bit(name: str, transfer: int) -> None:
    made, everything = frame(name), (slice(None), slice(None))
    plain = made.to_ndarray(format="rgb24", interpolation=Interpolation.AREA)
    gray = VideoPicture(made).gray(*everything) if name == "yuv420p" else None
    made.color_trc = transfer
    assert np.array_equal(converted(made), plain)
    if gray is not None:
        assert np.array_equal(VideoPicture(made).gray(*everything), gray)

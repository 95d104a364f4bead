"""A video's frame as the decoder left it, converted where and when it is looked at."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import cast

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from fer_batch.annotation.colour import (
    CONVERTED_MATRICES,
    UNSPECIFIED,
    is_full_range,
    needs_table,
    sdr_table,
)
from fer_batch.errors import DecodeError
from fer_batch.inference.picture import shrunk

_LUMA_FIRST = frozenset({"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12", "nv21"})
"""Formats whose first plane is brightness, a byte a pixel."""
_LEVELS = np.arange(256)
_FULL_RANGE = np.clip((_LEVELS - 16) * (255 / 219), 0, 255).round().astype(np.uint8)
"""Brightness as video has it, 16 black to 235 white, as pictures have it (ITU-R BT.601 and BT.709)."""

_converters = threading.local()


class VideoPicture:
    """A decoded frame that needs no turning.

    Raises:
        ValueError: it has no plane of a picture's brightness; see `can_show`.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        if not self.can_show(frame):
            raise ValueError(f"{frame.format.name} has no plane of a picture's brightness")
        self._frame = frame

    @staticmethod
    def can_show(frame: av.VideoFrame) -> bool:
        """Whether the frame can be looked at without converting it."""
        return frame.format.name in _LUMA_FIRST and not needs_table(frame)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._frame.height, self._frame.width

    def rgb(self, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """See `Picture.rgb`."""
        if size is None or size == self.size:
            return converted(self._frame)
        if self._frame.format.name == "yuv420p" and self._halves_to(*size):
            return converted(self._halved(*size))
        return converted(self._frame, size)

    def gray(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """See `Picture.gray`."""
        part = np.ascontiguousarray(_pixels(self._frame.planes[0])[rows, columns])
        full = is_full_range(self._frame)
        return part if full else cv2.LUT(part, _FULL_RANGE).astype(np.uint8, copy=False)

    def _halves_to(self, height: int, width: int) -> bool:
        """Whether nothing but halving leads to an even size."""
        times = self._frame.height // height
        halves_alone = times & (times - 1) == 0 and (height * times, width * times) == self.size
        return halves_alone and not (height % 2 or width % 2)

    def _halved(self, height: int, width: int) -> av.VideoFrame:
        """The frame with each plane halved and halved again: half the time of FFmpeg's averages."""
        small = av.VideoFrame(width, height, "yuv420p")
        for large_plane, small_plane in zip(self._frame.planes, small.planes, strict=True):
            pixels = _pixels(small_plane)
            pixels[:] = shrunk(_pixels(large_plane), pixels.shape)
        small.colorspace, small.color_range = self._frame.colorspace, self._frame.color_range
        return small


def _pixels(plane: VideoPlane) -> NDArray[np.uint8]:
    """What a plane of bytes holds, without the padding of its lines; not a copy."""
    return _lines(plane)[:, : plane.width]


def _lines(plane: VideoPlane) -> NDArray[np.uint8]:
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height]


def converted(frame: av.VideoFrame, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A frame of any format as RGB: uint8 [H, W, 3], the caller's own.

    Where a size, height and width, is given, each pixel is an average over those that it covers. Colours
    that are coded in a way that FFmpeg does not convert are taken for the usual; brightness is right. HDR
    becomes SDR.

    Raises:
        DecodeError: it cannot be converted.
    """
    if frame.colorspace not in CONVERTED_MATRICES:
        frame.colorspace = UNSPECIFIED
    height, width = size or (frame.height, frame.width)
    # Eight bits are too few for a table that spreads them.
    pixels = "gbrp16le" if needs_table(frame) else "rgb24"
    try:
        shown = _converter(height, width).reformat(
            frame, width, height, pixels, interpolation=Interpolation.AREA, threads=1
        )
        if needs_table(frame):
            return _through(sdr_table(frame), shown)
        image = cast(NDArray[np.uint8], shown.to_ndarray())
    except (FFmpegError, ValueError) as error:
        # Some of FFmpeg's errors are the system's too, and would pass for a disk that cannot be written.
        raise DecodeError(f"a frame cannot be converted: {error}") from error
    if frame.format.name.startswith("gray") and frame.color_range == ColorRange.MPEG:
        # FFmpeg takes gray for pictures', whatever is said of its range.
        return cv2.LUT(image, _FULL_RANGE).astype(np.uint8, copy=False)
    # A decoder may predict the next frame from this one: nobody may draw into it.
    return image.copy() if shown is frame else image


def _through(table: NDArray[np.uint8], frame: av.VideoFrame) -> NDArray[np.uint8]:
    """What a table, uint8 [65536], makes of a frame of the format gbrp16le: uint8 [H, W, 3], RGB."""
    green, blue, red = (
        cv2.LUT(_lines(plane).view(np.uint16)[:, : plane.width], table) for plane in frame.planes
    )
    return cast(NDArray[np.uint8], cv2.merge((red, green, blue)))


def _converter(height: int, width: int) -> VideoReformatter:
    """This thread's converter to a size: threads must not share one.

    A converter keeps its tables for the next frame, which take longer to make than a frame to convert. A
    video needs two, for the first look and for the second.
    """
    if not hasattr(_converters, "to_size"):
        _converters.to_size = lru_cache(maxsize=2)(lambda *_: VideoReformatter())
    return _converters.to_size(height, width)

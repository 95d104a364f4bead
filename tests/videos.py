"""Real videos and pictures for tests, encoded on the spot around a public-domain portrait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

FACE = (178, 63, 268, 176)
"""Where a person would draw the face in the portrait: x0, y0, x1, y1 in pixels."""


def portrait(width: int = 320, height: int = 180) -> NDArray[np.uint8]:
    """The upper part of the portrait, with the face in it: uint8 [height, width, 3], RGB."""
    return cv2.resize(astronaut()[:288], (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def landscape(width: int = 320, height: int = 180) -> NDArray[np.uint8]:
    """A picture without a face: smooth colours."""
    ramp = np.linspace(40, 200, width, dtype=np.uint8)
    return np.stack([np.tile(ramp, (height, 1))] * 3, axis=2)


def moving_face(frames: int, width: int = 320, height: int = 180) -> list[NDArray[np.uint8]]:
    """Frames in which the portrait drifts by a pixel each."""
    picture = portrait(width + frames, height)
    return [np.ascontiguousarray(picture[:, index : index + width]) for index in range(frames)]


def encode(
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    *,
    times: Sequence[float] | None = None,
    fps: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    muxing: Mapping[str, str] | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    pixel_aspect: Fraction | int = 1,
    sound: bool = False,
) -> Path:
    """Encode frames, at `times` in seconds or at a steady rate; returns the path.

    `options` are the codec's, `muxing` the container's. `rotation` and, after it, mirroring left and right
    are what a player does. `pixel_aspect` is the width of a pixel over its height.
    """
    # AVI knows only steady rates; the other containers take any time.
    clock = Fraction(1, fps) if times is None or path.suffix == ".avi" else Fraction(1, 90_000)
    with av.open(str(path), "w", options=dict(muxing or {})) as container:
        stream = container.add_stream(codec, rate=fps, options=dict(options or {}))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = clock
        stream.codec_context.sample_aspect_ratio = Fraction(pixel_aspect)
        audio = container.add_stream("aac", rate=8000) if sound else None
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            time = index / fps if times is None else times[index]
            frame.pts, frame.time_base = round(time / clock), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            tone = np.zeros((1, 8000), np.float32)
            samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            samples.sample_rate = 8000
            container.mux(audio.encode(samples))
            container.mux(audio.encode(None))
    return path

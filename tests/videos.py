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


def cut_face() -> NDArray[np.uint8]:
    """The face of the portrait, cut as FER2013 cuts: uint8 [48, 48], gray."""
    gray = cv2.cvtColor(astronaut()[60:200, 150:290], cv2.COLOR_RGB2GRAY)
    return cv2.resize(gray, (48, 48), interpolation=cv2.INTER_AREA).astype(np.uint8)


def landscape(width: int = 320, height: int = 180) -> NDArray[np.uint8]:
    """A picture without a face: smooth colours."""
    ramp = np.linspace(40, 200, width, dtype=np.uint8)
    return np.stack([np.tile(ramp, (height, 1))] * 3, axis=2)


def moving_face(frames: int, width: int = 320, height: int = 180) -> list[NDArray[np.uint8]]:
    """Frames in which the portrait drifts by a pixel each."""
    picture = portrait(width + frames, height)
    return [np.ascontiguousarray(picture[:, index : index + width]) for index in range(frames)]


def in_pq(image: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The same picture as HDR10 has it (SMPTE ST 2084), white at 203 cd/m2 (ITU-R BT.2408).

    Returns:
        uint16 [H, W, 3], RGB; the most light that the curve knows is 65,280, as FFmpeg has it.
    """
    share = image / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) * (203 / 10_000)
    power = light**0.1593017578125
    signal = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    return (65_280 * signal).round().astype(np.uint16)


def encode(
    path: Path,
    images: Sequence[NDArray[np.uint8] | NDArray[np.uint16]],
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
    colours: tuple[int, int, int] | None = None,
    sound: bool = False,
) -> Path:
    """Encode frames, at `times` in seconds or at a steady rate; returns the path.

    `options` are the codec's, `muxing` the container's. `rotation` and, after it, mirroring left and right
    are what a player does. `pixel_aspect` is the width of a pixel over its height. `colours` are the numbers
    of primaries, transfer function and matrix that the video states.
    """
    # AVI knows only steady rates; the other containers take any time.
    clock = Fraction(1, fps) if times is None or path.suffix == ".avi" else Fraction(1, 90_000)
    with av.open(str(path), "w", options=dict(muxing or {})) as container:
        stream = container.add_stream(codec, rate=fps, options=dict(options or {}))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = clock
        stream.codec_context.sample_aspect_ratio = Fraction(pixel_aspect)
        if colours is not None:
            context = stream.codec_context
            context.color_primaries, context.color_trc, context.colorspace = colours
        audio = container.add_stream("aac", rate=8000) if sound else None
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(
                image, format="rgb24" if image.dtype == np.uint8 else "rgb48le"
            )
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

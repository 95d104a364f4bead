"""Animated WebP and AVIF, frame by frame: the pictures that move and that FFmpeg does not read in full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from fer_batch.annotation.clock import Times
from fer_batch.annotation.content import moves
from fer_batch.annotation.still import PNG_START, check_is_file, reason_of
from fer_batch.errors import DecodeError, SourceOpenError
from fer_batch.storage import readable

_TICK = Fraction(1, 1000)
_NO_DURATION = 100
"""Ticks that a frame is shown which states no duration, as browsers do."""
_FORMATS = ("WEBP", "AVIF")


def is_animation(path: Path) -> bool:
    """Whether `read_animation` has to read a video; FFmpeg reads all others, animated PNG too."""
    with suppress(OSError):
        if moves(path):
            with path.open("rb") as file:
                return file.read(len(PNG_START)) != PNG_START
    return False


def read_animation(path: Path) -> Iterator[tuple[av.VideoFrame, Times]]:
    """The frames of an animation in RGB, upright, one at a time, and when each is shown.

    Raises:
        SourceOpenError: it cannot be opened.
        DecodeError: it is damaged from here on.
    """
    try:
        check_is_file(path)
        image = Image.open(path, formats=_FORMATS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SourceOpenError(
            f"{readable(path)} cannot be opened as an animation: {reason_of(error)}"
        ) from error
    with image:
        longer = 0
        for index in range(getattr(image, "n_frames", 1)):
            try:
                image.seek(index)
                image.load()
                shown = ImageOps.exif_transpose(image).convert("RGB")
            except (EOFError, OSError, SyntaxError, ValueError, RuntimeError) as error:
                raise DecodeError(f"reading stopped early: {reason_of(error)}") from error
            start, length = int(image.info.get("timestamp", 0)) + longer, int(image.info.get("duration", 0))
            longer += 0 if length else _NO_DURATION
            end = start + (length or _NO_DURATION)
            frame = av.VideoFrame.from_ndarray(np.asarray(shown), format="rgb24")
            frame.pts, frame.time_base = start, _TICK
            yield frame, Times(float(start * _TICK), float(end * _TICK), start)

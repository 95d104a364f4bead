"""Pictures and videos with boxes, labels and probabilities drawn in: to look at, not to compute with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeAlias, cast

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from fer_batch.annotation.frames import AnnotatedFrame
from fer_batch.annotation.sources import Source
from fer_batch.emotions import Emotion
from fer_batch.errors import OutputError

_CLOCK = Fraction(1, 90_000)
"""Finer than any camera: presentation times are kept to 11 microseconds."""
_QUALITY = {"crf": "23", "preset": "veryfast"}
_FONT = cv2.FONT_HERSHEY_DUPLEX
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_MIN_SIDE_FOR_BARS = 60
"""Height of a face, in pixels, below which seven bars cannot be told apart."""


_Box: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels."""


class DrawsFrames(Protocol):
    """What takes annotated frames and makes something to look at."""

    def write(self, annotated: AnnotatedFrame, /) -> None:
        """Draw one frame."""
        ...


@contextmanager
def open_overlay(source: Source, folder: Path) -> Iterator[DrawsFrames]:
    """Draw a source into `folder`: a video into `overlay.mp4`, pictures into `overlay/`.

    The video has the presentation times and size of its source, upright, in H.264 and without sound.
    """
    if source.kind != "video":
        (folder / "overlay").mkdir()
        yield _Pictures(folder / "overlay")
        return
    with av.open(str(folder / "overlay.mp4"), "w") as container:
        video = _Video(container)
        yield video
        video.finish()


class _Pictures:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, annotated: AnnotatedFrame) -> None:
        if annotated.frame.image is None:
            return
        path = self._folder / f"{annotated.frame.index:05d}.png"
        encoded = cv2.imencode(".png", cv2.cvtColor(draw(annotated), cv2.COLOR_RGB2BGR))[1]
        path.write_bytes(encoded.tobytes())


class _Video:
    def __init__(self, container: OutputContainer) -> None:
        self._container = container
        self._stream: av.VideoStream | None = None
        self._last = -1

    def write(self, annotated: AnnotatedFrame) -> None:
        image = _even(draw(annotated))
        if self._stream is None:
            self._stream = self._open(image)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        if (frame.width, frame.height) != (self._stream.width, self._stream.height):
            # A stream may change its size on the way; its overlay keeps the first.
            frame = frame.reformat(self._stream.width, self._stream.height)
        # Two frames at one time cannot be encoded: the later one moves by one tick.
        self._last = max(self._last + 1, round((annotated.frame.time_s or 0.0) / _CLOCK))
        frame.pts, frame.time_base = self._last, _CLOCK
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))

    def _open(self, image: NDArray[np.uint8]) -> av.VideoStream:
        try:
            stream = cast(av.VideoStream, self._container.add_stream("libx264", rate=30, options=_QUALITY))
        except (FFmpegError, ValueError) as error:
            raise OutputError(f"the overlay cannot be encoded: {error}") from error
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = _CLOCK
        return stream


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with odd sides made even, as H.264 wants them, by repeating the last line."""
    bottom, right = image.shape[0] % 2, image.shape[1] % 2
    if not (bottom or right):
        return image
    return cast(NDArray[np.uint8], cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE))


def draw(annotated: AnnotatedFrame) -> NDArray[np.uint8]:
    """The frame with each face's box, expression and probability, and bars for all seven.

    Returns:
        uint8 [H, W, 3], RGB; a frame that could not be decoded is not drawn.

    Raises:
        ValueError: the frame has no picture.
    """
    if annotated.frame.image is None:
        raise ValueError(f"frame {annotated.frame.index} has no picture")
    image = annotated.frame.image.copy()
    # Legible at every size: one pixel of line for every 400 of height.
    scale = max(image.shape[0] / 720, 0.5)
    boxes: list[_Box] = [
        (round(a), round(b), round(c), round(d)) for a, b, c, d in annotated.faces.boxes.tolist()
    ]
    for box, probabilities in zip(boxes, annotated.probabilities, strict=True):
        if box[3] - box[1] >= _MIN_SIDE_FOR_BARS:
            _draw_bars(image, box, [other for other in boxes if other is not box], probabilities, scale)
    # Boxes and labels come last: no chart may cover them.
    for box, probabilities in zip(boxes, annotated.probabilities, strict=True):
        _draw_face(image, box, probabilities, scale)
    return image


def _draw_face(image: NDArray[np.uint8], box: _Box, probabilities: NDArray[np.float32], scale: float) -> None:
    emotion = Emotion(int(np.argmax(probabilities)))
    x0, y0, x1, y1 = box
    line = max(1, round(2 * scale))
    cv2.rectangle(image, (x0, y0), (x1, y1), emotion.colour, line, cv2.LINE_AA)
    text = f"{emotion.label} {probabilities[emotion]:.0%}"
    (width, height), descent = cv2.getTextSize(text, _FONT, scale, line)
    pad = 2 * line
    top = y0 - height - descent - 2 * pad
    top = top if top >= 0 else min(y1, image.shape[0] - height - descent - 2 * pad)
    left = min(max(x0, 0), max(image.shape[1] - width - 2 * pad, 0))
    corner = (left + width + 2 * pad, top + height + descent + 2 * pad)
    cv2.rectangle(image, (left, top), corner, emotion.colour, cv2.FILLED)
    dark = sum(emotion.colour) < 3 * 128
    ink = _WHITE if dark else _BLACK
    thin = max(1, line // 2)
    cv2.putText(image, text, (left + pad, top + pad + height), _FONT, scale, ink, thin, cv2.LINE_AA)


def _meet(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_bars(
    image: NDArray[np.uint8],
    box: _Box,
    others: list[_Box],
    probabilities: NDArray[np.float32],
    scale: float,
) -> None:
    """A small chart beside the box, where it covers no other face and the picture does not end."""
    x0, y0, x1, y1 = box
    row = min((y1 - y0) // len(Emotion), round(26 * scale))
    text_scale = row / 36
    text_width = max(cv2.getTextSize(emotion.label, _FONT, text_scale, 1)[0][0] for emotion in Emotion)
    length, pad = round(3 * row), max(2, row // 5)
    width = text_width + length + 3 * pad
    bottom = y0 + row * len(Emotion)
    places = [(side, y0, side + width, bottom) for side in (x1 + pad, x0 - pad - width)]
    free = [
        place
        for place in places
        if place[0] >= 0 and place[2] <= image.shape[1] and not any(_meet(place, other) for other in others)
    ]
    if not free:
        return
    left = free[0][0]
    panel = image[max(y0, 0) : max(bottom, 0), left : left + width]
    panel[:] = panel // 3  # a dark glass: the background stays visible
    for emotion, probability in zip(Emotion, probabilities.tolist(), strict=True):
        top = y0 + row * emotion
        baseline = (left + pad, top + row - pad)
        cv2.putText(image, emotion.label, baseline, _FONT, text_scale, _WHITE, 1, cv2.LINE_AA)
        start = left + 2 * pad + text_width
        end = (start + round(length * probability), top + row - pad)
        cv2.rectangle(image, (start, top + pad), end, emotion.colour, cv2.FILLED)

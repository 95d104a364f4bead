"""Frames out of videos and pictures: the one place that touches PyAV's decoder."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from fer_batch.annotation.frames import Frame
from fer_batch.annotation.sources import Source
from fer_batch.errors import DecodeError, SourceOpenError
from fer_batch.settings import SamplingSettings

_STATED_BY_STREAM_S = 0.5
_STATED_BY_FILE_S = 2.0
"""How much earlier than stated a healthy file may end: what states it is exact, or a rough sum."""


@dataclass
class DecodeReport:
    """What went wrong while reading a source, filled in as it is read."""

    corrupt: int = 0
    """Frames with damage, sampled or not."""
    problems: list[str] = field(default_factory=list)
    """Why the source is not whole; empty for a healthy one."""


def read_frames(
    source: Source, sampling: SamplingSettings, report: DecodeReport
) -> Generator[Frame, None, None]:
    """The sampled frames of a source, upright, in order of presentation.

    Args:
        source: a video, a picture or a folder of pictures.
        sampling: which frames of a video to read; pictures are all read.
        report: told what was damaged or missing.

    Raises:
        SourceOpenError: it cannot be opened, or holds no video.
        DecodeError: it opened, and not one frame came out.
    """
    if source.kind == "video":
        with closing(_video_frames(source, report)) as frames:
            yield from _sample(frames, sampling)
    else:
        yield from _pictures(source, report)


def _sample(frames: Iterator[Frame], sampling: SamplingSettings) -> Iterator[Frame]:
    due = -np.inf
    for frame in frames:
        if frame.index % sampling.every:
            continue
        if sampling.fps and frame.time_s is not None:
            if frame.time_s < due - 1e-6:
                continue
            # On a fixed grid, so that jitter of single frames does not add up.
            due = (np.floor(frame.time_s * sampling.fps + 1e-6) + 1) / sampling.fps
        yield frame


def _video_frames(source: Source, report: DecodeReport) -> Generator[Frame, None, None]:
    try:
        container = av.open(str(source.path), metadata_errors="replace")
    except (FFmpegError, OSError, ValueError) as error:
        raise SourceOpenError(f"{source.path} cannot be opened as a video: {_reason(error)}") from error
    with container:
        if not container.streams.video:
            raise SourceOpenError(f"{source.path} has no video stream")
        stream = container.streams.video[0]
        index, end = 0, 0.0
        clock = _Clock(stream)
        for decoded in _decode(container, stream, report):
            time_s, duration = clock.read(decoded)
            end = max(end, time_s + duration)
            report.corrupt += decoded.is_corrupt
            yield Frame(index, time_s, _upright(decoded), corrupt=decoded.is_corrupt)
            index += 1
        if index == 0:
            raise DecodeError(f"{source.path} has a video stream, but no frame of it can be decoded")
        if report.corrupt:
            report.problems.append(f"{report.corrupt} of {index} frames are damaged")
        stated, tolerance = _stated_duration(container, stream)
        if stated is not None and end < stated - tolerance:
            report.problems.append(f"ends at {end:.2f} s of the stated {stated:.2f} s")


def _decode(
    container: InputContainer, stream: av.VideoStream, report: DecodeReport
) -> Iterator[av.VideoFrame]:
    """Every frame that can be had: a packet that cannot be decoded does not end the video."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (FFmpegError, OSError) as error:
            report.problems.append(f"reading stopped early: {_reason(error)}")
            return
        try:
            frames = packet.decode()
        except FFmpegError as error:
            # The empty packet that drains the decoder may fail after the last frame: nothing is lost.
            if packet.size:
                report.corrupt += 1
                if not report.problems:
                    report.problems.append(f"damaged data: {_reason(error)}")
            continue
        yield from cast(list[av.VideoFrame], frames)


class _Clock:
    """Presentation times relative to the stream's start."""

    def __init__(self, stream: av.VideoStream) -> None:
        self._start = (stream.start_time or 0) * float(stream.time_base or 0)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self._step = float(1 / rate) if rate else 0.0
        self._last = -self._step

    def read(self, frame: av.VideoFrame) -> tuple[float, float]:
        """Seconds since the start, and how long the frame lasts; a frame without a time follows the last."""
        time_s = frame.time - self._start if frame.time is not None else self._last + self._step
        self._last = time_s
        base = float(frame.time_base or 0)
        return time_s, (frame.duration or 0) * base or self._step


def _stated_duration(container: InputContainer, stream: av.VideoStream) -> tuple[float | None, float]:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base), _STATED_BY_STREAM_S
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base, _STATED_BY_FILE_S
    # With sound or subtitles beside it, the file's duration says nothing about the pictures.
    return None, 0.0


def _upright(frame: av.VideoFrame) -> NDArray[np.uint8]:
    image = cast(NDArray[np.uint8], frame.to_ndarray(format="rgb24"))
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def _pictures(source: Source, report: DecodeReport) -> Iterator[Frame]:
    readable = 0
    pictures = source.pictures
    for index, path in enumerate(pictures):
        image = _read_picture(path)
        readable += image is not None
        if image is None:
            report.corrupt += 1
            if source.kind == "images":
                report.problems.append(f"{path.name} cannot be decoded")
        yield Frame(index, None, image, corrupt=image is None, file=path.name)
    if not readable:
        what = source.path if source.kind == "image" else f"every picture in {source.path}"
        raise DecodeError(f"{what} cannot be decoded")


def _read_picture(path: Path) -> NDArray[np.uint8] | None:
    """An upright RGB picture of 8 bits; None where the file is no picture.

    OpenCV turns it as EXIF says, drops transparency, and brings gray, CMYK and 16 bits to RGB of 8.
    """
    data = np.fromfile(path, np.uint8)  # imread cannot open every name on Windows
    if not data.size:
        return None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return None if image is None else cast(NDArray[np.uint8], cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

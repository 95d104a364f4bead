"""Pictures and videos with boxes, labels and probabilities drawn in: to look at, not to compute with.

They are drawn after the tables: the source is decoded again beside them, frame by frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, tee
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol, cast

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
from av.codec.context import Flags
from av.container import OutputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from fer_batch.annotation.blur import Box, blacken, heads, pixelate, whole_head
from fer_batch.annotation.decode import DECODED_AHEAD, DecodeReport, read_frames
from fer_batch.annotation.draw import DrawnFace, draw
from fer_batch.annotation.frames import Frame
from fer_batch.annotation.sound import add_sound
from fer_batch.annotation.sources import Source
from fer_batch.emotions import LABELS, Emotion
from fer_batch.errors import EncodeError, OutputError
from fer_batch.settings import AnnotateSettings, SamplingSettings
from fer_batch.storage import SMOOTHED, writing
from fer_batch.threads import ahead

_ROWS_READ = 1024
_CLOCK = Fraction(1, 90_000)
"""Finer than any camera: presentation times are kept to 11 microseconds."""
_ENCODER = "libx264"
_OPTIONS = {"crf": "23", "preset": "veryfast", "bf": "0"}
"""No B-frames: MP4 sums lengths up in order of decoding, and a video of uneven rate would end early."""
_BT601, _LIMITED = 6, 1
"""How RGB was turned into YUV, in H.264's numbers: players that are not told guess by the picture's size."""
_LEGIBLE_SIDE, _LONGEST_ENLARGED = 160, 1920
"""Pictures whose shorter side has fewer pixels are enlarged, by a whole factor: no label would fit."""
_NAME_LENGTH = 60
"""Characters of a picture's name that its overlay keeps: file systems take 255 bytes."""


def draw_overlay(
    source: Source, folder: Path, settings: AnnotateSettings, told: Callable[[int], None]
) -> None:
    """Draw a source and its finished tables: a video into `overlay.mp4`, pictures into `overlay/`.

    The video is upright, in H.264, with its source's sound and presentation times, counted from
    `sampling.start_s`. A frame that the tables do not know is not shown, since nobody looked for faces
    in it. Memory does not grow with the source's length.

    Args:
        source: what was annotated.
        folder: with `frames.parquet` and `faces.parquet`; the overlay is written beside them.
        settings: that the tables were made with.
        told: called with the number of frames drawn, after each.

    Raises:
        InputError: the source cannot be opened or decoded any more.
        EncodeError: a video cannot hold its pictures: too large, or hours apart. Nothing of it is left.
        OutputError: the overlay cannot be written.
    """
    with (
        pq.ParquetFile(folder / "frames.parquet") as frames_table,
        pq.ParquetFile(folder / "faces.parquet") as faces_table,
        closing(ahead(read_frames(source, settings.sampling, DecodeReport()), DECODED_AHEAD)) as frames,
        _canvas(source, folder, settings.sampling) as canvas,
    ):
        rows = _with_heads(_rows(frames_table, faces_table), source, settings)
        for number, (frame, (row, hidden)) in enumerate(_beside(frames, rows), 1):
            if (image := frame.image) is not None:
                blacken(image, settings.privacy.masks)
                for box in hidden:
                    pixelate(image, box)
                canvas.write(frame, _drawn(image, row.faces))
            told(number)


@dataclass(frozen=True)
class _Row:
    """What the tables say of a frame."""

    frame: int
    time_s: float | None
    faces: tuple[DrawnFace, ...]
    seen: tuple[bool, ...]
    """Of each face, whether it was found there: where nobody searched, it is only expected."""


def _rows(frames: pq.ParquetFile, faces: pq.ParquetFile) -> Iterator[_Row]:
    """Every row of `frames` with its faces, a few in memory at a time."""
    place = ("frame", "track", "x", "y", "width", "height")
    wanted = (*place, "detection_score", "emotion", *LABELS, "smoothed_emotion", *SMOOTHED)
    there = set(faces.schema_arrow.names)
    by_frame = groupby(_read(faces, [name for name in wanted if name in there]), key=itemgetter("frame"))
    following = next(by_frame, None)
    for row in _read(frames, ["frame", "time_s"]):
        found: list[dict[str, Any]] = []
        if following is not None and following[0] == row["frame"]:
            found = list(following[1])
            following = next(by_frame, None)
        seen = tuple(face["detection_score"] is not None for face in found)
        yield _Row(row["frame"], row["time_s"], tuple(map(_drawn_face, found)), seen)


def _drawn_face(row: Mapping[str, Any]) -> DrawnFace:
    """A row of `faces` as it is shown: smoothed, where that is known, else as it was read."""
    x, y = row["x"], row["y"]
    emotion = row["smoothed_emotion"] if "smoothed_emotion" in row else row["emotion"]
    return DrawnFace(
        box=(x, y, x + row["width"], y + row["height"]),
        emotion=None if emotion is None else Emotion.from_label(emotion),
        probabilities=[row[name] for name in (LABELS if row.get(SMOOTHED[0]) is None else SMOOTHED)],
        track=row.get("track"),
    )


def _read(table: pq.ParquetFile, columns: list[str]) -> Iterator[dict[str, Any]]:
    for batch in table.iter_batches(_ROWS_READ, columns=columns):
        yield from batch.to_pylist()


def _with_heads(
    rows: Iterator[_Row], source: Source, settings: AnnotateSettings
) -> Iterator[tuple[_Row, list[Box]]]:
    """The rows, and the heads that nobody may recognise in each."""
    if not settings.privacy.blur:
        return ((row, []) for row in rows)
    if source.kind != "video" or settings.faces_only:
        return ((row, [whole_head(face.box) for face in row.faces]) for row in rows)
    shown, read_ahead = tee(rows)
    sights = (
        (
            cast(float, row.time_s),
            {cast(int, face.track): face.box for face, seen in zip(row.faces, row.seen, strict=True) if seen},
        )
        for row in read_ahead
    )
    hidden = heads(sights, settings.tracking.max_gap_s, settings.detection.every)
    return (
        (row, [*boxes, *(whole_head(face.box) for face in row.faces)])
        for row, boxes in zip(shown, hidden, strict=True)
    )


def _beside(
    frames: Iterable[Frame], rows: Iterable[tuple[_Row, list[Box]]]
) -> Iterator[tuple[Frame, tuple[_Row, list[Box]]]]:
    """Frames and rows of the same number; what has no counterpart is left out."""
    remaining = iter(frames)
    frame = next(remaining, None)
    for row in rows:
        while frame is not None and frame.index < row[0].frame:
            frame = next(remaining, None)
        if frame is None:
            return
        if frame.index == row[0].frame:
            yield frame, row


def _drawn(image: NDArray[np.uint8], faces: Sequence[DrawnFace]) -> NDArray[np.uint8]:
    """The picture with its faces drawn in; changed in place unless it has to be enlarged."""
    short, long = sorted(image.shape[:2])
    factor = min(-(-_LEGIBLE_SIDE // short), _LONGEST_ENLARGED // long)
    if factor > 1:
        size = factor * image.shape[1], factor * image.shape[0]
        image = cast(NDArray[np.uint8], cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))
        faces = [face.enlarged(factor) for face in faces]
    draw(image, faces)
    return image


class _Canvas(Protocol):
    def write(self, frame: Frame, image: NDArray[np.uint8], /) -> None: ...


def _canvas(source: Source, folder: Path, sampling: SamplingSettings) -> AbstractContextManager[_Canvas]:
    if source.kind == "video":
        return _video(folder / "overlay.mp4", source, sampling)
    return _pictures(folder / "overlay")


@contextmanager
def _pictures(folder: Path) -> Iterator[_Pictures]:
    with writing(folder):
        folder.mkdir(exist_ok=True)  # a run that was stopped may have left it
    yield _Pictures(folder)


@dataclass(frozen=True)
class _Pictures:
    folder: Path

    def write(self, frame: Frame, image: NDArray[np.uint8]) -> None:
        name = Path(frame.file or "").stem[:_NAME_LENGTH]
        path = self.folder / f"{frame.index:05d}-{name}.png"
        encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        with writing(path):
            path.write_bytes(encoded.tobytes())


@contextmanager
def _video(path: Path, source: Source, sampling: SamplingSettings) -> Iterator[_Video]:
    """A video that gets its sound when all its pictures are there."""
    silent = path.with_suffix(".silent.mp4")
    try:
        with av.open(str(silent.absolute()), "w") as container:
            video = _Video(container, sampling.start_s)
            yield video
            video.finish()
        if video.begun:
            add_sound(silent, source.path, sampling, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    except FFmpegError as error:
        silent.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise EncodeError(f"the overlay cannot be encoded: {error.strerror}") from error


class _Video:
    def __init__(self, container: OutputContainer, start_s: float) -> None:
        self._container = container
        self._start_s = start_s
        self._stream: av.VideoStream | None = None
        self._last = -1

    @property
    def begun(self) -> bool:
        """There is a picture in it; without any, there is no file."""
        return self._stream is not None

    def write(self, frame: Frame, image: NDArray[np.uint8]) -> None:
        image = _even(image)
        if self._stream is None:
            self._stream = self._open(image)
        # A stream may change its size on the way; its overlay keeps the first.
        size = self._stream.width, self._stream.height
        picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(*size, format="yuv420p")
        # Two frames at one time cannot be encoded: the later one moves by one tick.
        time = max(self._last + 1, round(((frame.time_s or 0.0) - self._start_s) / _CLOCK))
        # Only the last frame's duration counts, which nobody states: it is that of the one before.
        picture.pts, picture.time_base, picture.duration = time, _CLOCK, time - self._last
        self._last = time
        self._container.mux(self._stream.encode(picture))

    def finish(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))

    def _open(self, image: NDArray[np.uint8]) -> av.VideoStream:
        try:
            stream = cast(av.VideoStream, self._container.add_stream(_ENCODER, rate=30, options=_OPTIONS))
        except (FFmpegError, ValueError) as error:
            raise OutputError(f"the overlay cannot be encoded: {error}") from error
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = _CLOCK
        stream.codec_context.flags |= Flags.frame_duration
        stream.codec_context.colorspace, stream.codec_context.color_range = _BT601, _LIMITED
        return stream


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with odd sides made even, as H.264 wants them, by repeating the last line."""
    bottom, right = image.shape[0] % 2, image.shape[1] % 2
    if not (bottom or right):
        return image
    return cast(NDArray[np.uint8], cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE))

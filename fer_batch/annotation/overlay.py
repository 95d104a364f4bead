"""Pictures and videos with boxes, labels and probabilities drawn in: to look at, not to compute with.

They are drawn after the tables: the source is decoded again beside them, frame by frame.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
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

from fer_batch.annotation.blur import Box, any_way_up, blacken, heads, pixelate, whole_head
from fer_batch.annotation.decode import DECODED_AHEAD, DecodeReport, read_frames
from fer_batch.annotation.draw import DrawnFace, FaceDrawer
from fer_batch.annotation.frames import Frame
from fer_batch.annotation.sound import add_sound
from fer_batch.annotation.sources import Source
from fer_batch.emotions import LABELS, Emotion
from fer_batch.errors import EncodeError, InputError, OutputError
from fer_batch.settings import AnnotateSettings, SamplingSettings
from fer_batch.storage import SMOOTHED, readable, writing
from fer_batch.threads import ahead

_ROWS_READ = 1024
_CLOCK = Fraction(1, 90_000)
"""Finer than any camera: presentation times are kept to 11 microseconds."""
_ALONE_S = Fraction(1, 25)
"""How long a frame is shown that has none beside it."""
_ENCODER = "libx264"
_OPTIONS = {"crf": "23", "preset": "veryfast", "bf": "0"}
"""No B-frames: MP4 sums lengths up in order of decoding, and a video of uneven rate would end early."""
_BT601, _LIMITED = 6, 1
"""How RGB was turned into YUV, in H.264's numbers: players that are not told guess by the picture's size."""
_LEGIBLE_SIDE, _LEGIBLE_SIDE_OF_PICTURES, _LONGEST_ENLARGED = 160, 480, 1920
"""Frames, and pictures, whose shorter side has fewer pixels are enlarged, by a whole factor."""
_LEGIBLE_FACE = 64
"""So are pictures in which most faces have fewer pixels across: no label would fit."""
_NAME_LENGTH = 60
"""Characters of a picture's name that its overlay keeps: file systems take 255 bytes."""


def draw_overlay(
    source: Source,
    identity: Mapping[str, object],
    folder: Path,
    settings: AnnotateSettings,
    told: Callable[[int], None],
    *,
    turned: bool = False,
) -> None:
    """Draw a source and its finished tables: a video into `overlay.mp4`, pictures into `overlay/`.

    The video is upright, in H.264, with its source's sound and presentation times, counted from
    `sampling.start_s`. A frame that the tables do not know is not shown, since nobody looked for faces
    in it. Memory does not grow with the source's length. Nothing is left of an overlay that goes wrong,
    or went wrong before.

    Args:
        source: what was annotated.
        identity: of the source, as it was before it was read.
        folder: with `frames.parquet` and `faces.parquet`; the overlay is written beside them.
        settings: that the tables were made with.
        told: called with the number of frames drawn, after each.
        turned: faces are not upright in the pictures.

    Raises:
        InputError: the source cannot be opened or decoded any more, or is not what was read.
        EncodeError: a video cannot hold its pictures: too large, or hours apart.
        OutputError: the overlay cannot be written.
    """
    clear_overlay(folder)
    try:
        _check_unchanged(source, identity)
        _draw(source, folder, settings, told, turned=turned)
        _check_unchanged(source, identity)
    except BaseException:
        # It is drawn anew in any case; and who stops a run that shows faces by mistake wants none left.
        with suppress(OutputError):  # what went wrong first is what matters
            clear_overlay(folder)
        raise


def clear_overlay(folder: Path) -> None:
    """Remove all that may have been drawn, by a run that was stopped too.

    Raises:
        OutputError: it cannot be removed.
    """
    with writing(folder / "overlay"):
        for name in ("overlay.mp4", "overlay.silent.mp4"):
            (folder / name).unlink(missing_ok=True)
        if (folder / "overlay").exists():
            shutil.rmtree(folder / "overlay")


def _check_unchanged(source: Source, identity: Mapping[str, object]) -> None:
    """Nothing, where a source still is what was read: faces are known of no other pictures.

    Raises:
        InputError: it is not.
    """
    if source.identity() != identity:
        raise InputError(f"{readable(source.path)} changed while it was read: no overlay is drawn; run again")


def _draw(
    source: Source, folder: Path, settings: AnnotateSettings, told: Callable[[int], None], *, turned: bool
) -> None:
    still = source.kind != "video"
    drawer = FaceDrawer(may_grow=still)
    with (
        pq.ParquetFile(folder / "frames.parquet") as frames_table,
        pq.ParquetFile(folder / "faces.parquet") as faces_table,
        closing(ahead(read_frames(source, settings.sampling, DecodeReport()), DECODED_AHEAD)) as frames,
        _canvas(source, folder, settings.sampling) as canvas,
    ):
        rows = _with_heads(_rows(frames_table, faces_table), source, settings, turned=turned)
        for number, (frame, (row, hidden)) in enumerate(_beside(frames, rows), 1):
            if (image := frame.image) is not None:
                blacken(image, settings.privacy.masks)
                for box in hidden:
                    pixelate(image, box)
                canvas.write(frame, drawer.draw(*_enlarged(image, row.faces, still=still)))
            told(number)


@dataclass(frozen=True)
class _Row:
    """What the tables say of a frame."""

    frame: int
    file: str | None
    time_s: float | None
    corrupt: bool
    size: tuple[int, int] | None
    """Height and width in pixels; None where it could not be decoded."""
    faces: tuple[DrawnFace, ...]
    seen: tuple[bool, ...]
    """Of each face, whether it was found there: where nobody searched, it is only expected."""

    def is_of(self, frame: Frame) -> bool:
        """Whether the frame is the one that was read, and not another in its place."""
        return (self.file, self.time_s, self.corrupt) == (frame.file, frame.time_s, frame.corrupt)


def _rows(frames: pq.ParquetFile, faces: pq.ParquetFile) -> Iterator[_Row]:
    """Every row of `frames` with its faces, a few in memory at a time."""
    place = ("frame", "track", "x", "y", "width", "height")
    wanted = (*place, "detection_score", "emotion", *LABELS, "smoothed_emotion", *SMOOTHED)
    by_frame = groupby(_read(faces, wanted), key=itemgetter("frame"))
    following = next(by_frame, None)
    for row in _read(frames, ("frame", "file", "time_s", "status", "width", "height")):
        found: list[dict[str, Any]] = []
        if following is not None and following[0] == row["frame"]:
            found = list(following[1])
            following = next(by_frame, None)
        seen = tuple(face["detection_score"] is not None for face in found)
        yield _Row(
            frame=row["frame"],
            file=row.get("file"),
            time_s=row["time_s"],
            corrupt=row["status"] != "ok",
            size=None if row["width"] is None else (row["height"], row["width"]),
            faces=tuple(map(_drawn_face, found)),
            seen=seen,
        )


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


def _read(table: pq.ParquetFile, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a table, with those of the columns that it has."""
    there = set(table.schema_arrow.names)
    for batch in table.iter_batches(_ROWS_READ, columns=[name for name in columns if name in there]):
        yield from batch.to_pylist()


def _with_heads(
    rows: Iterator[_Row], source: Source, settings: AnnotateSettings, *, turned: bool
) -> Iterator[tuple[_Row, list[Box]]]:
    """The rows, and the heads that nobody may recognise in each."""
    if not settings.privacy.blur:
        return ((row, []) for row in rows)

    def to_hide(face: DrawnFace) -> Box:
        return any_way_up(face.box) if turned else face.box

    if source.kind != "video" or settings.faces_only:
        return ((row, [whole_head(to_hide(face)) for face in row.faces]) for row in rows)
    shown, read_ahead = tee(_with_scales(rows))
    sights = (
        (
            cast(float, row.time_s),
            any(row.seen) or (number % settings.detection.every == 0 and not row.corrupt),
            {
                cast(int, face.track): _scaled(to_hide(face), 1 / x, 1 / y)
                for face, seen in zip(row.faces, row.seen, strict=True)
                if seen
            },
        )
        for number, (row, (x, y)) in enumerate(read_ahead)
    )
    hidden = heads(sights, settings.tracking.max_gap_s)
    return (
        (row, [*(_scaled(box, x, y) for box in boxes), *(whole_head(to_hide(face)) for face in row.faces)])
        for (row, (x, y)), boxes in zip(shown, hidden, strict=True)
    )


def _with_scales(rows: Iterable[_Row]) -> Iterator[tuple[_Row, tuple[float, float]]]:
    """The rows of a video, and how many times as wide and high each frame is as the first.

    A face that is missed where a stream changes its size is where it was in the picture, not in its pixels.
    """
    first, x, y = None, 1.0, 1.0
    for row in rows:
        first = first or row.size
        if first and row.size:
            x, y = row.size[1] / first[1], row.size[0] / first[0]
        yield row, (x, y)


def _scaled(box: Box, x: float, y: float) -> Box:
    x0, y0, x1, y1 = box
    return x * x0, y * y0, x * x1, y * y1


def _beside(
    frames: Iterable[Frame], rows: Iterable[tuple[_Row, list[Box]]]
) -> Iterator[tuple[Frame, tuple[_Row, list[Box]]]]:
    """Frames and the rows of them; what has no counterpart is left out."""
    remaining = iter(frames)
    frame = next(remaining, None)
    for row in rows:
        while frame is not None and frame.index < row[0].frame:
            frame = next(remaining, None)
        if frame is None:
            return
        if frame.index == row[0].frame and row[0].is_of(frame):
            yield frame, row


def _enlarged(
    image: NDArray[np.uint8], faces: Sequence[DrawnFace], *, still: bool
) -> tuple[NDArray[np.uint8], Sequence[DrawnFace]]:
    """A picture and its faces, so large that there is room for text."""
    short, long = sorted(image.shape[:2])
    factor = -(-(_LEGIBLE_SIDE_OF_PICTURES if still else _LEGIBLE_SIDE) // short)
    if still and faces:
        # All frames of a video have one size, whoever is in them.
        narrow = float(np.median([face.box[2] - face.box[0] for face in faces]))
        factor = max(factor, math.ceil(_LEGIBLE_FACE / max(narrow, 1.0)))
    factor = min(factor, _LONGEST_ENLARGED // long)
    if factor <= 1:
        return image, faces
    size = factor * image.shape[1], factor * image.shape[0]
    image = cast(NDArray[np.uint8], cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))
    return image, [face.enlarged(factor) for face in faces]


class _Canvas(Protocol):
    def write(self, frame: Frame, image: NDArray[np.uint8], /) -> None: ...


def _canvas(source: Source, folder: Path, sampling: SamplingSettings) -> AbstractContextManager[_Canvas]:
    if source.kind == "video":
        return _video(folder / "overlay.mp4", source, sampling)
    return _pictures(folder / "overlay")


@contextmanager
def _pictures(folder: Path) -> Iterator[_Pictures]:
    with writing(folder):
        folder.mkdir()
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
        duration = time - self._last if self._last >= 0 else round(_ALONE_S / _CLOCK)
        picture.pts, picture.time_base, picture.duration = time, _CLOCK, duration
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

"""Frames out of videos and pictures: the one place where PyAV decodes pictures."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.container.core import Flags as ContainerFlags
from av.error import FFmpegError
from av.packet import Packet

from fer_batch.annotation.animation import is_animation, read_animation
from fer_batch.annotation.clock import SAME_TIME_S, Clock, Extent, Times, time_base
from fer_batch.annotation.colour import UNSPECIFIED, ColourTags, colour_notes, dolby_vision_notes
from fer_batch.annotation.container import moving_pictures, open_container
from fer_batch.annotation.frames import Frame
from fer_batch.annotation.sources import Source
from fer_batch.annotation.still import read_still, reason_of
from fer_batch.annotation.tiff import page_numbers
from fer_batch.annotation.upright import Upright
from fer_batch.errors import DecodeError, InputError, SourceOpenError
from fer_batch.inference.picture import ArrayPicture, Picture
from fer_batch.settings import SamplingSettings
from fer_batch.storage import readable

DECODED_AHEAD = 8
"""Frames that may wait, decoded, for what is done to them."""
_WAITING_BYTES = 1 << 26
"""What may wait for a key frame to come before decoding begins without one."""
SEVERAL_PAGES = "a file of several pages has a row in frames.csv for each, in their order"
_MOST_NOTES = 20
"""No source needs as many; a stream that says something else with every frame must not fill memory."""


@dataclass(frozen=True)
class Position:
    """How far a source was read: all that reading on needs, as JSON can hold it."""

    index: int
    """Of the last sampled frame."""
    time_s: float | None
    pts: int | None
    """Its presentation time in the stream's own ticks."""
    damaged: int
    """Frames and packets with damage up to it."""
    notes: Sequence[str] = ()
    """What was to be said of the source up to it."""

    @classmethod
    def of(cls, frame: Frame) -> Position:
        """Just behind a frame."""
        return cls(frame.index, frame.time_s, frame.pts, frame.damaged, frame.notes)


@dataclass
class DecodeReport:
    """What went wrong or is worth saying while reading a source, filled in as it is read."""

    damaged: int = 0
    """Frames with damage and packets that cannot be decoded, sampled or not."""
    reason: str | None = None
    """What the decoder said of the first of them."""
    stopped: str | None = None
    """Why reading ended early."""
    notes: list[str] = field(default_factory=list)
    """What a user should know of sound results, each once, in order."""

    @property
    def problems(self) -> list[str]:
        """Why the source is not whole; empty for a healthy one."""
        damaged = f"damaged frames: {self.damaged}" if self.damaged else None
        return [problem for problem in (damaged, self.reason, self.stopped) if problem]

    def add(self, reason: str) -> None:
        """Count one more damaged frame or packet."""
        self.damaged += 1
        self.reason = self.reason or reason

    def note(self, notes: Iterable[str]) -> None:
        """Add what was not said before."""
        for note in notes:
            if note not in self.notes and len(self.notes) < _MOST_NOTES:
                self.notes.append(note)

    def clear(self) -> None:
        """Forget what was read: it was not asked for, or will be read again."""
        self.damaged, self.reason, self.stopped = 0, None, None
        self.notes = []


def read_frames(
    source: Source, sampling: SamplingSettings, report: DecodeReport, after: Position | None = None
) -> Generator[Frame, None, None]:
    """The sampled frames of a source, upright, in order of presentation.

    Args:
        source: a video, a picture or a folder of pictures.
        sampling: which frames of a video to read; pictures are all read.
        report: a new one, told what is damaged or missing.
        after: read on behind this frame, as if reading had never stopped; None begins at the beginning.

    Raises:
        SourceOpenError: it cannot be opened, or holds no video.
        DecodeError: it opened, and not one frame came out.
    """
    if after is None:
        yield from _read(source, sampling, report)
        return
    done = yield from _read_on(source, sampling, report, after)
    if done:
        return
    report.clear()
    for frame in _read(source, sampling, report):
        if frame.index > after.index:
            yield frame


_GLANCED_AT = tuple(odd / whole for whole in (2, 4, 8, 16) for odd in range(1, whole, 2))
"""Where in a source to look at single pictures, as shares of its length: each where most of it is unseen."""


def peek(source: Source, sampling: SamplingSettings) -> Generator[Picture, None, None]:
    """A few pictures of a source, spread over it, each once: to learn what kind of footage it is.

    Of a video key frames, where its container leads to them, and then a frame a second from the beginning on.
    What cannot be decoded is left out: whoever reads the source says so.

    Args:
        source: a video, a picture or a folder of pictures.
        sampling: between which times a video is read.
    """
    if source.kind != "video":
        yield from _peek_stills(source)
        return
    seen: set[int | None] = set()
    if not is_animation(source.path):
        yield from _peek_key_frames(source.path, sampling, seen)
    from_the_start = SamplingSettings(fps=1, start_s=sampling.start_s, end_s=sampling.end_s)
    with suppress(InputError), closing(_read(source, from_the_start, DecodeReport())) as frames:
        yield from (frame.picture for frame in frames if frame.picture and frame.pts not in seen)


def _peek_key_frames(path: Path, sampling: SamplingSettings, seen: set[int | None]) -> Iterator[Picture]:
    """Pictures spread over a video; their times, in the stream's own ticks, are added to those `seen`."""
    with suppress(FFmpegError, InputError), _opened(path) as (container, stream):
        upright, tags = Upright(), ColourTags.of(stream)
        for time_s in _glances(stream, sampling):
            frame = _key_frame(container, stream, time_s)
            if frame is not None and frame.pts not in seen:
                seen.add(frame.pts)
                tags.complete(frame)
                yield upright.of(frame, stream.sample_aspect_ratio)


def _peek_stills(source: Source) -> Iterator[Picture]:
    with suppress(OSError):
        paths = source.pictures
        # Of a folder the first page of a file tells: looking up those of all files would take long.
        pages = list(_pages(paths)) if source.kind == "image" else [(path, 0) for path in paths]
        for index in dict.fromkeys(int(share * len(pages)) for share in _GLANCED_AT):
            with suppress(InputError):
                yield ArrayPicture(read_still(*pages[index]))


def _glances(stream: av.VideoStream, sampling: SamplingSettings) -> Iterator[float]:
    """Seconds since the stream's start; none where its length is not known."""
    length_s = float((stream.duration or 0) * time_base(stream))
    end_s = min(sampling.end_s or length_s, length_s)
    for share in _GLANCED_AT:
        if end_s > sampling.start_s:
            yield sampling.start_s + share * (end_s - sampling.start_s)


def _key_frame(container: InputContainer, stream: av.VideoStream, time_s: float) -> av.VideoFrame | None:
    """The first key frame at a time or after it; None where there is none."""
    ticks = round(time_s / time_base(stream)) + (stream.start_time or 0)
    container.seek(ticks, stream=stream, backward=False)
    return next(container.decode(stream), None)


def _read_on(
    source: Source, sampling: SamplingSettings, report: DecodeReport, after: Position
) -> Generator[Frame, None, bool]:
    """Go on without reading again what was read; False, and nothing, where that might not be the same."""
    if after.damaged:
        # It echoes in later frames: all is decoded and counted again, as the first time.
        return False
    if source.kind != "video":
        report.note(after.notes)
        yield from _pictures(source, report, after.index + 1)
        return True
    if after.pts is None or after.time_s is None:
        return False
    with closing(_decode_near(source.path, after.time_s, report)) as decoded:
        for frame in decoded:
            if report.damaged or frame.times.pts is None or frame.times.pts > after.pts:
                return False
            if frame.times.pts == after.pts:
                report.note(after.notes)
                yield from _sample(decoded, sampling, report, after)
                return True
    return False


def _read(source: Source, sampling: SamplingSettings, report: DecodeReport) -> Generator[Frame, None, None]:
    if source.kind != "video":
        yield from _pictures(source, report, 0)
        return
    nothing = True
    with closing(_decode_from(source.path, sampling.start_s, report)) as decoded:
        for frame in _sample(decoded, sampling, report, None):
            nothing = False
            yield frame
    if nothing:
        what = "has a video stream, but no frame of it can be decoded"
        if sampling.start_s or sampling.end_s:
            end = f"{sampling.end_s:g} s" if sampling.end_s else "its end"
            what = f"has no frame from {sampling.start_s:g} s to {end}"
        raise DecodeError("; ".join([f"{readable(source.path)} {what}", *report.problems]))


@dataclass(frozen=True, eq=False)
class _Decoded:
    """A frame as the decoder left it."""

    picture: av.VideoFrame
    pixel_aspect: Fraction | None
    """Width of a pixel over its height; None where nothing is said."""
    times: Times
    tags: ColourTags


def _sample(
    decoded: Iterable[_Decoded], sampling: SamplingSettings, report: DecodeReport, after: Position | None
) -> Iterator[Frame]:
    index = after.index if after else -1
    taken = _beat(after.time_s, sampling.fps) if after and after.time_s is not None else None
    upright = Upright()
    for frame in decoded:
        if sampling.end_s and frame.times.start_s > sampling.end_s + SAME_TIME_S:
            return
        index += 1
        beat = _beat(frame.times.start_s, sampling.fps)
        if index % sampling.every or (sampling.fps and beat == taken):
            continue
        taken = beat
        report.note(colour_notes(frame.picture))
        if after is None and index == 0:
            report.note(dolby_vision_notes(frame.picture, frame.tags))
        picture, corrupt = None, True
        try:
            picture = upright.of(frame.picture, frame.pixel_aspect)
            corrupt = frame.picture.is_corrupt
        except DecodeError as error:
            report.add(str(error))
        yield Frame(
            index,
            frame.times.start_s,
            picture,
            corrupt=corrupt,
            pts=frame.times.pts,
            damaged=report.damaged,
            notes=tuple(report.notes),
        )


_TICK_S = 1e-3
"""Matroska, WebM and FLV tell times in milliseconds: a frame may seem to be as much before its beat."""


def _beat(time_s: float, fps: float) -> int:
    """The beat of a steady clock that a time belongs to: jitter of single frames does not add up."""
    return math.floor((time_s + _TICK_S) * fps)


def _decode_from(path: Path, start_s: float, report: DecodeReport) -> Generator[_Decoded, None, None]:
    """The frames at or after a time; damage before it does not count."""
    if not start_s:
        yield from _decode(path, report)
        return
    begun = False
    with closing(_decode_near(path, start_s, report)) as frames:
        for frame in frames:
            begun = begun or frame.times.start_s >= start_s - SAME_TIME_S
            if begun:
                yield frame
            else:
                report.damaged, report.reason = 0, None


def _decode_near(path: Path, time_s: float, report: DecodeReport) -> Generator[_Decoded, None, None]:
    """Frames from a key frame at or before a time on; from the beginning where there is none."""
    with closing(_decode(path, report, time_s)) as frames:
        first = next(frames, None)
        if first is not None and first.times.pts is not None and first.times.start_s <= time_s + SAME_TIME_S:
            yield first
            yield from frames
            return
    report.clear()
    yield from _decode(path, report)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    with open_container(path) as container:
        # PyAV has times made up where the file has none, and wrongly where frames are not stored in order.
        container.flags &= ~ContainerFlags.gen_pts.value
        stream = moving_pictures(container)
        if stream is None:
            raise SourceOpenError(f"{readable(path)} has no video stream")
        if stream.codec_context is None:
            raise SourceOpenError(f"{readable(path)} has video in a format that FFmpeg cannot decode")
        yield container, stream


def _decode(path: Path, report: DecodeReport, near_s: float | None = None) -> Generator[_Decoded, None, None]:
    """Every frame that can be had: a packet that cannot be decoded does not end the video.

    Args:
        path: of the video.
        report: told what is damaged or missing.
        near_s: begin with the last key frame at or before this time, in seconds since the stream's start;
            None begins at the beginning. Nothing comes where the stream's clock is set anew before.
    """
    if is_animation(path):  # which may be read from its beginning alone
        yield from _animated(path, report)
        return
    with _opened(path) as (container, stream):
        clock, extent = Clock(container, stream, midway=near_s is not None), Extent(container, stream)
        packets, tags = _packets(container, stream, extent, report), ColourTags.of(stream)
        report.note(clock.notes)
        begun = near_s is None
        if near_s is not None:
            packets = _from_key_packet(packets, near_s, clock)
        for packet in packets:
            try:
                pictures = stream.decode(packet)
            except FFmpegError as error:
                # The empty packet that drains the decoder may fail after the last frame: nothing is lost.
                if begun and packet.size:
                    report.add(f"damaged data: {reason_of(error)}")
                continue
            for picture in pictures:
                # What comes before the key frame was predicted from what has been left out.
                begun = begun or picture.key_frame
                if begun:
                    times = clock.read(picture)
                    extent.frames_s = max(extent.frames_s, times.end_s)
                    report.damaged += picture.is_corrupt
                    tags.complete(picture)
                    yield _Decoded(picture, stream.sample_aspect_ratio, times, tags)
        report.stopped = report.stopped or extent.missing(clock.late_s)


def _animated(path: Path, report: DecodeReport) -> Iterator[_Decoded]:
    tags = ColourTags(UNSPECIFIED, UNSPECIFIED, full_range=True, codec_tag="")
    try:
        for picture, times in read_animation(path):
            yield _Decoded(picture, None, times, tags)
    except DecodeError as error:
        report.stopped = str(error)


def _packets(
    container: InputContainer, stream: av.VideoStream, extent: Extent, report: DecodeReport
) -> Iterator[Packet]:
    """The stream's packets, to the end or to where reading stops; then an empty one drains the decoder."""
    packets = container.demux()
    while True:
        try:
            packet = next(packets, None)
        except (FFmpegError, OSError) as error:
            report.stopped = f"reading stopped early: {reason_of(error)}"
            break
        # PyAV ends with an empty packet for each stream, but miscounts streams that begin on the way.
        if packet is None or (packet.pts is None and packet.dts is None and not packet.size):
            break
        extent.add(packet)
        if packet.size and packet.stream.index == stream.index:
            yield packet
    last = Packet()
    last.stream, last.time_base = stream, time_base(stream)
    yield last


def _from_key_packet(packets: Iterator[Packet], time_s: float, clock: Clock) -> Iterator[Packet]:
    """Leave out all before the last key frame that is shown at or before a time.

    The file is read, not searched: a search lands elsewhere in containers without an index and in damaged
    ones, and behind it neither times nor packets need be the same.
    """
    goal, kept, size = clock.ticks(time_s), list[Packet](), 0
    decoded: int | None = None
    for packet in packets:
        if clock.set_anew(decoded, packet.dts):
            return
        decoded = packet.dts if packet.dts is not None else decoded
        if packet.is_keyframe and packet.pts is not None and packet.pts <= goal:
            kept, size = [], 0
        kept.append(packet)
        size += packet.size
        # A packet is decoded no later than it is shown: none that follows can be the one.
        if (decoded is not None and decoded > goal) or size > _WAITING_BYTES:
            break
    yield from kept
    yield from packets


def _pictures(source: Source, report: DecodeReport, first: int) -> Iterator[Frame]:
    """The pictures of a source from the `first` on; those before it were all good."""
    try:
        pictures = source.pictures
    except OSError as error:
        raise SourceOpenError(f"{readable(source.path)} cannot be listed: {reason_of(error)}") from error
    index = -1
    for index, (path, page) in enumerate(_pages(pictures)):
        if page:
            report.note([SEVERAL_PAGES])
        if index < first:
            continue
        picture, file = None, readable(path.name)
        try:
            picture = ArrayPicture(read_still(path, page))
        except InputError as error:
            report.add(str(error))
        yield Frame(
            index,
            None,
            picture,
            corrupt=picture is None,
            file=file,
            damaged=report.damaged,
            notes=tuple(report.notes),
        )
    if report.damaged == index + 1:
        what = "no picture" if source.kind == "images" else "nothing"
        raise DecodeError(
            f"{readable(source.path)} holds {what} that can be decoded: {report.reason or 'it is empty'}"
        )


def _pages(paths: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """Every picture of some files: each page of one that has several."""
    for path in paths:
        for page in page_numbers(path):
            yield path, page

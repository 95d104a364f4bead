"""When the frames of a video are shown, and how far the file goes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet

from fer_batch.annotation.container import has_clock

SAME_TIME_S = 1e-6
"""Times that differ by less are one."""
SET_BACK_S, SET_AHEAD_S = 1.0, 10.0
"""A clock that leaps back or ahead by more was set anew, where it may be, as in joined transport streams."""
_USUAL_RATE = Fraction(25)
"""Frames a second of a stream that says nothing of them."""
_RATES = 1, 1000
"""What a raw stream may state; cameras whose clock is in the file around it state ticks of that instead."""
_STATED_BY_STREAM_S = 0.5
_STATED_BY_FILE_S = 2.0
"""How much earlier than stated a healthy file may end: what states it is exact, or a rough sum."""


@dataclass(frozen=True)
class Times:
    """When a frame is shown."""

    start_s: float
    """Since the stream's start."""
    end_s: float
    pts: int | None
    """In the stream's own ticks; None where they do not tell the frame from those before it."""


class Clock:
    """Presentation times relative to the stream's start, in ticks of the stream and in seconds.

    Args:
        container: that the stream is in.
        stream: whose times they are.
        midway: the first frame that is read may be any of the stream's; its clock was not set anew before.
    """

    def __init__(self, container: InputContainer, stream: av.VideoStream, *, midway: bool = False) -> None:
        self._first_is_late = midway
        self._may_be_set = may_be_joined(container)
        self._base = time_base(stream)
        self._start = stream.start_time or 0
        """In ticks: times that are taken from each other as seconds would be rounded three times."""
        self._step_s = float(step(stream))
        self._frames = 0
        self._rate = None if has_clock(container) else _stated_rate(stream) or _USUAL_RATE
        """Frames a second, where the file tells no times."""
        self.notes = [] if self._rate is None else [_note(_stated_rate(stream))]
        """What a user should know of how frames got their times."""
        self.late_s = 0.0
        """How much later than the stream says its first frame is shown, where frames have no such times."""
        self._last_s = -math.inf
        self._pts: float | None = -math.inf
        """Of the last frame; None once a frame had none, or they did not grow."""

    def read(self, picture: av.VideoFrame) -> Times:
        """When a frame is shown; one without a time follows the last, and so does one behind a leap."""
        if self._rate is not None:
            # What FFmpeg says is made up, from another rate, and in the order of decoding.
            self._frames += 1
            return Times(float((self._frames - 1) / self._rate), float(self._frames / self._rate), None)
        following = max(self._last_s + self._step_s, 0.0)
        ticks = picture.dts if picture.pts is None else picture.pts
        if picture.pts is None and ticks is not None and self._last_s == -math.inf:
            # A file without presentation times: all are late alike.
            self.late_s = self._seconds(ticks - self._start)
            self._start = ticks
        time_s = following if ticks is None else self._seconds(ticks - self._start)
        pts = picture.pts
        late = self._first_is_late and self._last_s == -math.inf
        if ticks is not None and not late and self._leaps(time_s - following):
            self._start += round((time_s - following) / self._base)
            time_s, pts = self._seconds(ticks - self._start), None
        self._last_s = time_s
        self._pts = pts = pts if pts is not None and self._pts is not None and pts > self._pts else None
        end_s = time_s + (self._seconds(picture.duration or 0) or self._step_s)
        return Times(time_s, end_s, pts)

    def set_anew(self, earlier: int | None, later: int | None) -> bool:
        """Whether it was set between two times of decoding, which otherwise only grow."""
        if earlier is None or later is None:
            return False
        return later < earlier or self._leaps(self._seconds(later - earlier))

    def _leaps(self, by_s: float) -> bool:
        return self._may_be_set and not -SET_BACK_S <= by_s <= SET_AHEAD_S

    def ticks(self, time_s: float) -> float:
        """A time as the stream counts it."""
        return (time_s + SAME_TIME_S) / self._base + self._start

    def _seconds(self, ticks: int) -> float:
        return ticks * self._base.numerator / self._base.denominator


def may_be_joined(container: InputContainer) -> bool:
    """Whether files of the format can be joined end to end; they state no duration then."""
    return bool(container.format.flags & Flags.ts_discont.value)


def time_base(stream: av.VideoStream) -> Fraction:
    """Seconds a tick, FFmpeg's own clock where the stream has none."""
    return stream.time_base or Fraction(1, av.time_base)


def step(stream: av.VideoStream) -> Fraction:
    """Seconds from a frame to the next, about."""
    return 1 / (stream.average_rate or stream.guessed_rate or _USUAL_RATE)


def _stated_rate(stream: av.VideoStream) -> Fraction | None:
    """Frames a second as the stream itself says; None where it does not. FFmpeg's own guesses say 25 then."""
    rate = stream.codec_context.framerate
    return rate if rate and _RATES[0] <= rate <= _RATES[1] else None


def _note(stated: Fraction | None) -> str:
    if stated is None:
        return f"a raw stream without times or rate: they are those of {_USUAL_RATE} frames a second"
    return f"a raw stream without times: they are those of {float(stated):.5g} frames a second, as it states"


class Extent:
    """How far a file goes, against what it states."""

    def __init__(self, container: InputContainer, stream: av.VideoStream) -> None:
        self._container, self._stream = container, stream
        self.frames_s = 0.0
        """When the last frame of the video ends, in seconds since the stream's start."""
        self._packets_s = 0.0
        """When the last packet of any stream ends, on the file's own clock or since its start."""

    def add(self, packet: Packet) -> None:
        """Take in how far a packet of any stream goes."""
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None and packet.time_base:
            end_s = float((time + (packet.duration or 0)) * packet.time_base)
            start_s = (self._container.start_time or 0) / av.time_base
            self._packets_s = max(self._packets_s, end_s, end_s - start_s)

    def missing(self, late_s: float) -> str | None:
        """What a file that was read to its end lacks of what it states; None where it is whole.

        Args:
            late_s: how much later than the stream says its first frame is shown.
        """
        if may_be_joined(self._container) or not has_clock(self._container):
            return None
        end, tolerance = self.frames_s + late_s, _STATED_BY_STREAM_S
        if self._container.format.name == "avi" and self._stream.average_rate:
            # FFmpeg makes its duration fit what is there; the number of frames is the header's.
            stated = float(self._stream.frames / self._stream.average_rate)
        elif self._stream.duration:
            stated = float(self._stream.duration * time_base(self._stream))
        else:
            # Sound may outlast the pictures: this duration is that of the longest stream.
            stated = (self._container.duration or 0) / av.time_base
            end, tolerance = self._packets_s, _STATED_BY_FILE_S
        return f"ends at {end:.2f} s of the stated {stated:.2f} s" if end < stated - tolerance else None

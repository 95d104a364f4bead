"""The sound of a video beside pictures that were encoded anew."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TypeAlias, cast

import av
from av.audio.resampler import AudioResampler
from av.container import InputContainer, OutputContainer
from av.container.core import Flags as ContainerFlags
from av.error import FFmpegError

from fer_batch.annotation.clock import SET_AHEAD_S, SET_BACK_S, may_be_joined, step, time_base
from fer_batch.annotation.container import moving_pictures, open_container
from fer_batch.errors import InputError
from fer_batch.settings import SamplingSettings

_COPIED = frozenset({"aac", "ac3", "alac", "eac3", "mp3", "opus"})
"""Codecs that players expect inside MP4."""
_ENCODER = "aac"
"""What makes the sound of all others."""
_RATE = 48_000
"""Samples a second, where the encoder does not know the source's rate."""
_STRAY_S = Fraction(1)
"""A clock that comes back within this time was never set anew: what it stated meanwhile is damaged."""
_LEAD_IN_S = Fraction(1, 10)
"""What decoders need of the sound before a cut, and players do not play: Opus asks for 80 ms."""


def add_sound(silent: Path, source: Path, sampling: SamplingSettings, path: Path) -> None:
    """Put the pictures of one file and the sound of another into one MP4 file.

    Sound is copied as it is where MP4 takes it, else encoded. What is damaged is left out, all of it if
    need be; then, and where there is no sound or the source is gone, the pictures are moved to `path` as
    they are.

    Args:
        silent: MP4 file with the pictures, whose time 0 is `sampling.start_s`; gone afterwards.
        source: video with the sound.
        sampling: which part of the video was read.
        path: of the file to write.

    Raises:
        OSError: the file cannot be written.
    """
    leaps = _leaps_ahead(source)
    for take in (_copy, _encode):
        # Muxer and encoder refuse sound that is damaged, or described wrongly, with errors of many kinds
        # and at any packet. A full disk is an OSError, and no fault of the sound.
        try:
            _join(silent, source, sampling, path, take, leaps)
        except OSError:
            raise
        except (FFmpegError, ValueError):
            continue
        silent.unlink()
        return
    silent.replace(path)


@dataclass(frozen=True)
class _Sound:
    """A stream of sound, and which part of it is wanted."""

    container: InputContainer
    stream: av.AudioStream
    sampling: SamplingSettings
    pictures_s: Fraction
    """When the pictures start, by the clock of the file."""
    leaps: Sequence[Fraction]
    """Where the pictures' clock goes on after it was set ahead, by the clock of the file."""

    @classmethod
    def of(
        cls,
        container: InputContainer,
        sampling: SamplingSettings,
        pictures_s: Fraction,
        leaps: Sequence[Fraction],
    ) -> _Sound:
        """The sound that belongs to a file's pictures.

        Raises:
            ValueError: there is none, or none that can be decoded.
        """
        pictures = moving_pictures(container)
        stream = cast(av.AudioStream | None, container.streams.best("audio", pictures))
        if pictures is None or stream is None or stream.codec_context is None or not stream.time_base:
            raise ValueError("there is no sound")
        return cls(container, stream, sampling, pictures_s, leaps)

    def packets(self) -> Iterator[av.Packet[av.AudioStream]]:
        """The wanted packets, with times since the cut's start, as far as the file can be read."""
        cut_s, end_s = Fraction(self.sampling.start_s), Fraction(self.sampling.end_s)
        start, length = self._ticks(self.pictures_s + cut_s), self._ticks(end_s - cut_s)
        lead_in, set_back = self._ticks(_LEAD_IN_S), self._ticks(Fraction(SET_BACK_S))
        set_ahead, leaps = self._ticks(Fraction(SET_AHEAD_S)), [self._ticks(leap) for leap in self.leaps]
        # Where a clock may be set back on the way, as in transport streams, a time is not a place.
        if cut_s and not may_be_joined(self.container):
            with suppress(FFmpegError):  # then it is read from the beginning, which is as right
                self.container.seek(start - lead_in, stream=self.stream)
        following = -math.inf
        with suppress(FFmpegError, OSError):
            for stated, packet in self._credible(start, leaps):
                time = stated - start
                ahead = time > following + set_ahead and any(abs(stated - leap) < set_back for leap in leaps)
                if time < following - set_back or (ahead and following > -math.inf):
                    # Recordings were joined: the next one's sound follows, as its pictures do.
                    start, time = stated - int(following), int(following)
                following = time + (packet.duration or 0)
                if end_s and time >= length:
                    return
                if following > -lead_in:
                    packet.pts = packet.dts = time
                    yield packet

    def _credible(self, start: int, leaps: Sequence[int]) -> Iterator[tuple[int, av.Packet[av.AudioStream]]]:
        """The stream's packets with what they state; a few whose clock is elsewhere are left out.

        One damaged time stamp of a transport stream counts for all packets that it stands before.

        Args:
            start: when sound is wanted from, in ticks: the first time may be damaged too.
            leaps: where a clock that goes on ahead has been set so, in ticks.
        """
        set_back, set_ahead = self._ticks(Fraction(SET_BACK_S)), self._ticks(Fraction(SET_AHEAD_S))
        strays: list[tuple[int, av.Packet[av.AudioStream]]] = []
        following, stray_following, longest = start, 0, self._ticks(_STRAY_S)
        for packet in self.container.demux(self.stream):
            stated = packet.pts if packet.pts is not None else packet.dts
            if stated is None or packet.is_corrupt:
                continue
            end = stated + (packet.duration or 0)
            if strays and -set_back <= stated - stray_following <= set_ahead:
                strays.append((stated, packet))
                stray_following = end
                if end - strays[0][0] >= longest:
                    yield from strays
                    following, strays = end, []
            elif -set_back <= stated - following <= set_ahead:
                yield stated, packet
                following, strays = end, []
            else:
                strays, stray_following = [(stated, packet)], end
        begun = strays[0][0] if strays else following
        if begun < following or any(abs(begun - leap) < set_back for leap in leaps):
            yield from strays

    def _ticks(self, seconds: Fraction) -> int:
        return round(seconds / cast(Fraction, self.stream.time_base))


def _pictures_s(path: Path) -> Fraction:
    """When a file's pictures start, by the clock of the file, in seconds."""
    start = Fraction(0)
    with suppress(FFmpegError, InputError, OSError), open_container(path) as container:
        container.flags &= ~ContainerFlags.gen_pts.value  # times that are made up are not asked for
        pictures = moving_pictures(container)
        if pictures is None:
            return start
        start = (pictures.start_time or 0) * time_base(pictures)
        for held, packet in enumerate(container.demux(pictures)):
            for picture in packet.decode():
                if picture.pts is None and picture.dts is not None:
                    # AVI tells when packets are decoded; so many had to be before the first picture was.
                    return picture.dts * time_base(pictures) - held * step(pictures)
                return start
    return start


def _leaps_ahead(path: Path) -> list[Fraction]:
    """Where joined recordings set the clock of a file's pictures ahead: to what, in seconds."""
    found: list[Fraction] = []
    with suppress(FFmpegError, InputError, OSError), open_container(path) as container:
        pictures = moving_pictures(container)
        if pictures is None or not may_be_joined(container):
            return []
        base, following = time_base(pictures), None
        for packet in container.demux(pictures):
            if packet.dts is None or packet.is_corrupt:
                continue
            if following is not None and (packet.dts - following) * base > SET_AHEAD_S:
                found.append(packet.dts * base)
            following = packet.dts + (packet.duration or 0)
    return found


_Take: TypeAlias = Callable[[_Sound, OutputContainer], Iterator[av.Packet]]
"""Adds a stream of sound to a file, and gives its packets."""


def _copy(sound: _Sound, container: OutputContainer) -> Iterator[av.Packet]:
    codec = sound.stream.codec_context.codec.canonical_name
    if codec not in _COPIED:
        raise ValueError(f"players do not expect {codec} in MP4")
    return _rising(sound.packets(), container.add_stream_from_template(sound.stream))


def _encode(sound: _Sound, container: OutputContainer) -> Iterator[av.Packet]:
    rates = av.Codec(_ENCODER, "w").audio_rates or []
    rate = sound.stream.rate if sound.stream.rate in rates else _RATE
    layout = "mono" if sound.stream.channels == 1 else "stereo"
    stream = cast(av.AudioStream, container.add_stream(_ENCODER, rate=rate, layout=layout))
    return _rising(_encoded(sound, stream), stream)


def _encoded(sound: _Sound, stream: av.AudioStream) -> Iterator[av.Packet]:
    shape, resampler = None, None
    for packet in sound.packets():
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        for frame in frames:
            # Broadcasts change from stereo to surround and back; a resampler knows one shape.
            found = frame.format.name, frame.layout.name, frame.sample_rate
            if resampler is None or found != shape:
                shape, resampler = found, AudioResampler(stream.format, stream.layout, stream.rate)
            for resampled in resampler.resample(frame):
                yield from stream.encode(resampled)
    yield from stream.encode(None)


def _join(
    silent: Path, source: Path, sampling: SamplingSettings, path: Path, take: _Take, leaps: Sequence[Fraction]
) -> None:
    with (
        _opened(source) as heard,
        av.open(str(silent.absolute())) as seen,
        av.open(str(path.absolute()), "w") as joined,
    ):
        pictures = joined.add_stream_from_template(seen.streams.video[0])
        sound = take(_Sound.of(heard, sampling, _pictures_s(source), leaps), joined)
        first = next(sound, None)
        if first is None:
            raise ValueError("there is no sound in this part")
        packets = _rising(seen.demux(video=0), pictures), chain([first], sound)
        for packet in heapq.merge(*packets, key=_time_s):
            joined.mux(packet)


def _opened(source: Path) -> InputContainer:
    try:
        return open_container(source)
    except InputError as error:  # the source is to blame, and not what is written
        raise ValueError(f"{source} cannot be opened again") from error


def _rising(packets: Iterable[av.Packet], stream: av.AudioStream | av.VideoStream) -> Iterator[av.Packet]:
    """The packets, now of `stream`; those whose time does not rise, which no muxer takes, are left out."""
    last = None
    for packet in packets:
        if packet.dts is not None and (last is None or packet.dts > last):
            last = packet.dts
            packet.stream = stream
            yield packet


def _time_s(packet: av.Packet) -> float:
    return float((packet.dts or 0) * packet.time_base)

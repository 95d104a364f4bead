"""From a video's values to those of pictures: transfer functions by their numbers in ITU-T H.273.

Most are close to the curve of pictures, and are left as they are. The others are undone by a table, so that
reference white and all below it look as the same scene filmed in SDR.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import av
import numpy as np
from av.video.reformatter import ColorRange, ColorTrc
from numpy.typing import NDArray

UNSPECIFIED = 2
"""Both as a transfer function and as matrix coefficients."""
CONVERTED_MATRICES = frozenset({0, 1, UNSPECIFIED, 4, 5, 6, 7, 9})
"""Ways to code colour (matrix coefficients) that FFmpeg converts; it refuses all others."""

_GAMMA_LIKE = frozenset(
    {
        ColorTrc.BT709,
        UNSPECIFIED,
        ColorTrc.GAMMA22,
        ColorTrc.GAMMA28,
        ColorTrc.SMPTE170M,
        ColorTrc.SMPTE240M,
        ColorTrc.IEC61966_2_4,
        ColorTrc.BT1361_ECG,
        ColorTrc.IEC61966_2_1,
        ColorTrc.BT2020_10,
        ColorTrc.BT2020_12,
        ColorTrc.ARIB_STD_B67,
    }
)
"""Transfer functions that need no table: HLG (ARIB STD-B67) is made to be shown as it is, too."""

_REFERENCE_WHITE = 203
"""Luminance of SDR white in HDR, in cd/m2 (ITU-R BT.2408)."""
_ROLL_OFF = 0.9
"""Share of a picture's range at which highlights begin. What is above is compressed into the rest, so that
bright faces keep some detail; what is below is exact. Chosen by 2,000 faces of FER2013's PublicTest (seed 0),
read in 1 to 4 times their light: 0.8 keeps the reading of more of the brightest, and of fewer others."""

_Samples = NDArray[np.float64]


def _pq_light(signal: _Samples) -> _Samples:
    """SMPTE ST 2084."""
    root = signal ** (32 / 2523)
    light = np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)
    return light ** (8192 / 1305) * (10_000 / _REFERENCE_WHITE)


@dataclass(frozen=True)
class _Transfer:
    name: str
    light: Callable[[_Samples], _Samples]
    """Light by signal, 0–1; light of 1 is white."""
    highlights: bool = False
    """It has light far above white."""


_TRANSFERS: Mapping[int, _Transfer] = {
    ColorTrc.LINEAR: _Transfer("linear light", lambda signal: signal),
    ColorTrc.LOG: _Transfer("logarithmic light", lambda signal: 100 ** (signal - 1) * (signal > 0)),
    ColorTrc.LOG_SQRT: _Transfer(
        "logarithmic light", lambda signal: 10 ** (2.5 * signal - 2.5) * (signal > 0)
    ),
    ColorTrc.SMPTE2084: _Transfer("HDR (PQ)", _pq_light, highlights=True),
    ColorTrc.SMPTE428: _Transfer("digital cinema (SMPTE ST 428)", lambda signal: 52.37 / 48 * signal**2.6),
}
"""Transfer functions that a picture must not be read with."""


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether black is 0, and white the largest value, in a frame that has a plane of brightness."""
    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")


def needs_table(frame: av.VideoFrame) -> bool:
    """Whether a frame has to go through `sdr_table` to look like a picture."""
    return frame.color_trc in _TRANSFERS


def sdr_table(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Values of pictures by what FFmpeg makes of a frame that `needs_table` as planes of 16 bits.

    Returns:
        uint8 [65536], never falling.
    """
    return _table(frame.color_trc, *_black_and_white(frame))


def _black_and_white(frame: av.VideoFrame) -> tuple[int, int]:
    """What FFmpeg makes black and white in 16 bits: it fills up shallower values with zeros below."""
    bits = min(frame.format.components[0].bits, 16)
    if frame.format.name.startswith("gray"):
        # FFmpeg takes gray for pictures', whatever is said of its range.
        limited, black, white = frame.color_range == ColorRange.MPEG, 16, 235
    else:
        limited, black, white = not (frame.format.is_rgb or is_full_range(frame)), 0, 255
    return (black << 8, white << 8) if limited else (0, ((1 << bits) - 1) << (16 - bits))


@lru_cache(maxsize=8)
def _table(transfer: int, black: int, white: int) -> NDArray[np.uint8]:
    signal = np.clip((np.arange(1 << 16) - black) / (white - black), 0, 1)
    light = _TRANSFERS[transfer].light(signal)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)  # sRGB
    if _TRANSFERS[transfer].highlights:
        above = np.maximum(shown - _ROLL_OFF, 0) / (1 - _ROLL_OFF)
        shown = np.minimum(shown, _ROLL_OFF) + (1 - _ROLL_OFF) * -np.expm1(-above)
    # Up, but for levels that were kept exactly: a step of PQ in 8 bits is nearly two of a picture's, and who
    # wrote it may have cut off what was between.
    table = np.ceil(255 * np.minimum(shown, 1) - 1 / 32).astype(np.uint8)
    table.setflags(write=False)
    return table


_DOLBY_VISION_TAGS = frozenset({"dvh1", "dvhe", "dav1"})
"""Names in MP4 of Dolby Vision that only its own players can show."""


@dataclass(frozen=True)
class ColourTags:
    """What a container says of the colours of a video."""

    transfer: int
    matrix: int
    full_range: bool
    codec_tag: str

    @classmethod
    def of(cls, stream: av.VideoStream) -> ColourTags:
        """To be asked before anything is decoded: decoders overwrite it, HEVC's with "unspecified"."""
        full_range = stream.color_range == ColorRange.JPEG
        return cls(stream.color_trc, stream.colorspace, full_range, stream.codec_tag)

    def complete(self, frame: av.VideoFrame) -> None:
        """Tell a frame what it does not say itself, where it makes a picture of other brightness."""
        if frame.color_trc == UNSPECIFIED and self.transfer in _TRANSFERS:
            frame.color_trc = self.transfer
            frame.color_range = ColorRange.JPEG if self.full_range else frame.color_range
        if frame.colorspace == UNSPECIFIED and needs_table(frame):
            frame.colorspace = self.matrix


def colour_notes(frame: av.VideoFrame) -> tuple[str, ...]:
    """What a user should know of how the colours of a frame are read; mostly nothing."""
    return _notes(frame.color_trc, frame.colorspace)


@lru_cache(maxsize=64)
def _notes(transfer: int, matrix: int) -> tuple[str, ...]:
    notes = []
    if transfer in _TRANSFERS:
        known = _TRANSFERS[transfer]
        white = f", white at {_REFERENCE_WHITE} cd/m2" if known.highlights else ""
        notes.append(f"{known.name} converted to SDR{white}")
    elif transfer not in _GAMMA_LIKE:
        notes.append(f"transfer function {transfer} (ITU-T H.273) is unknown: read as SDR")
    if matrix not in CONVERTED_MATRICES:
        notes.append(f"matrix coefficients {matrix} (ITU-T H.273) cannot be converted: colours may be wrong")
    return tuple(notes)


def dolby_vision_notes(frame: av.VideoFrame, tags: ColourTags) -> tuple[str, ...]:
    """What a user should know of a frame that is Dolby Vision without a base layer for other players.

    That is profile 5, which says nothing of its colours. The side data that is looked at keeps the frame in
    memory until somebody collects it: not to be asked of every frame.
    """
    if frame.color_trc != UNSPECIFIED:
        return ()
    if tags.codec_tag not in _DOLBY_VISION_TAGS and not _has_dolby_vision(frame):
        return ()
    return ("Dolby Vision without a compatible base layer cannot be converted: read as SDR",)


def _has_dolby_vision(frame: av.VideoFrame) -> bool:
    try:
        kinds = {data.type.name for data in cast(Iterable[Any], frame.side_data)}
    except ValueError:
        return False  # PyAV refuses all side data where there is some of a kind that it does not know.
    return not kinds.isdisjoint({"DOVI_RPU_BUFFER", "DOVI_METADATA"})

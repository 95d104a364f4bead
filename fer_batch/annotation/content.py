"""What a file is, told by what is in it and not by its name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO, Literal

from av.error import FFmpegError

from fer_batch.annotation.container import has_clock, moving_pictures, open_container
from fer_batch.annotation.still import PNG_START
from fer_batch.annotation.suffixes import HEIC_UNREAD
from fer_batch.errors import InputError

_HEAD = 4096
"""Bytes that are looked at before anything is decoded."""
_STILL = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|BM.{4}\0{4}|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP|P[1-6]\s"
    rb"|\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51",
    re.DOTALL,
)
"""How pictures begin that OpenCV reads: JPEG, PNG, BMP, TIFF, WebP, PNM, JPEG 2000; besides AVIF."""
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""Bytes that no text has."""
_VIDEO_TEXT = b"YUV4MPEG2 "
"""How the one kind of video begins that may have no such byte for long."""
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis"})
_AVIF, _AVIF_SEQUENCE = b"avif", b"avis"
_MOST_CHUNKS = 1000
"""Pieces of a picture file that are looked through before it counts as one that does not move."""


def kind_by_content(path: Path) -> Literal["video", "image"] | None:
    """Whether a file holds video or a picture; None where it is neither, or holds nothing.

    Raises:
        OSError: it cannot be read.
    """
    head = _head(path)
    brands = _brands(head)
    if moves(path):
        return "video"
    if _STILL.match(head) or _AVIF in brands:
        return "image"
    return "video" if not _is_text(head) and not brands & _HEIC and _is_video(path) else None


def described(path: Path) -> str:
    """What a file holds that is neither video nor picture, for an error that names it."""
    try:
        head = _head(path)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if not head:
        return "it is empty" if path.is_file() else "it is no regular file"
    if _brands(head) & _HEIC:
        return HEIC_UNREAD
    if _is_text(head):
        return "it holds text"
    try:
        with open_container(path) as container:
            return "it holds no pictures that move" if container.streams.video else "it has no video stream"
    except InputError:
        return "nothing in it is known to FFmpeg or OpenCV"


def moves(path: Path) -> bool:
    """Whether a file is an animated picture: WebP, PNG or AVIF of more than one frame.

    GIF is not asked for: it is a video in any case.
    """
    try:
        if not path.is_file():  # opening a pipe may never end
            return False
        with path.open("rb") as file:
            head = file.read(32)
            if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X":
                return bool(head[20:21] and head[20] & 2) and _webp_frames(file) > 1
            if head.startswith(PNG_START):
                return _png_frames(file) > 1
            return _AVIF_SEQUENCE in _brands(head)
    except OSError:
        return False


def _webp_frames(file: BinaryIO) -> int:
    """How many frames an animated WebP has, 2 for any more."""
    at, frames = 12, 0
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        start = file.read(8)
        frames += start[:4] == b"ANMF"
        if len(start) < 8 or frames == 2:
            break
        size = int.from_bytes(start[4:], "little")
        at += 8 + size + size % 2
    return frames


def _png_frames(file: BinaryIO) -> int:
    """How many frames a PNG says that it has before its first picture; 0 where it says nothing."""
    at = len(PNG_START)
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        start = file.read(12)
        if start[4:8] == b"acTL":
            return int.from_bytes(start[8:], "big")
        if len(start) < 12 or start[4:8] == b"IDAT":
            break
        at += 12 + int.from_bytes(start[:4], "big")
    return 0


def _head(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(_HEAD)


def _brands(head: bytes) -> set[bytes]:
    """The kinds that a file of ISO's base media format says it is; none of other files."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}


def _is_text(head: bytes) -> bool:
    return not _CONTROL.search(head) and not head.startswith(_VIDEO_TEXT)


def _is_video(path: Path) -> bool:
    try:
        with open_container(path) as container:
            stream = moving_pictures(container)
            if stream is None or container.format.name.endswith("_pipe"):
                return False
            # A raw stream has no header: any bytes may look like one until they are decoded.
            return has_clock(container) or next(container.decode(stream), None) is not None
    except (FFmpegError, InputError):
        return False

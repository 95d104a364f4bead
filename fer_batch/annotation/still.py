"""Picture files as arrays."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.errors import DecodeError, SourceOpenError
from fer_batch.storage import readable

_LARGE = 32_000_000
"""Pixels from which a picture that lies in memory twice while it is decoded is too much."""
PNG_START, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"


def read_still(path: Path, page: int = 0) -> NDArray[np.uint8]:
    """An upright RGB picture of 8 bits, uint8 [H, W, 3].

    OpenCV turns it as EXIF says, drops transparency, and brings gray, CMYK and 16 bits to RGB of 8.

    Args:
        path: of the file.
        page: which of its pictures, as `fer_batch.annotation.tiff.page_numbers` has them.

    Raises:
        SourceOpenError: it cannot be read.
        DecodeError: it is no picture, or only a part of one.
    """
    name = readable(path.name)
    try:
        check_is_file(path)
        image = _decode_page(path, page) if page else None
        if not page:
            data = np.fromfile(path, np.uint8)  # imread cannot open every name on Windows
            image = _decode(data, path) if data.size else None
    except OSError as error:
        raise SourceOpenError(f"{name} cannot be read: {reason_of(error)}") from error
    except cv2.error as error:
        raise DecodeError(f"{name} cannot be decoded: {error.err}") from error
    if image is None:
        which = f" (page {page + 1})" if page else ""
        raise DecodeError(f"{name}{which} cannot be decoded")
    return image


def _decode_page(path: Path, page: int) -> NDArray[np.uint8] | None:
    """A page behind the first; the others are not decoded."""
    if _opencv_opens(path):
        _, images = cv2.imreadmulti(str(path), start=page, count=1, flags=cv2.IMREAD_COLOR_RGB)
    else:
        data = np.fromfile(path, np.uint8)
        _, images = cv2.imdecodemulti(data, cv2.IMREAD_COLOR_RGB, range=(page, page + 1))
    return cast(NDArray[np.uint8], images[0]) if images else None


def _opencv_opens(path: Path) -> bool:
    """Whether OpenCV can open a file by its name."""
    return os.name != "nt" and str(path).isprintable()


def _decode(data: NDArray[np.uint8], path: Path) -> NDArray[np.uint8] | None:
    """The picture that a file holds; None where it holds none, or only a part of one."""
    start = data[:24].tobytes()
    pixels = _jpeg_pixels(data) if start.startswith(_JPEG) else _png_pixels(start)
    if pixels < _LARGE or not _opencv_opens(path):
        # As RGB at once: turning the colours round afterwards would need as much memory again.
        return cast(NDArray[np.uint8] | None, cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))
    # `imdecode` copies what it has decoded, `imread` decodes to where NumPy wants it. But that fills up what
    # is missing of a JPEG, which decoding to an eighth of the size, at little memory, does not.
    if start.startswith(_JPEG) and cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_8) is None:
        return None
    return cast(NDArray[np.uint8] | None, cv2.imread(str(path), None, cv2.IMREAD_COLOR_RGB))


def _jpeg_pixels(data: NDArray[np.uint8]) -> int:
    """How many pixels a JPEG has by its frame header (ITU-T T.81, B.2.2); 0 where there is none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, segment = int(data[at + 1]), data[at + 2 : at + 9].tobytes()
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            return int.from_bytes(segment[3:5], "big") * int.from_bytes(segment[5:7], "big")
        at += 2 + int.from_bytes(segment[:2], "big")
    return 0


def _png_pixels(start: bytes) -> int:
    """How many pixels a PNG has by its header; 0 of other files."""
    if not start.startswith(PNG_START):
        return 0
    return int.from_bytes(start[16:20], "big") * int.from_bytes(start[20:24], "big")


def check_is_file(path: Path) -> None:
    """Pipes and devices are refused: reading them may never end.

    Raises:
        SourceOpenError: it is one.
        OSError: it does not exist, or must not be looked at.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise SourceOpenError(f"{readable(path)} is not a file")


def reason_of(error: Exception) -> str:
    """What went wrong, in the system's words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

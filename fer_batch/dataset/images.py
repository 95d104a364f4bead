"""Pictures in memory: decoding, encoding, resizing and their fingerprint. OpenCV is touched here only."""

from __future__ import annotations

import hashlib
import struct
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 48
"""Height and width of a FER2013 picture, in pixels."""

# PNG: faces of 48x48 hardly shrink (1.9 KB of 2.4 KB, one block of a disk either way), and without
# compression they are written seven times and read five times as fast.
# JPEG 95: the usual "visually lossless" quality; who needs the exact pixels takes PNG.
_ENCODER_OPTIONS = {
    "png": (cv2.IMWRITE_PNG_COMPRESSION, 0, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
    "jpg": (cv2.IMWRITE_JPEG_QUALITY, 95),
}


def decode_gray(data: bytes) -> NDArray[np.uint8]:
    """The picture in an encoded file (PNG, JPEG and whatever else OpenCV reads), as gray.

    Returns:
        uint8 [H, W], 0–255; colour becomes luma (ITU-R BT.601).

    Raises:
        ValueError: the bytes are not a picture that can be decoded.
    """
    if not data:
        raise ValueError("the file is empty")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:  # its header states a size beyond what OpenCV makes room for
        raise ValueError(f"not a picture that can be decoded: {error.err}") from error
    if image is None:
        raise ValueError("not a picture that can be decoded")
    return np.asarray(image, np.uint8)


def encode(image: NDArray[np.uint8], image_format: Literal["png", "jpg"]) -> bytes:
    """A gray picture (uint8 [H, W]) as the bytes of a PNG (lossless) or JPEG (quality 95) file."""
    done, data = cv2.imencode(f".{image_format}", image, _ENCODER_OPTIONS[image_format])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of {image.shape} as {image_format}")
    return data.tobytes()


def resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A gray picture (uint8 [H, W]) as uint8 [size, size]; unchanged where it has that size.

    Shrinks by area averaging, enlarges bilinearly. The sides are scaled independently.
    """
    height, width = image.shape
    if (height, width) == (size, size):
        return image
    shrinking = height >= size and width >= size
    resized = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def pixel_sha256(image: NDArray[np.uint8]) -> str:
    """SHA-256, in hexadecimal, of height, width, channels (uint32, little-endian) and pixels.

    Args:
        image: uint8 [H, W]; its channel count is 1.
    """
    height, width = image.shape
    return hashlib.sha256(struct.pack("<III", height, width, 1) + image.tobytes()).hexdigest()

"""What real pictures do to hidden and open faces alike: framing, light, blur, noise, JPEG.

Without it a network learns to see drawings instead of what they show.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.flaws import recompressed
from making.scene import SIDE, Gray, Rng

Pixels = NDArray[np.float32]


def taken(picture: Gray, rng: Rng, *, harsh: bool = True) -> Gray:
    """A picture, uint8 [48, 48], as some camera might have taken it; through JPEG at quality 75 at last.

    Args:
        picture: what there is to be taken.
        rng: of all that is random.
        harsh: whether it may be so blurred or so dark that little can be told.
    """
    image = _framed(picture.astype(np.float32), rng)
    if rng.random() < 0.4:
        image = _lit(image, rng)
    image = _toned(image, rng, 0.25 if harsh else 0.45)
    if rng.random() < 0.5:
        image = _unsharp(image, rng, 12 if harsh else 22)
    if rng.random() < 0.4:
        image = image + rng.normal(0, rng.uniform(1, 7), image.shape).astype(np.float32)
    final = image.round().clip(0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(15, 90))
        final = cv2.imdecode(
            cv2.imencode(".jpg", final, (cv2.IMWRITE_JPEG_QUALITY, quality))[1], cv2.IMREAD_GRAYSCALE
        )
    return recompressed(np.asarray(final, np.uint8))


def _framed(image: Pixels, rng: Rng) -> Pixels:
    """Turned, moved, cropped tightly or widely, squeezed, mirrored."""
    size = rng.uniform(0.85, 1.55)
    wide = np.exp(rng.normal(0.06, 0.11))
    lying = rng.random() < 0.08
    turn = rng.uniform(-120, 120) if lying else rng.normal(0, 15)
    move = cv2.getRotationMatrix2D((23.5, 23.5), float(turn), size)
    stretch = np.array([[wide], [1 / wide]])
    move = (move - [[0, 0, 23.5], [0, 0, 23.5]]) * stretch + [[0, 0, 23.5], [0, 0, 23.5]]
    move[:, 2] += rng.normal(0, 2.2, 2)
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
    return np.asarray(cv2.warpAffine(image, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), np.float32)


def _lit(image: Pixels, rng: Rng) -> Pixels:
    """Light from one side, with a soft or a hard edge."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    across = x * np.cos(angle) + y * np.sin(angle) + rng.uniform(-0.3, 0.3)
    dark = rng.uniform(0.15, 0.8)
    lit = 1 / (1 + np.exp((-across * rng.uniform(2, 30)).clip(-30, 30)))
    return (image * (dark + (1 - dark) * lit)).astype(np.float32)


def _toned(image: Pixels, rng: Rng, darkest: float) -> Pixels:
    """Dark, bright, flat, harsh, or through a film's curve; a colour cast does the same to a gray picture."""
    share = (image / 255).clip(0, 1) ** np.float32(np.exp(rng.normal(0, 0.3)))
    mean = float(share.mean())
    glaring = rng.random() < 0.12
    contrast = rng.uniform(1.5, 2.6) if glaring else np.exp(rng.normal(-0.05, 0.3))
    share = (share - mean) * contrast + mean
    gain = rng.uniform(darkest, 0.7) if rng.random() < 0.2 else rng.uniform(0.7, 1.3)
    return (share * gain * 255 + rng.normal(0, 12)).clip(0, 255).astype(np.float32)


def _unsharp(image: Pixels, rng: Rng, fewest: int) -> Pixels:
    """Out of focus, moved, or enlarged from fewer pixels."""
    widest = 36 / fewest  # blurs about as much as that enlargement
    kind = rng.choice(3, p=[0.45, 0.15, 0.4])
    if kind == 0:
        return cv2.GaussianBlur(image, (0, 0), float(min(0.3 + rng.exponential(0.7), widest)))
    if kind == 1:
        length = int(rng.integers(2, 2 + round(2 * widest)))
        kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
        angle = rng.uniform(0, np.pi)
        end = (round(length + length * np.cos(angle)), round(length + length * np.sin(angle)))
        cv2.line(kernel, (length, length), end, 1.0, 1)
        return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    side = int(rng.integers(fewest, 40))
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    way = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST], p=[0.5, 0.3, 0.2]))
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=way), np.float32)

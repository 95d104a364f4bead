"""Text as masks: how much ink each pixel of a word has."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

_FONT = Path("fonts", "ttf", "DejaVuSans.ttf")
"""In matplotlib's wheel, so it is the same everywhere. OpenCV's own letters run together when small."""
_DPI = 72
"""A point is one pixel then."""
_TALLEST = "dp"
"""No letter or digit reaches higher or lower than these."""


@lru_cache(4096)
def lettered(text: str, size: int) -> NDArray[np.uint8]:
    """A line of text; all lines of one size are equally high, and their baselines are too.

    Args:
        text: letters, digits and signs, none higher or lower than letters are.
        size: of the font, in pixels; the line is a little lower than that.

    Returns:
        uint8 [H, W], 0 where there is no ink, up to 255; not to be changed.
    """
    above, below = _extent(_TALLEST, size)
    top = max(0, above - _extent(text, size)[0])
    font = _font(size)
    font.draw_glyphs_to_bitmap(antialiased=True)
    ink = np.asarray(font.get_image())
    x, y, width, height = cv2.boundingRect(ink)
    height = min(height, above + below - top)
    mask = np.zeros((above + below, width), np.uint8)
    mask[top : top + height] = ink[y : y + height, x : x + width]
    mask.flags.writeable = False
    return mask


def _extent(text: str, size: int) -> tuple[int, int]:
    """How far a text reaches above its baseline and below it, in pixels."""
    font = _font(size)
    font.set_text(text)
    height, descent = font.get_width_height()[1] / 64, font.get_descent() / 64
    return math.ceil(height - descent), math.ceil(descent)


@lru_cache(64)
def _font(size: int) -> FT2Font:
    # Few runs draw, and each worker would wait.
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(Path(get_data_path(), _FONT)))
    font.set_size(size, _DPI)
    return font

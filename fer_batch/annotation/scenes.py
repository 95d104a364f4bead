"""Where one scene of a video ends and another begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.picture import Picture

_SIDES = (32, 18)
"""Width and height of what frames are compared by, in pixels: smaller than anything that moves."""
_CUT = 20.0
"""Mean difference of brightness, 0–255, from which the scene is another: the content value of PySceneDetect
for brightness alone, which cuts at 27 on full-size frames; a glance, without detail, differs by less."""


@dataclass(frozen=True, eq=False)
class Glance:
    """What successive frames are compared by."""

    brightness: NDArray[np.uint8]
    """uint8 [18, 32]."""
    size: tuple[int, int]
    """Height and width of the frame in pixels."""


def glance(picture: Picture) -> Glance:
    """A picture's size, and its brightness at a glance."""
    # Every pixel of a large picture would be averaged at the cost of decoding it.
    height, width = picture.size
    step = max(1, min(height // (4 * _SIDES[1]), width // (4 * _SIDES[0])))
    seen = picture.gray(slice(None, None, step), slice(None, None, step))
    return Glance(
        cast(NDArray[np.uint8], cv2.resize(seen, _SIDES, interpolation=cv2.INTER_AREA)), picture.size
    )


def is_cut(before: Glance, after: Glance) -> bool:
    """Whether two successive frames are of different scenes, or sizes: no box outlives either."""
    difference = np.abs(before.brightness.astype(np.int16) - after.brightness)
    return before.size != after.size or float(difference.mean()) > _CUT

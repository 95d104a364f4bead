"""Where one scene of a video ends and another begins."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.picture import Picture

_SIDES = (32, 18)
"""Width and height of what frames are compared by, in pixels: smaller than anything that moves."""
_CUT = 20.0
"""Mean difference of brightness, 0–255, from which the scene is another: the content value of PySceneDetect
for brightness alone, which cuts at 27 on full-size frames; thumbnails, without detail, differ by less."""


def thumbnail(picture: Picture) -> NDArray[np.uint8]:
    """A picture's brightness at a glance: uint8 [18, 32]."""
    # Every pixel of a large picture would be averaged at the cost of decoding it.
    height, width = picture.size
    step = max(1, min(height // (4 * _SIDES[1]), width // (4 * _SIDES[0])))
    seen = picture.gray(slice(None, None, step), slice(None, None, step))
    return cast(NDArray[np.uint8], cv2.resize(seen, _SIDES, interpolation=cv2.INTER_AREA))


def is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Whether two successive thumbnails show different scenes."""
    return float(np.abs(before.astype(np.int16) - after).mean()) > _CUT

"""Faces of any size, for a detector that knows those of 30 to 400 pixels: pictures are seen in several sizes.

A face taller than some 400 pixels of what YuNet sees is shifted, split or lost, and hands and collars become
faces. So a picture in which there is room for one is looked at again at a third of the size, and again, until
there is none. Each look answers for the faces of its own range, and a doubtful face of a larger look counts
only where a smaller one sees something of it. Pictures too large to be seen as a whole are seen tile by tile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_batch.inference.detections import Detections, overlap

LARGEST_FACE = 400.0
"""Longer side, in pixels of a look, up to which a face's box is right (`benchmarks/detect_size.py`)."""
WHOLE_PIXELS = 2_200_000
"""Pixels of the largest look that is taken in one piece: a network's memory grows with it."""
WEAK_SCORE = 0.1
"""Lowest score at which a smaller look confirms a face of a larger one: it need not find it by itself."""
REACH = 3.0
"""How far around a doubtful face in a look of tiles is seen again, from its middle and in its heights."""
SEEN_AGAIN_AT = 32.0
"""Height, in pixels, at which it is seen again: enlarged or out of focus, what is no face looks like none."""
_TILE_PIXELS, _HUGE_PIXELS = 800_000, 16_000_000
"""Pixels of the largest tile of a look that has more than so many: less than of a whole look, since a huge
picture lies in memory beside it. Smaller tiles cost more, for they overlap."""
_STEP = 3
"""How much smaller each look is than the one before: a ninth of its cost."""
FACE_ASPECT = 0.72
"""Width over height of a box around a face."""
_LARGEST_IN_TILES = 192.0
"""As `LARGEST_FACE`, in a look of tiles: the next look sees these faces whole, at a height of 64 pixels."""
_TILE_OVERLAP = 224
"""Pixels that neighbouring tiles share: more than the largest face that they answer for."""
_CUT_MARGIN = 4.0
"""A face as near to the border of a tile, in pixels, may be cut there: the next tile sees it whole."""
_SURE_SCORE = 0.8
"""From this score on, a face needs no other look to confirm it."""
_CONFIRMED_FROM = 48.0
"""Height, in pixels of the smaller look, from which that finds whatever is a face."""
_SEEN_AGAIN_FROM = 40.0
"""Height, in pixels of a look of tiles, from which `SEEN_AGAIN_AT` shows something else."""
_LARGE_SCORE = 0.78
"""From this score on, a face above `LARGEST_FACE` counts without a smaller look: the frame may cut it off."""
_SAME = 0.3
"""Overlap (intersection over union) from which two boxes are one face's."""
_APART = 0.3
"""Share of the smaller of two boxes inside the other, below which they have nothing to do with each other."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is known of a picture at one size."""

    faces: Detections
    """All that has at least `WEAK_SCORE`, in pixels of the picture."""
    scale: float
    """Pixels of the look in one of the picture's."""


@dataclass(frozen=True)
class Tile:
    """A part of a look: rows and columns in its pixels."""

    top: int
    bottom: int
    left: int
    right: int


def smaller_looks(height: int, width: int) -> Iterator[int]:
    """The longest sides, in pixels, at which a picture is looked at besides its first look, largest first.

    Args:
        height: of the first look, in pixels.
        width: of it.
    """
    shrink = 1
    while min(height, width / FACE_ASPECT) / shrink > LARGEST_FACE:
        shrink *= _STEP
        yield round(max(height, width) / shrink)


def is_tiled(height: int, width: int) -> bool:
    """Whether a look has too many pixels to be taken in one piece."""
    return height * width > WHOLE_PIXELS


def tiles(height: int, width: int) -> list[Tile]:
    """The parts that cover a look, overlapping, each small enough to be taken in one piece."""
    side = math.isqrt(_TILE_PIXELS if height * width > _HUGE_PIXELS else WHOLE_PIXELS)
    return [
        Tile(top, bottom, left, right)
        for top, bottom in _spans(height, side)
        for left, right in _spans(width, side)
    ]


def _spans(length: int, longest: int) -> list[tuple[int, int]]:
    """Overlapping stretches of about equal length that cover all."""
    if length <= longest:
        return [(0, length)]
    count = math.ceil((length - _TILE_OVERLAP) / (longest - _TILE_OVERLAP))
    extent = math.ceil((length - _TILE_OVERLAP) / count) + _TILE_OVERLAP
    # All of one length: networks keep memory for each shape that they have seen.
    starts = [round(index * (length - extent) / (count - 1)) for index in range(count)]
    return [(start, start + extent) for start in starts]


def whole_in_tile(faces: Detections, tile: Tile, height: int, width: int) -> Detections:
    """The faces of a tile that no border between tiles cuts off.

    Args:
        faces: in pixels of the look.
        tile: in which they were found.
        height: of the look.
        width: of it.
    """
    low = np.array([tile.left, tile.top]) + _CUT_MARGIN
    high = np.array([tile.right, tile.bottom]) - _CUT_MARGIN
    low[[tile.left == 0, tile.top == 0]] = -np.inf
    high[[tile.right == width, tile.bottom == height]] = np.inf
    inside = (faces.boxes[:, :2] >= low).all(1) & (faces.boxes[:, 2:] <= high).all(1)
    return faces[inside & (_sides(faces) <= _LARGEST_IN_TILES)]


def doubtful(faces: Detections) -> NDArray[np.bool_]:
    """Which faces of a look of tiles, in its pixels, have to be seen again, smaller: bool [N]."""
    return (faces.scores < _SURE_SCORE) & (_heights(faces) >= _SEEN_AGAIN_FROM)


def confirmed(faces: Detections, seen: Detections) -> NDArray[np.bool_]:
    """Which faces another look sees something of: bool [N].

    Args:
        faces: N.
        seen: what that look has found at `WEAK_SCORE`, in the same pixels.
    """
    if not len(seen):
        return np.zeros(len(faces), bool)
    return np.any(overlap(faces.boxes, seen.boxes) > _SAME, axis=1)


def join(look: Look, smaller: Look, known: Detections, threshold: float) -> Detections:
    """The faces of a look and of the smaller ones below it.

    Args:
        look: the larger one.
        smaller: the one below it.
        known: the faces of that one and all below.
        threshold: lowest score of a face.

    Returns:
        Each face once, in pixels of the picture, by the largest look that answers for it.
    """
    found = look.faces[look.faces.scores >= threshold]
    in_range = _sides(found) * look.scale <= LARGEST_FACE
    surely = (
        (found.scores >= _SURE_SCORE)
        | (_heights(found) * smaller.scale < _CONFIRMED_FROM)
        | confirmed(found, smaller.faces)
    )
    alone = (found.scores >= _LARGE_SCORE) & _apart(found, known)
    found = found[np.where(in_range, surely, alone)]
    # What the larger look should have seen, and has not, is not there.
    unseen = _sides(known) * look.scale <= LARGEST_FACE
    unseen &= (known.scores < _SURE_SCORE) & ~confirmed(known, look.faces)
    return found.joined(known[~unseen & ~confirmed(known, found)])


def _heights(faces: Detections) -> NDArray[np.float32]:
    """[N]."""
    return faces.boxes[:, 3] - faces.boxes[:, 1]


def _sides(faces: Detections) -> NDArray[np.float32]:
    """The longer side of each box: [N]."""
    return (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1, initial=0)


def _apart(faces: Detections, others: Detections) -> NDArray[np.bool_]:
    """Which faces have nothing in common with any of the others: bool [N]."""
    if not len(others):
        return np.ones(len(faces), bool)
    corner = np.maximum(faces.boxes[:, None, :2], others.boxes[None, :, :2])
    common = (np.minimum(faces.boxes[:, None, 2:], others.boxes[None, :, 2:]) - corner).clip(0).prod(2)
    areas = [(each.boxes[:, 2:] - each.boxes[:, :2]).clip(1e-3).prod(1) for each in (faces, others)]
    share = common / np.minimum(areas[0][:, None], areas[1][None])
    return np.all(share < _APART, axis=1)

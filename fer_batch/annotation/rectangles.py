"""Rectangles in whole pixels: which overlap, and which of many to choose so that none do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Corners: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1: column x1 and row y1 are no longer part of it."""
Size: TypeAlias = tuple[int, int]
"""Width and height."""
Bearing: TypeAlias = tuple[int, int, int, int]
"""Which side of a box a rectangle is on: signs of the differences of their corners."""
Rectangles: TypeAlias = NDArray[np.int64]
"""int64 [N, 4]: the corners of N rectangles."""

_CORE = (0.15, 0.2, 0.85, 0.9)
"""Where eyes and mouth are in a face's box, in its width and height."""
_GROUP = 8
"""So many neighbours are arranged together where the last of them found no free rectangle."""
_MAX_STEPS = 1000
"""So many choices are tried for a group: in a dense crowd there may be no solution."""


def as_rectangles(corners: Iterable[Corners]) -> Rectangles:
    """The corners as one array."""
    return np.array(list(corners), np.int64).reshape(-1, 4)


def as_corners(rectangle: NDArray[np.int64]) -> Corners:
    """A row of such an array."""
    x0, y0, x1, y1 = rectangle.tolist()
    return x0, y0, x1, y1


def at(corner: tuple[int, int], size: Size) -> Corners:
    """The rectangle of a size with this upper left corner."""
    return corner[0], corner[1], corner[0] + size[0], corner[1] + size[1]


def bearing(rectangle: Corners, box: Corners) -> Bearing:
    """Which side of a box a rectangle is on."""
    x0, y0, x1, y1 = np.sign(np.subtract(rectangle, box)).tolist()
    return x0, y0, x1, y1


def kept_first(rectangles: Rectangles, box: Corners, earlier: Bearing | None) -> Rectangles:
    """The rectangles with those first that are on an earlier side of a box."""
    if earlier is None:
        return rectangles
    elsewhere = np.any(np.sign(rectangles - np.array(box)) != earlier, axis=1)
    return rectangles[np.argsort(elsewhere, kind="stable")]


def clamped(corners: Sequence[tuple[int, int]], size: Size, picture: Size) -> Rectangles:
    """Rectangles of a size, as near as can be to these upper left corners, inside a picture.

    What is larger than the picture begins at its first row or column.
    """
    farthest = np.maximum(np.subtract(picture, size), 0)
    origins = np.clip(np.array(corners, np.int64).reshape(-1, 2), 0, farthest)
    return np.concatenate([origins, origins + size], axis=1)


def inside(rectangles: Rectangles, picture: Size) -> NDArray[np.bool_]:
    """Tell of each whether no part is outside the picture: bool [N]."""
    return np.all((rectangles[:, :2] >= 0) & (rectangles[:, 2:] <= picture), axis=1)


def shared_area(a: Rectangles, b: Rectangles) -> NDArray[np.int64]:
    """Count the pixels that each of `a` shares with each of `b`: int64 [N, M]."""
    first, last = _common(a, b)
    sides = np.maximum(last - first, 0)
    return sides[..., 0] * sides[..., 1]


def overlap(a: Rectangles, b: Rectangles) -> NDArray[np.bool_]:
    """Tell which share a pixel, as neighbours that only touch do not: bool [N, M]."""
    first, last = _common(a, b)
    common = first < last
    return common[..., 0] & common[..., 1]


def _common(a: Rectangles, b: Rectangles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])


def overlaps_any(a: Rectangles, b: Rectangles) -> NDArray[np.bool_]:
    """Tell which of `a` share a pixel with any of `b`: bool [N]."""
    return np.any(overlap(a, b), axis=1)


def cores(boxes: Sequence[Corners]) -> Rectangles:
    """The part of each face's box where eyes and mouth are."""
    rectangles = as_rectangles(boxes)
    origins, sides = rectangles[:, :2], rectangles[:, 2:] - rectangles[:, :2]
    return (np.tile(origins, 2) + np.tile(sides, 2) * np.array(_CORE)).astype(np.int64)


def choose(options: Sequence[Rectangles]) -> list[int | None]:
    """Choose one option for each so that no two chosen rectangles overlap.

    Early options are preferred, and whoever comes first chooses first. Whoever finds none free is arranged
    again together with the neighbours before, up to `_GROUP` in all: so many get one each whenever that is
    possible and found within `_MAX_STEPS` choices.

    Args:
        options: for each, its rectangles, the best first; may be empty.

    Returns:
        For each the index of its option, None where there is none.
    """
    chosen: list[int | None] = [None] * len(options)
    taken = np.zeros((len(options), 4), np.int64)
    hulls = as_rectangles(map(_hull, options))
    for number, rectangles in enumerate(options):
        free = np.flatnonzero(~overlaps_any(rectangles, taken[:number]))
        found = {number: int(free[0])} if len(free) else _arranged(number, options, taken, hulls)
        for one, index in found.items():
            chosen[one] = index
            taken[one] = options[one][index]
    return chosen


def _arranged(
    number: int, options: Sequence[Rectangles], taken: Rectangles, hulls: Rectangles
) -> dict[int, int]:
    """Options for one that found none free, and for its neighbours; empty where there is no solution."""
    group = _neighbours(number, taken, hulls)
    others = np.delete(taken, group, axis=0)
    free = [np.flatnonzero(~overlaps_any(options[one], others)) for one in group]
    rectangles = np.concatenate([options[one][indices] for one, indices in zip(group, free, strict=True)])
    excluded = [_bits(row) for row in overlap(rectangles, rectangles)]
    ends = np.cumsum([len(indices) for indices in free]).tolist()
    masks = [(1 << end) - (1 << (end - len(indices))) for end, indices in zip(ends, free, strict=True)]
    solution = _solve(masks, excluded, (1 << len(rectangles)) - 1, iter(range(_MAX_STEPS)))
    if solution is None:
        return {}
    indices = np.concatenate(free).tolist()
    return {one: indices[bit] for one, bit in zip(group, solution, strict=True)}


def _neighbours(number: int, taken: Rectangles, hulls: Rectangles) -> list[int]:
    """One, and whoever before it is in its way or in a neighbour's, the nearest first to join; in order."""
    placed = np.flatnonzero(taken[:number].any(1))
    group = [number]
    for one in group:
        near = placed[overlap(hulls[one : one + 1], hulls[placed])[0]]
        group += [other for other in near.tolist() if other not in group]
        if len(group) >= _GROUP:
            break
    return sorted(group[:_GROUP])


def _hull(rectangles: Rectangles) -> Corners:
    """What all options are within; empty where there are none."""
    if not len(rectangles):
        return 0, 0, 0, 0
    x0, y0 = rectangles[:, :2].min(0).tolist()
    x1, y1 = rectangles[:, 2:].max(0).tolist()
    return x0, y0, x1, y1


def _solve(
    masks: Sequence[int], excluded: Sequence[int], free: int, steps: Iterator[int]
) -> list[int] | None:
    """Choose a bit of each mask, depth first, the lowest bits that lead to a solution.

    Args:
        masks: for each, the bits of its options.
        excluded: for each bit, those that it overlaps.
        free: the bits that nothing chosen overlaps.
        steps: counts the choices; at its end the search is given up.

    Returns:
        The number of each one's bit; None where no solution was found.
    """
    if not masks:
        return []
    left = masks[0] & free
    while left and next(steps, None) is not None:
        bit = (left & -left).bit_length() - 1
        left &= left - 1
        rest = free & ~excluded[bit]
        if all(rest & mask for mask in masks[1:]):
            found = _solve(masks[1:], excluded, rest, steps)
            if found is not None:
                return [bit, *found]
    return None


def _bits(row: NDArray[np.bool_]) -> int:
    """A row of booleans as one number, the first as its lowest bit."""
    return int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little")

"""Where labels go, so that none hides another or a face: geometry alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from fer_batch.annotation.rectangles import (
    Bearing,
    Corners,
    Rectangles,
    Size,
    as_corners,
    as_rectangles,
    at,
    choose,
    clamped,
    cores,
    inside,
    kept_first,
    overlaps_any,
    shared_area,
)

_LABELS_IN_A_BOX = 5
"""A label is put inside its own box where the box is so many times as high: it hides hair or chin alone."""
_FARTHEST = 8
"""How far from its box a label may be, in its own height, with a line that leads to it."""


@dataclass(frozen=True)
class LabelSpot:
    """Where a label is put."""

    rectangle: Corners
    version: int
    """Index of the label's version that has this size."""
    leader: Corners | None = None
    """A straight line from the box to the label, where they do not touch."""

    @property
    def covers(self) -> list[Corners]:
        """All that is drawn."""
        return [self.rectangle] if self.leader is None else [self.rectangle, self.leader]


def place_labels(
    boxes: Sequence[Corners],
    versions: Sequence[Sequence[Size]],
    picture: Size,
    line: int,
    earlier: Sequence[Bearing | None],
) -> list[LabelSpot | None]:
    """Find a spot for each face's label, inside the picture, over no other label, and over no other face.

    The first of a label's versions that has such a spot at its box is shown. Where none has, the last one
    goes to a free spot straight above, below or beside the box; where there is none either, to one at the
    box where it hides least of all eyes and mouths, but never another label.

    Args:
        boxes: of all faces, within the picture; who comes first chooses first, as `choose` says.
        versions: sizes of each face's label, the best first, and at least one.
        picture: its size.
        line: width of a leader, in pixels.
        earlier: where each label was in the frame before: it stays on that side if it can.

    Returns:
        For each face its label's spot, None where labels are everywhere.
    """
    placed: list[LabelSpot | None] = []
    # Where everybody's best version finds a spot, the others need not be looked at.
    for shown in ([of_one[:1] for of_one in versions], versions):
        spots = [
            _spots_clear_of_faces(face, boxes, of_one, picture, earlier[face])
            for face, of_one in enumerate(shown)
        ]
        chosen = choose([as_rectangles(spot.rectangle for spot in of_one) for of_one in spots])
        placed = [
            None if index is None else of_one[index] for of_one, index in zip(spots, chosen, strict=True)
        ]
        if None not in placed:
            return placed
    for face in (face for face, spot in enumerate(placed) if spot is None):
        placed[face] = _spot_with_leader(face, boxes, versions[face], picture, _covered(placed), line)
    for face in (face for face, spot in enumerate(placed) if spot is None):
        placed[face] = _spot_over_faces(face, boxes, versions[face], picture, _covered(placed))
    return placed


def _spots_clear_of_faces(
    face: int,
    boxes: Sequence[Corners],
    versions: Sequence[Size],
    picture: Size,
    earlier: Bearing | None,
) -> list[LabelSpot]:
    """All spots at a face's box that cover no other box, the best first."""
    others = as_rectangles(box for number, box in enumerate(boxes) if number != face)
    spots: list[LabelSpot] = []
    for version, size in enumerate(versions):
        rectangles = _spots_at(boxes[face], size, picture)
        clear = rectangles[~overlaps_any(rectangles, others)]
        spots += [
            LabelSpot(as_corners(rectangle), version) for rectangle in kept_first(clear, boxes[face], earlier)
        ]
    return spots


def _spots_at(box: Corners, size: Size, picture: Size, *, anywhere: bool = False) -> Rectangles:
    """Spots in the picture that touch a box, the best first: above, below, inside, beside.

    Inside a box that is low against the label there are some only where they may be `anywhere`.
    """
    x0, y0, x1, y1 = box
    width, height = size
    across = (x0, x1 - width, (x0 + x1 - width) // 2)
    outside = [(x, y) for y in (y0 - height, y1) for x in across]
    within = [(x0, y0), (x0, y1 - height)] if anywhere or y1 - y0 >= _LABELS_IN_A_BOX * height else []
    beside = list(product((x1, x0 - width), (y0, y1 - height)))
    spots = clamped([*outside, *within, *beside], size, picture)
    # What is pushed back into the picture may come to lie over the face.
    clear = ~overlaps_any(spots, as_rectangles([box]))
    clear[len(outside) : len(outside) + len(within)] = True
    return spots[clear & inside(spots, picture)]


def _spot_with_leader(
    face: int, boxes: Sequence[Corners], versions: Sequence[Size], picture: Size, taken: Rectangles, line: int
) -> LabelSpot | None:
    """The nearest free spot for the last version straight above, below or beside a box."""
    ways = _ways_from(boxes[face], versions[-1], picture[0], line)
    spots, leaders = (as_rectangles(rectangles) for rectangles in zip(*ways, strict=True))
    others = as_rectangles(box for number, box in enumerate(boxes) if number != face)
    covers = overlaps_any(spots, np.concatenate([as_rectangles(boxes), taken]))
    crosses = overlaps_any(leaders, np.concatenate([others, taken]))
    free = np.flatnonzero(inside(spots, picture) & ~covers & ~crosses)
    if not len(free):
        return None
    return LabelSpot(as_corners(spots[free[0]]), len(versions) - 1, as_corners(leaders[free[0]]))


def _ways_from(box: Corners, size: Size, picture_width: int, line: int) -> list[tuple[Corners, Corners]]:
    """Spots away from a box, near ones first, each with its leader."""
    x0, y0, x1, y1 = box
    width, height = size
    x, y = (x0 + x1) // 2, (y0 + y1) // 2
    ways: list[tuple[Corners, Corners]] = []
    for away in range(height // 2, _FARTHEST * height, height // 2):
        for start in (x - width // 2, x, x + line - width):
            left = max(0, min(start, picture_width - width))
            ways.append((at((left, y0 - away - height), size), (x, y0 - away, x + line, y0)))
            ways.append((at((left, y1 + away), size), (x, y1, x + line, y1 + away)))
        top = y - height // 2
        ways.append((at((x1 + away, top), size), (x1, y, x1 + away, y + line)))
        ways.append((at((x0 - away - width, top), size), (x0 - away, y, x0, y + line)))
    return ways


def _spot_over_faces(
    face: int, boxes: Sequence[Corners], versions: Sequence[Size], picture: Size, taken: Rectangles
) -> LabelSpot | None:
    """The spot for the last version at a box that hides least of all eyes and mouths, and no label."""
    spots = _spots_at(boxes[face], versions[-1], picture, anywhere=True)
    spots = spots[~overlaps_any(spots, taken)]
    if not len(spots):
        return None
    hidden = shared_area(spots, cores(boxes)).sum(1)
    return LabelSpot(as_corners(spots[hidden.argmin()]), len(versions) - 1)


def _covered(spots: Sequence[LabelSpot | None]) -> Rectangles:
    """All that labels and their leaders cover."""
    return as_rectangles(covered for spot in spots if spot is not None for covered in spot.covers)

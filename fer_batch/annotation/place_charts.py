"""Where charts go, so that they hide no label, no other chart and as little of faces as can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
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
    clamped,
    cores,
    inside,
    kept_first,
    overlaps_any,
    shared_area,
)

_FILLING = 1 / 3
"""Share of the picture's height or width from which a face has a chart though no place at its box is free."""
_MOST = 0.5
"""Share of a face's eyes and mouth that its own chart may be over."""


class Where(Enum):
    """What is behind a chart."""

    PICTURE = auto()
    MARGIN = auto()
    FACE = auto()


@dataclass(frozen=True)
class ChartSpot:
    """Where a chart is put."""

    rectangle: Corners
    where: Where


@dataclass(frozen=True)
class ChartSizes:
    """A face's chart, as large as it would be."""

    picture: Size
    """In the picture."""
    margin: Size | None
    """In the margin; None where the picture may have none."""
    earlier: Bearing | None = None
    """The side of its box where it was in the frame before: it stays there if it can."""


def place_charts(
    boxes: Sequence[Corners],
    sizes: Sequence[ChartSizes | None],
    labels: Sequence[Corners],
    picture: Size,
    gap: int,
) -> list[ChartSpot | None]:
    """Find a place for each face's chart, over no box, no label and no other chart.

    That is beside, below or above its box. Where none is free, the chart of a face that fills much of the
    picture is in the margin, or else over that face, but does not hide most of its eyes and mouth.

    Args:
        boxes: of all faces, within the picture; who comes first chooses first.
        sizes: of each face's chart; None for a face without one.
        labels: what they and their leaders cover.
        picture: its size; the margin begins where it ends, on the right and below.
        gap: between the chart and a box or the picture's edge.

    Returns:
        For each face its chart's spot, None where there is none.
    """
    covered = as_rectangles([*boxes, *labels])
    spots: list[ChartSpot | None] = []
    for face, chart in enumerate(sizes):
        spot = None if chart is None else _spot(face, boxes, chart, covered, picture, gap)
        spots.append(spot)
        if spot is not None:
            covered = np.concatenate([covered, as_rectangles([spot.rectangle])])
    return spots


def _spot(
    face: int, boxes: Sequence[Corners], chart: ChartSizes, covered: Rectangles, picture: Size, gap: int
) -> ChartSpot | None:
    box = boxes[face]
    places = _places_at(box, chart.picture, picture, gap)
    places = kept_first(places[~overlaps_any(places, covered)], box, chart.earlier)
    if len(places):
        return ChartSpot(as_corners(places[0]), Where.PICTURE)
    if box[2] - box[0] < _FILLING * picture[0] and box[3] - box[1] < _FILLING * picture[1]:
        return None
    if chart.margin is not None:
        places = _places_in_margin(face, boxes, chart.margin, picture, gap)
        places = places[~overlaps_any(places, covered)]
        if len(places):
            return ChartSpot(as_corners(places[0]), Where.MARGIN)
    places = _places_over(box, chart.picture, picture, gap)
    places = places[~overlaps_any(places, np.delete(covered, face, axis=0))]
    places = kept_first(places, box, chart.earlier)
    return ChartSpot(as_corners(places[0]), Where.FACE) if len(places) else None


def _places_at(box: Corners, size: Size, picture: Size, gap: int) -> Rectangles:
    """Places beside a box, below it and above it, in the picture."""
    x0, y0, x1, y1 = box
    width, height = size
    beside = product((x1 + gap, x0 - gap - width), (y0, y1 - height))
    stacked = [(x, y) for y in (y1 + gap, y0 - gap - height) for x in (x0, x1 - width)]
    places = clamped([*beside, *stacked], size, picture)
    return places[inside(places, picture)]


def _places_in_margin(face: int, boxes: Sequence[Corners], size: Size, picture: Size, gap: int) -> Rectangles:
    """Places right of the picture and below it, where no other face is in between.

    The margin grows on the right of a picture that is high, and below one that is wide, if it can.
    """
    x0, y0, x1, y1 = boxes[face]
    right, below = picture[0] + gap, picture[1] + gap
    ways = [
        ((x1, y0, right, y1), (right, max(gap, min(y0, picture[1] - size[1] - gap)))),
        ((x0, y1, x1, below), (max(gap, min(x0, picture[0] - size[0] - gap)), below)),
    ]
    if picture[0] > picture[1]:
        ways.reverse()
    between = as_rectangles(way for way, _ in ways)
    others = as_rectangles(box for number, box in enumerate(boxes) if number != face)
    return as_rectangles(at(corner, size) for _, corner in ways)[~overlaps_any(between, others)]


def _places_over(box: Corners, size: Size, picture: Size, gap: int) -> Rectangles:
    """Places at the edges of picture and box, those first that hide least of the face."""
    width, height = size
    corners = [
        (x, y)
        for x0, y0, x1, y1 in ((0, 0, *picture), box)
        for x in (x1 - width - gap, x0 + gap)
        for y in (y1 - height - gap, y0 + gap, (y0 + y1 - height) // 2)
    ]
    places = clamped(corners, size, picture)
    places = places[inside(places, picture)]
    core = cores([box])
    hidden = shared_area(places, core)[:, 0]
    order = np.argsort(hidden, kind="stable")
    return places[order][hidden[order] <= _MOST * shared_area(core, core)[:, 0]]

"""Where charts go among boxes and labels: geometry alone."""

from __future__ import annotations

from itertools import combinations

import pytest
from boxes_drawn import crowds
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_batch.annotation.place_charts import ChartSizes, ChartSpot, Where, place_charts
from fer_batch.annotation.rectangles import (
    Corners,
    Size,
    as_rectangles,
    bearing,
    inside,
    overlap,
    overlaps_any,
)

PICTURE, SIZE, IN_MARGIN, GAP = (640, 360), (90, 100), (120, 130), 4


def place(
    boxes: list[Corners], picture: Size = PICTURE, labels: tuple[Corners, ...] = (), *, margin: bool = True
) -> list[ChartSpot | None]:
    sizes = [ChartSizes(SIZE, IN_MARGIN if margin else None)] * len(boxes)
    return place_charts(boxes, sizes, labels, picture, GAP)


@given(crowds(60, 500, 8), st.booleans())
@settings(deadline=None)
def test_charts_cover_nothing_but_their_own_face(crowd: tuple[Size, list[Corners]], margin: bool) -> None:
    picture, boxes = crowd
    label = (0, 0, 50, 20)
    spots = place(boxes, picture, (label,), margin=margin)
    assert spots == place(boxes, picture, (label,), margin=margin)
    found = [spot for spot in spots if spot is not None]
    for a, b in combinations([label, *(spot.rectangle for spot in found)], 2):
        assert not overlap(as_rectangles([a]), as_rectangles([b])).any()
    for face, spot in enumerate(spots):
        if spot is None:
            continue
        rectangle = as_rectangles([spot.rectangle])
        own, others = as_rectangles([boxes[face]]), as_rectangles([*boxes[:face], *boxes[face + 1 :]])
        assert not overlaps_any(rectangle, others).any()
        assert spot.where is Where.FACE or not overlaps_any(rectangle, own).any()
        assert inside(rectangle, picture).all() == (spot.where is not Where.MARGIN)
        assert spot.where is not Where.MARGIN or margin
        if spot.where is Where.MARGIN:
            # The picture stays where it is: the margin is on the right and below.
            assert spot.rectangle[0] >= picture[0] or spot.rectangle[1] >= picture[1]
            assert min(spot.rectangle) >= 0


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((200, 100, 300, 220), (304, 100, 394, 200)),
        ((500, 100, 600, 220), (406, 100, 496, 200)),
        ((200, 300, 300, 360), (304, 260, 394, 360)),
        ((60, 0, 600, 200), (60, 204, 150, 304)),
        ((60, 150, 600, 360), (60, 46, 150, 146)),
    ],
)
def test_beside_a_face_alone_below_or_above(box: Corners, expected: Corners) -> None:
    assert place([box]) == [ChartSpot(expected, Where.PICTURE)]


@pytest.mark.parametrize("side", [48, 100, 224, 276, 480])
def test_a_face_that_fills_its_picture_has_a_chart_in_the_margin(side: int) -> None:
    (spot,) = place([(0, 0, side, side)], (side, side))
    assert spot == ChartSpot((side + GAP, GAP, side + GAP + 120, GAP + 130), Where.MARGIN)


def test_a_row_of_faces_has_its_charts_below_and_a_column_on_the_right() -> None:
    row = place([(160 * n, 0, 160 * n + 160, 200) for n in range(4)], (640, 200))
    assert [spot and spot.rectangle[:2] for spot in row] == [
        (4, 204),
        (160, 204),
        (320, 204),
        (480, 204),
    ]
    column = place([(0, 200 * n, 160, 200 * n + 200) for n in range(3)], (160, 600))
    assert [spot and spot.rectangle[:2] for spot in column] == [(164, 4), (164, 200), (164, 400)]


def test_without_a_margin_a_chart_hides_as_little_of_its_face_as_can_be() -> None:
    (spot,) = place([(0, 0, 300, 300)], (300, 300), margin=False)
    assert spot == ChartSpot((206, 4, 296, 104), Where.FACE)
    # A hundred pixels are too few for both.
    assert place([(0, 0, 110, 110)], (110, 110), margin=False) == [None]


def test_small_faces_without_a_free_place_have_no_chart() -> None:
    walls = [(0, 0, 300, 360), (350, 0, 640, 360)]
    assert place([*walls, (310, 150, 340, 190)])[2] is None


def test_a_chart_stays_on_its_side_if_it_can() -> None:
    box = (300, 100, 400, 220)
    left = bearing((206, 100, 296, 200), box)
    sizes = [ChartSizes(SIZE, None, left)]
    assert place_charts([box], sizes, [], PICTURE, GAP) == [ChartSpot((206, 100, 296, 200), Where.PICTURE)]
    assert place_charts([(50, 100, 150, 220)], sizes, [], PICTURE, GAP) == [
        ChartSpot((154, 100, 244, 200), Where.PICTURE)
    ]

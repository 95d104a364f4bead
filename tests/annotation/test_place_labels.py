"""Where labels go among boxes: geometry alone."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from boxes_drawn import crowds
from hypothesis import given, settings

from fer_batch.annotation.place_labels import LabelSpot, place_labels
from fer_batch.annotation.rectangles import (
    Corners,
    Size,
    as_rectangles,
    bearing,
    inside,
    overlap,
    overlaps_any,
)

PICTURE = (640, 360)
FULL, WORD = (80, 18), (44, 14)


def place(
    boxes: list[Corners], picture: Size = PICTURE, versions: tuple[Size, ...] = (FULL, WORD)
) -> list[LabelSpot | None]:
    return place_labels(boxes, [versions] * len(boxes), picture, 1, [None] * len(boxes))


def covers(spots: list[LabelSpot | None]) -> list[list[Corners]]:
    return [spot.covers for spot in spots if spot is not None]


@given(crowds(40, 300, 12))
@settings(deadline=None)
def test_labels_are_inside_the_picture_and_never_over_each_other(crowd: tuple[Size, list[Corners]]) -> None:
    picture, boxes = crowd
    spots = place(boxes, picture)
    assert spots == place(boxes, picture)
    assert len(spots) == len(boxes)
    for a, b in combinations(covers(spots), 2):
        assert not overlap(as_rectangles(a), as_rectangles(b)).any()
    for face, (box, spot) in enumerate(zip(boxes, spots, strict=True)):
        if spot is None:
            continue
        assert inside(as_rectangles(spot.covers), picture).all()
        x0, y0, x1, y1 = spot.rectangle
        assert (x1 - x0, y1 - y0) == (FULL, WORD)[spot.version]
        others = as_rectangles(box for number, box in enumerate(boxes) if number != face)
        # Only the least that can be said may cover somebody else.
        assert spot.version == 1 or not overlaps_any(as_rectangles([spot.rectangle]), others).any()
        if spot.leader is not None:
            assert not overlaps_any(as_rectangles(spot.covers), others).any()
            touched = np.add(spot.leader, (-1, -1, 1, 1))
            assert overlap(as_rectangles([tuple(touched)]), as_rectangles([box, spot.rectangle])).all()


@pytest.mark.parametrize(
    ("box", "side"),
    [
        ((200, 100, 300, 200), (0, -1, -1, -1)),  # above, flush left
        ((200, 0, 300, 100), (0, 1, -1, 1)),  # at the top edge below
        ((0, 0, 640, 360), (0, 0, -1, -1)),  # where there is nothing else, inside
        ((600, 100, 640, 150), (-1, -1, 0, -1)),  # at the right edge flush right
        ((0, 100, 40, 150), (0, -1, 1, -1)),
        ((200, 300, 300, 360), (0, -1, -1, -1)),
        ((200, 0, 300, 360), (0, 0, -1, -1)),
    ],
)
def test_a_face_alone(box: Corners, side: tuple[int, ...]) -> None:
    (spot,) = place([box])
    assert spot is not None
    assert spot.version == 0
    assert spot.leader is None
    assert bearing(spot.rectangle, box) == side


def test_faces_in_a_row_that_touch_are_labelled_in_turn_above_and_below() -> None:
    boxes = [(60 * n, 100, 60 * n + 60, 180) for n in range(10)]
    spots = place(boxes)
    assert all(spot is not None and spot.version == 0 for spot in spots)
    sides = [spot is not None and spot.rectangle[1] < 100 for spot in spots]
    assert 3 <= sum(sides) <= 7


def test_faces_above_each_other_that_touch_are_labelled_beside() -> None:
    boxes = [(300, 60 * n, 350, 60 * n + 60) for n in range(6)]
    spots = place(boxes)
    assert all(spot is not None and spot.version == 0 for spot in spots)
    assert not overlap(as_rectangles(spot.rectangle for spot in spots if spot), as_rectangles(boxes)).any()


def test_a_face_that_others_enclose_has_a_line_to_its_label() -> None:
    spots = place([(290, 40, 310, 200), (330, 40, 350, 200), (310, 100, 330, 130)])
    assert spots[2] is not None
    assert spots[2].leader is not None
    assert spots[2].version == 1
    assert spots[2].rectangle[3] <= 40 or spots[2].rectangle[1] >= 200


def test_small_faces_before_a_large_one_are_labelled_off_its_eyes_and_mouth() -> None:
    large = (100, 20, 500, 340)
    small = [(100, 20, 150, 80), (450, 20, 500, 80), (110, 280, 150, 330)]
    spots = place([large, *small])
    assert None not in spots
    core = as_rectangles([(160, 84, 440, 308)])
    assert not overlaps_any(as_rectangles(spot.rectangle for spot in spots[1:] if spot), core).any()


def test_no_label_is_piled_upon_another_where_all_is_full() -> None:
    boxes = [(20 * x, 20 * y, 20 * x + 20, 20 * y + 20) for y in range(5) for x in range(5)]
    spots = place(boxes, (100, 100))
    assert 4 <= sum(spot is not None for spot in spots) < len(boxes)
    for a, b in combinations(covers(spots), 2):
        assert not overlap(as_rectangles(a), as_rectangles(b)).any()


def test_a_picture_smaller_than_any_label_has_none() -> None:
    assert place([(0, 0, 10, 10)], (30, 12)) == [None]


def test_a_label_stays_on_its_side_if_it_can() -> None:
    box = (200, 100, 300, 200)
    below = bearing((200, 200, 280, 218), box)
    (spot,) = place_labels([box], [(FULL, WORD)], PICTURE, 1, [below])
    assert spot is not None
    assert spot.rectangle == (200, 200, 280, 218)
    (spot,) = place_labels([(200, 250, 300, 355)], [(FULL, WORD)], PICTURE, 1, [below])
    assert spot is not None
    assert spot.rectangle == (200, 232, 280, 250)

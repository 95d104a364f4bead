"""Faces of one picture: put together, moved, scaled, and how much their boxes share."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_batch.inference.detections import Detections, no_faces, overlap

SIDE = 12


def faces(boxes: list[tuple[int, int, int, int]], scores: list[float]) -> Detections:
    """Faces with landmarks of which each can be told from the others."""
    landmarks = np.arange(10 * len(boxes), dtype=np.float32).reshape(-1, 5, 2)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), landmarks)


corners = st.tuples(st.integers(0, SIDE), st.integers(0, SIDE))
boxes = st.lists(
    st.tuples(corners, corners).map(lambda two: (*map(min, *two), *map(max, *two))), min_size=0, max_size=5
)
some_faces = boxes.flatmap(
    lambda chosen: st.lists(st.floats(0, 1, width=32), min_size=len(chosen), max_size=len(chosen)).map(
        lambda scores: faces(chosen, scores)
    )
)


def covered(box: NDArray[np.float32]) -> set[tuple[int, int]]:
    x0, y0, x1, y1 = box.astype(int).tolist()
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


@given(boxes, boxes)
def test_overlap_is_that_of_the_pixels(a: list[tuple[int, ...]], b: list[tuple[int, ...]]) -> None:
    some, others = (np.array(each, np.float32).reshape(-1, 4) for each in (a, b))
    found = overlap(some, others)
    assert found.shape == (len(a), len(b))
    for row, one in enumerate(map(covered, some)):
        for column, other in enumerate(map(covered, others)):
            wanted = len(one & other) / max(len(one | other), 1)
            np.testing.assert_allclose(found[row, column], wanted, atol=1e-6)


@given(st.lists(some_faces, min_size=1, max_size=4))
def test_joined_are_all_of_them_highest_score_first(each: list[Detections]) -> None:
    together = each[0].joined(*each[1:])
    rows = [
        (float(score), *box.tolist(), *points.ravel().tolist())
        for one in each
        for score, box, points in zip(one.scores, one.boxes, one.landmarks, strict=True)
    ]
    found = [
        (float(score), *box.tolist(), *points.ravel().tolist())
        for score, box, points in zip(together.scores, together.boxes, together.landmarks, strict=True)
    ]
    # Of equal scores, those of the first come first.
    assert found == sorted(rows, key=lambda row: -row[0])


def test_nothing_joined_to_nothing_is_nothing() -> None:
    none = no_faces().joined(no_faces())
    assert (len(none), none.boxes.shape, none.landmarks.shape) == (0, (0, 4), (0, 5, 2))
    assert none.boxes.dtype == none.scores.dtype == none.landmarks.dtype == np.float32


@given(some_faces, st.integers(-9, 9), st.integers(-9, 9))
def test_moved_are_all_points_and_no_score(some: Detections, x: int, y: int) -> None:
    moved = some.moved(x, y)
    assert moved.boxes.dtype == moved.landmarks.dtype == np.float32
    assert moved.scores is some.scores
    for axis, by in enumerate((x, y)):
        assert np.array_equal(moved.boxes[:, axis::2], some.boxes[:, axis::2] + by)
        assert np.array_equal(moved.landmarks[..., axis], some.landmarks[..., axis] + by)


@given(some_faces, st.sampled_from([0.25, 0.5, 2.0, 3.0]), st.sampled_from([0.25, 1.0, 4.0]))
def test_scaled_is_each_axis_for_itself(some: Detections, x: float, y: float) -> None:
    scaled = some.scaled(x, y)
    assert scaled.boxes.dtype == scaled.landmarks.dtype == np.float32
    for axis, by in enumerate((x, y)):
        assert np.array_equal(scaled.boxes[:, axis::2], some.boxes[:, axis::2] * by)
        assert np.array_equal(scaled.landmarks[..., axis], some.landmarks[..., axis] * by)
    np.testing.assert_allclose(
        overlap(scaled.boxes, scaled.boxes), overlap(some.boxes, some.boxes), atol=1e-6
    )


def test_some_of_them_by_mask_and_by_position() -> None:
    three = faces([(0, 0, 1, 1), (0, 0, 2, 2), (0, 0, 3, 3)], [0.9, 0.8, 0.7])
    masked, placed = three[np.array([True, False, True])], three[np.array([2, 0])]
    assert masked.boxes[:, 2].tolist() == [1, 3]
    assert placed.boxes[:, 2].tolist() == [3, 1]
    assert np.array_equal(placed.landmarks, three.landmarks[[2, 0]])


@given(some_faces, st.integers(0, 3))
def test_faces_of_a_turned_picture_are_turned_back(found: Detections, quarters: int) -> None:
    height, width = 9, 14  # of the picture before it was turned clockwise
    back = found.turned_back(quarters, (height, width))
    for before, after in zip(found.landmarks.reshape(-1, 2), back.landmarks.reshape(-1, 2), strict=True):
        x, y = after.tolist()
        for side in [height, width, height][:quarters]:
            x, y = side - y, x  # each quarter leads the left edge to the top
        np.testing.assert_allclose((x, y), before, atol=1e-4)
    assert (back.boxes[:, 2:] >= back.boxes[:, :2]).all()
    np.testing.assert_allclose(
        np.sort(back.boxes[:, 2:] - back.boxes[:, :2], 1),
        np.sort(found.boxes[:, 2:] - found.boxes[:, :2], 1),
        atol=1e-4,
    )

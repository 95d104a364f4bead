"""Choosing rectangles of which none overlap, against all ways of choosing."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_batch.annotation.rectangles import (
    Corners,
    Rectangles,
    as_rectangles,
    bearing,
    choose,
    clamped,
    inside,
    kept_first,
    overlap,
    overlaps_any,
    shared_area,
)


def pixels(rectangle: Corners) -> set[tuple[int, int]]:
    x0, y0, x1, y1 = rectangle
    return set(product(range(x0, x1), range(y0, y1)))


@st.composite
def rectangles(draw: st.DrawFn) -> Corners:
    x, y = draw(st.integers(-3, 12)), draw(st.integers(-3, 12))
    return x, y, x + draw(st.integers(0, 5)), y + draw(st.integers(0, 5))


@given(st.lists(rectangles(), max_size=6), st.lists(rectangles(), max_size=6))
def test_what_overlaps_shares_pixels(a: list[Corners], b: list[Corners]) -> None:
    shared = [[len(pixels(one) & pixels(other)) for other in b] for one in a]
    first, second = as_rectangles(a), as_rectangles(b)
    expected = np.array(shared, int).reshape(len(a), len(b))
    np.testing.assert_array_equal(shared_area(first, second), expected)
    np.testing.assert_array_equal(overlap(first, second), expected > 0)
    np.testing.assert_array_equal(overlaps_any(first, second), (expected > 0).any(1))


@given(
    st.lists(st.tuples(st.integers(-30, 30), st.integers(-30, 30))), st.integers(1, 20), st.integers(1, 20)
)
def test_what_is_clamped_is_inside_if_it_fits(
    corners: list[tuple[int, int]], width: int, height: int
) -> None:
    moved = clamped(corners, (width, height), (15, 12))
    assert (moved[:, 2:] - moved[:, :2] == (width, height)).all()
    assert (moved[:, :2] >= 0).all()
    assert inside(moved, (15, 12)).all() or width > 15 or height > 12
    for corner, rectangle in zip(corners, moved.tolist(), strict=True):
        if 0 <= corner[0] <= 15 - width and 0 <= corner[1] <= 12 - height:
            assert tuple(rectangle[:2]) == corner


def test_the_side_of_a_box_is_kept_where_it_can_be() -> None:
    box = (10, 10, 20, 20)
    above, below, right = (10, 5, 20, 10), (10, 20, 18, 25), (20, 12, 30, 17)
    assert kept_first(as_rectangles([above, below, right]), box, None).tolist() == [
        [*above],
        [*below],
        [*right],
    ]
    lower = (100, 120, 108, 125)  # of a face that was elsewhere, and larger
    earlier = bearing(lower, (100, 100, 120, 120))
    assert kept_first(as_rectangles([above, below, right]), box, earlier).tolist()[0] == [*below]


@st.composite
def choices(draw: st.DrawFn) -> list[Rectangles]:
    sized = rectangles().filter(lambda one: one[2] > one[0] and one[3] > one[1])
    return [as_rectangles(draw(st.lists(sized, max_size=4))) for _ in range(draw(st.integers(0, 5)))]


@given(choices())
@settings(max_examples=300)
def test_everybody_gets_one_where_that_is_possible(options: list[Rectangles]) -> None:
    chosen = choose(options)
    assert chosen == choose(options)
    got = [rects[index].tolist() for rects, index in zip(options, chosen, strict=True) if index is not None]
    assert not any(pixels(tuple(a)) & pixels(tuple(b)) for a, b in combinations(got, 2))
    if None in chosen:
        for ways in product(*(rects.tolist() for rects in options)):
            assert any(pixels(tuple(a)) & pixels(tuple(b)) for a, b in combinations(ways, 2))


def test_who_comes_first_keeps_the_best_unless_somebody_would_get_none() -> None:
    left, right, far = (0, 0, 10, 10), (10, 0, 20, 10), (40, 0, 50, 10)
    assert choose([as_rectangles([left, right]), as_rectangles([left, far])]) == [0, 1]
    assert choose([as_rectangles([left, right]), as_rectangles([left])]) == [1, 0]
    assert choose([as_rectangles([left]), as_rectangles([left]), as_rectangles([])]) == [0, None, None]


def test_a_chain_of_neighbours_moves_up_for_the_last() -> None:
    steps = [(10 * n, 0, 10 * n + 10, 10) for n in range(8)]
    options = [as_rectangles(steps[n : n + 2]) for n in range(7)]
    assert choose([*options, as_rectangles(steps[:1])]) == [1] * 7 + [0]

"""In which sizes and pieces a picture is looked at, and what is made of what each look finds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.inference.detections import Detections, no_faces, overlap
from fer_batch.inference.looks import (
    LARGEST_FACE,
    WHOLE_PIXELS,
    Look,
    Tile,
    confirmed,
    doubtful,
    is_tiled,
    join,
    smaller_looks,
    tiles,
    whole_in_tile,
)

THRESHOLD = 0.6
FACE_ASPECT = 0.72
TILE_PIXELS, TILE_OVERLAP, LARGEST_IN_TILES, CUT_MARGIN = 800_000, 224, 192, 4
sides = st.integers(1, 16_000)


def a_face(x: float, y: float, height: float, score: float) -> Detections:
    """A face of the usual shape around a middle."""
    half = np.array([FACE_ASPECT * height / 2, height / 2])
    box = np.concatenate([np.array([x, y]) - half, np.array([x, y]) + half]).astype(np.float32)
    return Detections(box[None], np.array([score], np.float32), np.full((1, 5, 2), np.nan, np.float32))


def together(*faces: Detections) -> Detections:
    return no_faces().joined(*faces)


def room(height: int, width: int, shrink: int) -> float:
    """Height, in pixels of the shrunk picture, of the largest face that it has room for."""
    return min(height, width / FACE_ASPECT) / shrink


@given(sides, sides)
def test_each_look_is_a_third_of_the_last_until_no_face_is_too_large(height: int, width: int) -> None:
    looks = list(smaller_looks(height, width))
    assert looks == [round(max(height, width) / 3**power) for power in range(1, len(looks) + 1)]
    assert room(height, width, 3 ** len(looks)) <= LARGEST_FACE
    if looks:
        assert room(height, width, 3 ** (len(looks) - 1)) > LARGEST_FACE


def test_where_no_face_can_be_too_large_there_is_one_look() -> None:
    assert list(smaller_looks(400, 10_000)) == list(smaller_looks(10_000, 288)) == []
    assert list(smaller_looks(401, 10_000)) == [3333]
    assert list(smaller_looks(1080, 1920)) == [640]
    assert list(smaller_looks(3000, 4000)) == [1333, 444]


@given(sides, sides)
def test_tiles_cover_every_pixel_with_room_to_share(height: int, width: int) -> None:
    parts = tiles(height, width)
    rows = sorted({(part.top, part.bottom) for part in parts})
    columns = sorted({(part.left, part.right) for part in parts})
    # Each pair of spans once: what covers both sides covers the picture.
    assert len(parts) == len(rows) * len(columns) == len(set(parts))
    for spans, length in ((rows, height), (columns, width)):
        assert (spans[0][0], spans[-1][1]) == (0, length)
        assert len({end - start for start, end in spans}) == 1
        assert all(end - start >= TILE_OVERLAP for (start, _), (_, end) in pairwise(reversed(spans)))
    part = parts[0]
    most = TILE_PIXELS if height * width > 16_000_000 else WHOLE_PIXELS
    assert (part.bottom - part.top) * (part.right - part.left) <= most


def test_what_is_small_enough_is_taken_in_one_piece() -> None:
    assert tiles(800, 890) == [Tile(0, 800, 0, 890)]
    assert not is_tiled(1080, 1920)
    assert not is_tiled(1, WHOLE_PIXELS)
    assert is_tiled(1, WHOLE_PIXELS + 1)


@given(st.data())
def test_a_face_of_a_tiles_size_lies_whole_in_one(data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(500, 9000), side) for side in ("height", "width"))
    tall = data.draw(st.floats(8, LARGEST_IN_TILES), "tall")
    x, y = (data.draw(st.floats(0, side), axis) for side, axis in ((width, "x"), (height, "y")))
    face = a_face(x, y, tall, 0.9)
    assert any(len(whole_in_tile(face, part, height, width)) for part in tiles(height, width))


def test_only_what_a_cut_leaves_whole_counts_in_a_tile() -> None:
    inner, whole = Tile(100, 700, 200, 800), (1000, 1200)
    inside = (500.0, 400.0)
    assert len(whole_in_tile(a_face(*inside, LARGEST_IN_TILES, 0.9), inner, *whole)) == 1
    assert len(whole_in_tile(a_face(*inside, LARGEST_IN_TILES + 1, 0.9), inner, *whole)) == 0
    half = FACE_ASPECT * 100 / 2
    for at, x, y in (
        ("left", 200 + CUT_MARGIN + half, 400),
        ("right", 800 - CUT_MARGIN - half, 400),
        ("top", 500, 100 + CUT_MARGIN + 50),
        ("bottom", 500, 700 - CUT_MARGIN - 50),
    ):
        outwards = np.sign([x - 500, y - 400])
        kept = a_face(*(np.array([x, y]) - outwards), 100, 0.9)
        cut = a_face(*(np.array([x, y]) + outwards), 100, 0.9)
        assert len(whole_in_tile(kept, inner, *whole)) == 1, at
        assert len(whole_in_tile(cut, inner, *whole)) == 0, at


def test_at_the_edge_of_the_picture_nothing_is_cut() -> None:
    all_of_it = Tile(0, 1000, 0, 1200)
    for x, y in ((0.0, 500.0), (1200.0, 500.0), (600.0, 0.0), (600.0, 1000.0)):
        beyond = a_face(x, y, 100, 0.9)
        assert len(whole_in_tile(beyond, all_of_it, 1000, 1200)) == 1
        assert len(whole_in_tile(beyond, all_of_it, 1200, 1400)) == (x == 0 or y == 0)


def test_only_weak_faces_of_some_size_are_seen_again() -> None:
    faces = together(a_face(0, 0, 100, 0.81), a_face(0, 0, 100, 0.79), a_face(0, 0, 39, 0.78))
    assert doubtful(faces).tolist() == [False, True, False]


def test_a_face_is_confirmed_by_what_lies_where_it_does() -> None:
    face = a_face(100, 100, 100, 0.7)
    assert confirmed(face, a_face(110, 110, 110, 0.1)).tolist() == [True]
    assert confirmed(face, a_face(170, 100, 100, 0.9)).tolist() == [False]
    assert confirmed(face, no_faces()).tolist() == [False]
    assert confirmed(no_faces(), face).tolist() == []


CELL = 1500
"""Places this far apart, in pixels of the picture, have faces that share nothing."""
SCALES = (1.0, 1 / 3)
scores = st.integers(10, 99).map(lambda score: score / 100)
"""From what only confirms to what is sure."""
looked_at = st.lists(
    st.tuples(
        st.floats(10, 1200), st.one_of(st.none(), scores), st.one_of(st.none(), scores), st.floats(0.95, 1.05)
    ),
    max_size=4,
)
"""At each place: how tall a face is, and its score in the larger and in the smaller look, if it is seen."""


@st.composite
def two_looks(draw: st.DrawFn) -> tuple[Detections, Detections]:
    larger, smaller = [], []
    for place, (height, score, score_below, zoom) in enumerate(draw(looked_at)):
        x = place * CELL
        if score is not None:
            larger.append(a_face(x, 0, height, score))
        if score_below is not None:
            smaller.append(a_face(x, 0, height * zoom, score_below))
    return together(*larger), together(*smaller)


def joined(larger: Detections, smaller: Detections, shrink: float = 1.0) -> Detections:
    """The faces of two looks, the second of which knows all that it has found by itself."""
    known = smaller[smaller.scores >= THRESHOLD]
    first, second = (
        Look(faces, scale * shrink) for faces, scale in zip((larger, smaller), SCALES, strict=True)
    )
    return join(first, second, known, THRESHOLD)


def at(faces: Detections, place: int) -> Detections:
    """The faces around a place."""
    return faces[np.abs(faces.boxes[:, [0, 2]].mean(1) - place * CELL) < 1]


@given(two_looks())
def test_joined_are_faces_of_the_looks_each_once_highest_score_first(
    looks: tuple[Detections, Detections],
) -> None:
    found = joined(*looks)
    assert all(np.diff(found.scores) <= 0)
    assert all(found.scores >= np.float32(THRESHOLD))
    shared = overlap(found.boxes, found.boxes)
    assert np.array_equal(shared > 0.3, np.eye(len(found), dtype=bool))
    seen = {row.tobytes() for look in looks for row in np.column_stack([look.boxes, look.scores])}
    assert {row.tobytes() for row in np.column_stack([found.boxes, found.scores])} <= seen


@given(two_looks())
def test_a_sure_face_of_either_look_is_kept(looks: tuple[Detections, Detections]) -> None:
    found = joined(*looks)
    for look in looks:
        for place in range(4):
            faces = at(look, place)
            if len(faces) and faces.scores[0] >= np.float32(0.8):
                assert len(at(found, place)) == 1


@given(two_looks())
def test_a_doubtful_face_that_nothing_confirms_is_gone(looks: tuple[Detections, Detections]) -> None:
    larger, smaller = looks
    found = joined(larger, smaller)
    for place in range(4):
        ours, theirs = at(larger, place), at(smaller, place)
        if len(ours) + len(theirs) != 1:
            continue  # both see something, or none does
        (height,) = (ours if len(ours) else theirs).boxes @ [0, -1, 0, 1]
        (score,) = (ours if len(ours) else theirs).scores
        if len(ours):  # the smaller look sees nothing of it, and would if it is large enough there
            gone = height / 3 >= 48 and score < np.float32(0.8 if height <= LARGEST_FACE else 0.78)
        else:  # the larger one would have seen it, unless it is too large there
            gone = height <= LARGEST_FACE and score < np.float32(0.8)
        assert len(at(found, place)) == (score >= np.float32(THRESHOLD) and not gone)


@given(two_looks())
def test_the_largest_look_that_answers_for_a_face_gives_its_box(looks: tuple[Detections, Detections]) -> None:
    found = joined(*looks)
    for place in range(4):
        ours, theirs, kept = (at(faces, place) for faces in (*looks, found))
        both = [len(faces) and faces.scores[0] >= np.float32(THRESHOLD) for faces in (ours, theirs)]
        if all(both):
            (height,) = ours.boxes @ [0, -1, 0, 1]
            wanted = ours if height <= LARGEST_FACE else theirs
            assert np.array_equal(kept.boxes, wanted.boxes)


@given(two_looks(), st.sampled_from([0.25, 0.5, 2.0]))
def test_only_the_size_in_the_look_matters(looks: tuple[Detections, Detections], shrink: float) -> None:
    wanted = joined(*looks)
    found = joined(*(faces.scaled(1 / shrink, 1 / shrink) for faces in looks), shrink)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    np.testing.assert_allclose(found.boxes, wanted.boxes / shrink, rtol=1e-5)


def test_a_part_of_a_larger_face_is_no_face() -> None:
    whole = a_face(0, 0, 900, 0.9)
    part = a_face(50, 100, 450, 0.95)
    assert len(joined(part, whole)) == 1
    (kept,) = joined(part, whole).boxes
    np.testing.assert_array_equal(kept, whole.boxes[0])
    # A part in the larger look's own range that is in doubt needs something there in the smaller one.
    assert len(joined(a_face(50, 100, 300, 0.7), whole)) == 1

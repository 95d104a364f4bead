"""What must not be seen is not: masks, blocks instead of faces, and heads between detections."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from videos import landscape, portrait

from fer_batch.annotation import blur
from fer_batch.annotation.blur import HELD_S, SPEED, Box, blacken, heads, pixelate, whole_head

FACE: Box = (100, 40, 160, 120)


def covers(outer: Box, inner: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


Frames = Iterator[tuple[float, bool, dict[int, Box]]]


def seen(*numbers: int, frames: int, fps: float = 10, every: int = 1) -> Frames:
    """Frames, in some of which one face is seen."""
    return (
        (n / fps, n % every == 0 or n in numbers, {0: FACE} if n in numbers else {}) for n in range(frames)
    )


def hidden_in(found: Iterator[list[Box]]) -> list[int]:
    return [number for number, boxes in enumerate(found) if boxes]


def test_masks_are_black_and_end_where_the_picture_does() -> None:
    image = np.full((20, 30, 3), 200, np.uint8)
    blacken(image, [(2, 3, 4, 5), (25, 15, 100, 100), (40, 40, 5, 5)])
    assert not image[3:8, 2:6].any()
    assert not image[15:, 25:].any()
    assert np.count_nonzero(image) == 3 * (20 * 30 - 4 * 5 - 5 * 5)


def test_nothing_finer_than_a_sixth_of_the_face_remains() -> None:
    image = portrait(640, 360)
    before, box = image.copy(), (220.4, 80.2, 340.0, 226.7)
    head = whole_head(box)
    pixelate(image, head)
    rows, columns = slice(int(head[1]), int(head[3])), slice(int(head[0]), int(head[2]))
    changes = np.diff(image[rows, columns].astype(int), axis=1).any(2).any(0)
    edges = np.flatnonzero(changes)
    assert np.diff(edges).min() >= (box[2] - box[0]) / 6 - 1
    outside = np.ones(image.shape[:2], bool)
    outside[rows.start : rows.stop + 1, columns.start : columns.stop + 1] = False
    np.testing.assert_array_equal(image[outside], before[outside])


@pytest.mark.parametrize("box", [(-60.0, -40.0, 20.0, 60.0), (300.0, 150.0, 380.0, 250.0)])
def test_a_head_at_the_edge_is_not_shown_finer(box: Box) -> None:
    image = portrait()
    pixelate(image, box)
    x0, y0, x1, y1 = (max(0, round(value)) for value in box)
    colours = np.unique(image[y0:y1, x0:x1].reshape(-1, 3), axis=0)
    assert len(colours) <= 8 * 8 / 4


def test_a_head_outside_changes_nothing() -> None:
    image = portrait()
    for box in ((-90.0, -90.0, -10.0, -10.0), (400.0, 300.0, 500.0, 400.0)):
        pixelate(image, box)
    np.testing.assert_array_equal(image, portrait())


def test_a_face_of_one_pixel_can_be_hidden() -> None:
    image = landscape()
    pixelate(image, whole_head((5.2, 5.2, 5.9, 5.9)))
    pixelate(image, (7.0, 7.0, 7.0, 7.0))


def test_a_face_is_hidden_from_the_search_before_it_to_the_one_behind_it_and_half_a_second_more() -> None:
    assert HELD_S == 0.5
    assert hidden_in(heads(seen(20, 21, frames=40), max_gap_s=2)) == list(range(14, 28))
    assert hidden_in(heads(seen(20, frames=60, every=10), max_gap_s=2)) == list(range(5, 36))


def test_a_search_is_never_further_away_than_a_track_outlives() -> None:
    """Those of new scenes, for one, are known only where they found somebody: others may be anywhere."""
    assert hidden_in(heads(seen(60, frames=120, every=1000), max_gap_s=2)) == list(range(35, 86))


def test_a_face_that_is_missed_between_two_detections_is_on_the_line_between_them() -> None:
    later = (200.0, 40.0, 260.0, 120.0)
    gap = [(number / 10, True, dict[int, Box]()) for number in range(1, 10)]
    frames = [(0.0, True, {7: FACE}), *gap, (1.0, True, {7: later})]
    found = list(heads(frames, max_gap_s=2))
    assert [len(boxes) for boxes in found] == [1] * 11
    for number, (box,) in enumerate(found):
        x = 100 + 10 * number
        assert covers(box, (x, 40, x + 60, 120))
    assert found[0] == [whole_head(FACE)]
    widths = [box[2] - box[0] for (box,) in found]
    assert widths[5] > widths[1] > widths[0]


def test_a_gap_that_ends_a_track_is_not_bridged() -> None:
    assert hidden_in(heads(seen(10, 30, frames=40), max_gap_s=2)) == list(range(4, 37))
    assert hidden_in(heads(seen(10, 31, frames=40), max_gap_s=2)) == [*range(4, 17), *range(25, 38)]


@pytest.mark.parametrize("every", [1, 5])
def test_a_missed_face_is_hidden_in_the_next_frame_however_late_that_is(every: int) -> None:
    assert hidden_in(heads(seen(3, frames=8, fps=0.1, every=every), max_gap_s=2)) == [2, 3, 4]


def test_faces_beside_each_other_are_hidden_each() -> None:
    other = (300.0, 40.0, 360.0, 120.0)
    frames = [(0.0, True, {0: FACE, 1: other}), (0.1, True, {1: other}), (0.2, True, {0: FACE})]
    for boxes in heads(frames, max_gap_s=2):
        assert len(boxes) == 2
        assert any(covers(box, FACE) for box in boxes)
        assert any(covers(box, other) for box in boxes)


@pytest.mark.parametrize("jump_s", [0.0, -3600.0, 3600.0])
def test_no_more_is_read_ahead_than_a_gap_can_last(jump_s: float) -> None:
    read = 0

    def frames() -> Frames:
        nonlocal read
        for number in range(600):
            read += 1
            yield number / 10 + (jump_s if number >= 300 else 0), True, {number // 50: FACE}

    for number, boxes in enumerate(heads(frames(), max_gap_s=2)):
        assert boxes
        assert read - number <= (2 + HELD_S) * 10 + 2


def test_a_clock_that_stands_still_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blur, "_FRAMES_AHEAD", 50)
    read = []
    frames = ((0.0, True, {0: FACE}) for number in range(300) if read.append(number) is None)
    for number, boxes in enumerate(heads(frames, max_gap_s=2)):
        assert boxes
        assert len(read) - number <= 52
    assert len(read) == 300


@given(
    st.lists(st.booleans(), min_size=1, max_size=60), st.sampled_from([0.3, 1.0]), st.sampled_from([5, 25])
)
def test_no_face_flashes_up_between_detections(detected: list[bool], max_gap_s: float, fps: int) -> None:
    numbers = {number for number, found in enumerate(detected) if found}
    places = {
        number: (100.0 + 3 * number, 40.0, 160.0 + 3 * number, 120.0) for number in range(len(detected))
    }
    frames = [(n / fps, True, {0: places[n]} if n in numbers else {}) for n in range(len(detected))]
    found = list(heads(frames, max_gap_s))
    assert len(found) == len(detected)
    for number, boxes in enumerate(found):
        before = max((n for n in numbers if n <= number), default=None)
        after = min((n for n in numbers if n >= number), default=None)
        if before is not None and after is not None and (after - before) / fps <= max_gap_s:
            assert any(covers(box, places[number]) for box in boxes)


@given(st.data(), st.sampled_from([1, 2, 5, 30]), st.sampled_from([3, 10, 25]), st.sampled_from([0.3, 2.0]))
def test_no_face_that_moves_as_fast_as_stated_is_ever_shown(
    data: st.DataObject, every: int, fps: int, max_gap_s: float
) -> None:
    """Whatever way it takes, whichever searches miss it, and wherever the video ends."""
    turn = st.tuples(st.sampled_from([-1, 0, 1]), st.sampled_from([-1, 0, 1]), st.integers(1, 30))
    step, x, y, places = SPEED * (FACE[3] - FACE[1]) / fps, 0.0, 0.0, list[Box]()
    for across, down, count in data.draw(st.lists(turn, min_size=1, max_size=4)):
        for _ in range(count):
            x, y = x + across * step, y + down * step
            places.append((FACE[0] + x, FACE[1] + y, FACE[2] + x, FACE[3] + y))
    searched, last_s = [], -math.inf
    for n in range(len(places)):  # as `mark` chooses; where new scenes begin is left to chance
        if n % every == 0 or (n + 1) / fps - last_s > max_gap_s or data.draw(st.integers(0, 9)) == 0:
            searched.append(n)
            last_s = n / fps
    numbers = data.draw(st.sets(st.sampled_from(searched), max_size=4))
    frames = [
        (n / fps, n % every == 0 or n in numbers, {0: place} if n in numbers else {})
        for n, place in enumerate(places)
    ]
    found = list(heads(frames, max_gap_s))
    assert len(found) == len(places)
    held = math.floor(HELD_S * fps)
    for number in numbers:
        first = max((n for n in searched if n < number), default=0) - held
        last = min((n for n in searched if n > number), default=len(places)) + held
        further = min((n for n in numbers if n > number), default=number)
        if further - number <= max_gap_s * fps:
            last = max(last, further)
        for n, place in enumerate(places):
            if first <= n <= last:
                x0, y0, x1, y1 = whole_head(place)
                inside = (x0 + 1e-6, y0 + 1e-6, x1 - 1e-6, y1 - 1e-6)
                assert any(covers(head, inside) for head in found[n]), n

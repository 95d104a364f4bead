"""What is drawn of faces into pictures, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from videos import FACE, landscape, portrait

from fer_batch.annotation.blur import Box
from fer_batch.annotation.draw import DrawnFace, FaceDrawer
from fer_batch.emotions import Emotion

BLUE = (30, 60, 90)
"""The ground of the pictures: no expression has its colour, nor has what is blended with it."""
UNCERTAIN = (110, 110, 110)
PROBABILITIES = (0.15, 0.1, 0.12, 0.3, 0.14, 0.11, 0.08)


def face(box: Box, emotion: Emotion | None = None, track: int | None = None) -> DrawnFace:
    return DrawnFace(box, emotion, PROBABILITIES, track)


def ground(width: int, height: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), BLUE, np.uint8)


def draw(image: NDArray[np.uint8], faces: Sequence[DrawnFace], *, may_grow: bool = True) -> NDArray[np.uint8]:
    return FaceDrawer(may_grow=may_grow).draw(image.copy(), faces)


def coloured(image: NDArray[np.uint8], colour: Sequence[int]) -> NDArray[np.bool_]:
    return (image == np.array(colour, np.uint8)).all(2)


def bars(image: NDArray[np.uint8]) -> dict[Emotion, tuple[int, int, int]]:
    """Left end, upper end and length of each expression's bar: the one whole rectangle in its colour."""
    found: dict[Emotion, tuple[int, int, int]] = {}
    for emotion in Emotion:
        mask = coloured(image, emotion.colour).astype(np.uint8)
        _, _, shapes, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        bar = [
            (int(x), int(y), int(width))
            for x, y, width, height, area in shapes[1:]
            if area == width * height and 4 <= height < 60 and width >= 3
        ]
        if len(bar) == 1:
            found[emotion] = bar[0]
    return found


def assert_seven_bars(image: NDArray[np.uint8]) -> None:
    """One beneath the other, all from one column on, in proportion to the probabilities, with names."""
    found = bars(image)
    assert list(found) == list(Emotion)
    lefts, tops, lengths = zip(*found.values(), strict=True)
    assert len(set(lefts)) == 1
    assert len(set(np.diff(tops))) == 1
    assert np.diff(tops)[0] >= 14
    np.testing.assert_allclose(lengths, np.array(PROBABILITIES) * lengths[3] / 0.3, atol=1.6)
    pitch = int(tops[1] - tops[0])
    light = image[:, lefts[0] - 3 * pitch : lefts[0]].min(2) > 170
    names = [light[top - pitch // 4 : top + 3 * pitch // 4].sum() for top in tops]
    assert min(names) > 15  # of letters whose strokes are a pixel wide


@pytest.mark.parametrize(("width", "height"), [(480, 480), (500, 500), (672, 672), (552, 552), (640, 480)])
def test_a_face_that_fills_a_picture_has_its_bars_in_a_margin(width: int, height: int) -> None:
    image = draw(ground(width, height), [face((0, 0, width, height))])
    assert image.shape[0] >= height
    assert image.shape[1] >= width
    margin = image.copy()
    margin[:height, :width] = 0
    assert_seven_bars(margin)
    # Of the face, its box and label hide little, and they are where it is.
    inside = image[:height, :width]
    assert coloured(inside, BLUE).mean() > 0.9
    for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
        assert (edge == UNCERTAIN).all(1).mean() > 0.8


@pytest.mark.parametrize(("width", "height"), [(192, 192), (224, 224), (320, 180), (640, 360)])
def test_a_face_that_fills_a_frame_has_its_bars_over_it(width: int, height: int) -> None:
    image = draw(ground(width, height), [face((0, 0, width, height))], may_grow=False)
    assert image.shape == (height, width, 3)
    assert_seven_bars(image)
    assert coloured(image, BLUE).mean() > 0.5


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (640, 360, (240, 80, 390, 260)),
        (640, 360, (480, 80, 630, 260)),
        (1280, 720, (500, 100, 760, 400)),
        (3840, 2160, (500, 100, 1200, 1000)),
        (480, 854, (20, 100, 460, 500)),
    ],
)
def test_a_face_that_leaves_room_has_its_bars_there(width: int, height: int, box: Box) -> None:
    image = draw(ground(width, height), [face(box)])
    assert image.shape == (height, width, 3)
    assert_seven_bars(image)
    x0, y0, x1, y1 = (round(value) for value in box)
    line = -(-2 * min(width, height) // 720)
    assert coloured(image[y0 + line : y1 - line, x0 + line : x1 - line], BLUE).all()


@pytest.mark.parametrize("emotion", [*Emotion, None])
def test_text_stands_out_from_its_ground(emotion: Emotion | None) -> None:
    image = draw(ground(640, 360), [face((200, 100, 350, 280), emotion, track=12)], may_grow=False)
    colour = face((0, 0, 1, 1), emotion).colour
    ys, xs = np.nonzero(coloured(image[:100], colour))
    label = image[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    assert 16 <= label.shape[0] <= 26
    ink = [(label == value).all(2) for value in (0, 255)]
    assert sorted(mask.sum() > 40 for mask in ink) == [False, True]

    def luminance(colour: Sequence[int]) -> float:
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in np.array(colour) / 255]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    light, dark = sorted((luminance(colour), float(ink[1].sum() > 40)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
    # Nothing is cut off: all around the letters there is ground.
    for edge in (label[0], label[-1], label[:, 0], label[:, -1]):
        assert (edge == colour).all()


def test_faces_beyond_the_picture_are_not_drawn_and_those_at_its_edge_are_closed() -> None:
    outside = [face(box) for box in ((-90, 10, -5, 80), (640, 10, 700, 80), (10, 360, 80, 400))]
    np.testing.assert_array_equal(draw(ground(640, 360), outside), ground(640, 360))
    image = draw(ground(640, 360), [face((560, 200, 700, 400))])
    assert image.shape == (360, 640, 3)
    assert (image[280, 639] == UNCERTAIN).all()
    assert (image[359, 600] == UNCERTAIN).all()


@pytest.mark.parametrize(
    ("tracks", "first"), [((None, None), Emotion.SAD), ((1, 2), Emotion.HAPPY), ((2, 1), Emotion.SAD)]
)
def test_large_faces_choose_first_in_pictures_and_older_tracks_in_videos(
    tracks: tuple[int | None, int | None], first: Emotion
) -> None:
    small = face((0, 100, 40, 150), Emotion.HAPPY, tracks[0])
    large = face((40, 100, 84, 150), Emotion.SAD, tracks[1])
    image = draw(ground(640, 480), [small, large], may_grow=False)
    # There is only room for one label above them.
    assert coloured(image[:100], first.colour).sum() > 300
    other = Emotion.SAD if first is Emotion.HAPPY else Emotion.HAPPY
    assert not coloured(image[:100], other.colour).any()
    assert coloured(image[150:], other.colour).sum() > 300


def test_a_label_that_had_to_go_below_stays_there() -> None:
    drawer, moved = FaceDrawer(may_grow=False), face((200, 60, 350, 240), Emotion.HAPPY, 3)
    drawer.draw(ground(640, 360), [face((200, 2, 350, 182), Emotion.HAPPY, 3)])
    image = drawer.draw(ground(640, 360), [moved])
    assert coloured(image[242:258, 200:350], Emotion.HAPPY.colour).mean() > 0.3
    assert not coloured(image[:58], Emotion.HAPPY.colour).any()
    again = draw(ground(640, 360), [moved], may_grow=False)
    assert coloured(again[42:58, 200:350], Emotion.HAPPY.colour).mean() > 0.3


def test_drawing_is_the_same_every_time() -> None:
    faces = [
        face((20.4 * n, 15.7 * (n % 9), 20.4 * n + 40, 15.7 * (n % 9) + 50), Emotion(n % 7))
        for n in range(30)
    ]
    first, second = (draw(portrait(640, 360), faces) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, draw(portrait(640, 360), faces))


def test_the_real_face_stays_visible() -> None:
    x0, y0, x1, y1 = FACE
    image = draw(portrait(512, 288), [face(FACE)])
    np.testing.assert_array_equal(
        image[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2], portrait(512, 288)[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]
    )
    assert_seven_bars(draw(landscape(512, 288), [face(FACE)]))

"""Cuts are found, and what moves or gets lighter is none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.data import astronaut, camera, coffee
from videos import FACE, encode, moving_face

from fer_batch.annotation.decode import DecodeReport, Position, read_frames
from fer_batch.annotation.frames import MarkedFrame
from fer_batch.annotation.parts import Resume
from fer_batch.annotation.scenes import LOOK_AHEAD, SceneState, Thumbnail, compare, next_frame, thumbnail
from fer_batch.annotation.sources import Source
from fer_batch.annotation.stages import mark
from fer_batch.inference.picture import ArrayPicture
from fer_batch.settings import AnnotateSettings, SamplingSettings, SmoothingSettings


def seen(image: np.ndarray) -> Thumbnail:
    return thumbnail(ArrayPicture(image))


def begins(images: Sequence[np.ndarray], *, fps: float = 25, ahead: int = LOOK_AHEAD) -> list[int]:
    """The frames at which a new scene begins."""
    frames = [(seen(image), index / fps) for index, image in enumerate(images)]
    state, found = None, []
    for index, (frame, time_s) in enumerate(frames):
        step = next_frame(state, frame, time_s, frames[index + 1 : index + 1 + ahead])
        state = step.state
        found += [index] if step.cut else []
    return found


def other() -> np.ndarray:
    return cv2.resize(coffee(), (320, 180), interpolation=cv2.INTER_AREA)


def lit(image: np.ndarray, gain: float, more: float = 0) -> np.ndarray:
    return np.clip(image * gain + more, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("ahead", [0, LOOK_AHEAD])
def test_another_picture_is_another_scene(ahead: int) -> None:
    frames = [*moving_face(5), *[other()] * 5, *moving_face(5)]
    assert begins(frames, ahead=ahead) == [5, 10]


@pytest.mark.parametrize("ahead", [0, LOOK_AHEAD])
def test_another_size_is_another_scene_and_a_flat_one_is_none(ahead: int) -> None:
    small = [np.ascontiguousarray(image[:, :200]) for image in moving_face(3)]
    assert begins([*moving_face(3), *small, *moving_face(3)], ahead=ahead) == [3, 6]
    for level in (0, 128, 255):
        flat = [np.full((180, 320, 3), level, np.uint8)] * 4
        assert begins([*flat, *moving_face(3), *flat, *moving_face(3), *flat], ahead=ahead) == []
        assert begins([*moving_face(3), *flat, other(), other()], ahead=ahead) == [7]


@pytest.mark.parametrize("ahead", [0, LOOK_AHEAD])
def test_exposure_and_strobes_are_no_cuts(ahead: int) -> None:
    frames = moving_face(24)
    for gain in (0.3, 0.6, 1.7, 2.5):
        assert begins([lit(f, gain if i >= 9 else 1) for i, f in enumerate(frames)], ahead=ahead) == []
        assert begins([lit(f, gain if i % 4 < 2 else 1) for i, f in enumerate(frames)], ahead=ahead) == []


@pytest.mark.parametrize("more", [90, 180, 255])
@pytest.mark.parametrize("lasts", [1, 2])
def test_a_flash_is_no_cut_and_hides_none(more: int, lasts: int) -> None:
    frames = [*moving_face(12), *[other()] * 6]
    for at in (5, 12 - lasts):
        flashed = [lit(f, 1.5, more) if at <= i < at + lasts else f for i, f in enumerate(frames)]
        assert begins(flashed) == [12]


def test_a_flash_that_leaves_nothing_is_no_cut_at_any_rate_of_frames() -> None:
    white = np.full((180, 320, 3), 255, np.uint8)
    frames = moving_face(6)
    frames[3] = white
    assert begins(frames, fps=1) == begins(frames, ahead=0) == []


def test_a_scene_of_one_sampled_frame_is_a_scene() -> None:
    frames = moving_face(6)
    frames[3] = other()
    assert begins(frames, fps=1) == [3, 4]
    assert begins(frames, fps=25) == []  # nobody cuts to a scene of a twenty-fifth of a second


@pytest.mark.parametrize("black", [0, 10])
def test_a_fade_through_black_ends_a_scene_once(black: int) -> None:
    frames = [lit(f, 1 - i / 12) for i, f in enumerate(moving_face(12))]
    frames += [np.zeros_like(frames[0])] * black + [lit(other(), i / 12) for i in range(13)]
    (begin,) = begins(frames)
    assert 12 + black <= begin <= 12 + black + 4


def test_any_size_has_a_thumbnail() -> None:
    for size in ((1, 1), (18, 32), (2160, 3840), (50, 4000)):
        assert seen(np.zeros((*size, 3), np.uint8)).brightness.shape == (36, 64)


@pytest.mark.parametrize("ahead", [0, LOOK_AHEAD])
@pytest.mark.parametrize("lasts", [12, 20, 35])
def test_a_dissolve_ends_a_scene_once_and_when_it_is_nearly_gone(lasts: int, ahead: int) -> None:
    here, there = moving_face(1)[0], other()
    shares = [*[0.0] * 25, *np.linspace(0, 1, lasts), *[1.0] * 40]
    frames = [cv2.addWeighted(here, 1 - share, there, share, 0).astype(np.uint8) for share in shares]
    (begin,) = begins(frames, ahead=ahead)
    assert shares[begin] > 0.5
    assert begin <= 25 + lasts + 3


def test_a_slow_zoom_dissolves_nothing() -> None:
    def nearer(zoom: float) -> np.ndarray:
        turn = cv2.getRotationMatrix2D((256, 150), 0, zoom)
        turn[:, 2] += (-96, -60)
        return cv2.warpAffine(astronaut(), turn, (320, 180), flags=cv2.INTER_AREA)

    assert begins([nearer(1 + 0.02 * step) for step in range(60)]) == []


CAMERAS = {
    "shaken": lambda t: (0.5 * 165 * math.sin(4 * math.pi * t), 0.25 * 165 * math.sin(5.2 * math.pi * t)),
    "panning": lambda t: (4 * 165 * min(t % 0.4, 0.4 - t % 0.4) * 2 - 130, 0.0),
}
"""Where content is at a time in seconds, in pixels to the right and down; the face is 165 pixels high."""


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_in_encoded_footage_a_camera_that_moves_cuts_nothing(
    camera: Callable[[float], tuple[float, float]], tmp_path: Path
) -> None:
    path = encode(tmp_path / "moved.mp4", [view(*camera(index / 25)) for index in range(50)])
    marked = marked_frames(path)
    assert [m.number for m in marked if m.cut] == []
    moved = np.diff([camera(index / 25) for index in range(50)], axis=0)
    found = np.array([m.shift for m in marked[1:]])
    assert np.quantile(np.abs(found - moved), 0.9) < 4


def marked_frames(path: Path, settings: AnnotateSettings | None = None) -> list[MarkedFrame]:
    frames = read_frames(Source("made", path, "video"), SamplingSettings(), DecodeReport())
    return list(mark(frames, settings or AnnotateSettings()))


def test_one_take_has_no_cut_and_its_camera_rests(shared_data: Path) -> None:
    for name in ("pexels", "single_face"):
        marked = marked_frames(shared_data / "clips" / f"{name}.mp4")
        assert not any(frame.cut for frame in marked)
        assert np.mean([frame.shift != (0.0, 0.0) for frame in marked]) < 0.05


def test_what_is_known_after_a_frame_is_all_that_the_next_needs(tmp_path: Path) -> None:
    flash = [lit(f, 2, 120) if i in (9, 10) else f for i, f in enumerate(moving_face(16))]
    path = encode(tmp_path / "flash.mp4", [*flash, *[other()] * 8, *[lit(other(), 0)] * 4, *moving_face(8)])
    whole = marked_frames(path)
    assert [frame.number for frame in whole if frame.cut] == [16, 28]
    for stopped in range(5, 32):
        last = whole[stopped]
        assert last.glance is not None
        state = SceneState.from_json(json.loads(json.dumps(last.glance.as_json())))
        resume = Resume(Position.of(last.frame), last.number + 1, state, None, [])
        source = Source("made", path, "video")
        frames = read_frames(source, SamplingSettings(), DecodeReport(), resume.position)
        rest = list(mark(frames, AnnotateSettings(), resume))
        assert [(m.number, m.cut, m.shift) for m in rest] == [
            (m.number, m.cut, m.shift) for m in whole[stopped + 1 :]
        ]


def test_looking_back_only_nothing_follows_from_later_frames(tmp_path: Path) -> None:
    frames = [lit(f, 2, 120) if i in (9, 10) else f for i, f in enumerate(moving_face(16))]
    causal = AnnotateSettings(smoothing=SmoothingSettings(causal=True))
    until = {}
    for count in (10, 16):
        path = encode(tmp_path / f"{count}.mp4", frames[:count])
        until[count] = [m.cut for m in marked_frames(path, causal)][:10]
    assert until[10] == until[16]


def test_a_fast_zoom_is_no_cut() -> None:
    picture = astronaut()
    frames = []
    for number in range(150):
        zoom = 1.6 * (1.3 + 0.5 * math.sin(2 * math.pi * 1.5 * number / 25))  # 15% from frame to frame
        matrix = np.array([[zoom, 0, 320 - zoom * 224], [0, zoom, 180 - zoom * 130]])
        frames.append(cv2.warpAffine(picture, matrix, (640, 360), borderMode=cv2.BORDER_REPLICATE))
    assert begins(frames) == []


def test_somebody_close_to_a_camera_that_is_shaken_is_no_cut() -> None:
    """The head goes another way than the rest, and is most of the detail."""
    picture = np.repeat(camera()[..., None], 3, axis=2)
    head = cv2.resize(astronaut()[:220, 150:300], (48, 78))
    inside = cv2.ellipse(np.zeros((78, 48), np.uint8), (24, 39), (23, 38), 0, 0, 360, 255, -1) > 0
    frames = []
    for number in range(60):
        right, down = 32 * math.sin(2.9 * number), 16 * math.sin(1.9 * number)
        matrix = np.array([[0.7, 0, right - 20], [0, 0.7, down - 60]])
        frame = cv2.warpAffine(
            picture, matrix, (320, 180), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
        )
        frame[45:123, 60 + 2 * number :][:, :48][inside] = head[inside]
        frames.append(frame)
    assert begins(frames) == []
    assert begins([*frames, *[other()] * 5]) == [60]


def view(right: float, down: float) -> np.ndarray:
    """The portrait from a camera, its content so many pixels to the right and down."""
    matrix = np.array([[1.5, 0, right - 120], [0, 1.5, down]])
    return cv2.warpAffine(
        astronaut(), matrix, (640, 360), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )


@given(st.floats(-100, 100), st.floats(-60, 60))
def test_how_far_the_camera_moved_is_known_to_a_fraction_of_a_pixel_of_the_thumbnail(
    right: float, down: float
) -> None:
    comparison = compare(seen(view(0, 0)), seen(view(right, down)))
    assert comparison.correlation > 0.7
    if max(abs(right), abs(down)) > 3:
        assert comparison.shift == pytest.approx((right, down), abs=4)


def test_who_moves_in_front_of_a_resting_camera_moves_no_camera() -> None:
    ground = cv2.resize(coffee(), (640, 360))
    x0, y0, x1, y1 = FACE
    head = cv2.resize(astronaut()[y0:y1, x0:x1], (220, 280))
    frames = [ground.copy() for _ in range(2)]
    for frame, x in zip(frames, (200, 212), strict=True):
        frame[60:340, x : x + 220] = head
    assert compare(*map(seen, frames)).shift == (0.0, 0.0)


def stripes(edges: Sequence[tuple[int, int]], across: bool) -> np.ndarray:
    """A frame of flat stripes: where each begins, in pixels of a thumbnail, and its brightness."""
    image = np.full((36, 64), 128, np.uint8)
    for begins_at, brightness in sorted(edges):
        (image if across else image.T)[begins_at:] = brightness
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), (320, 180), interpolation=cv2.INTER_NEAREST)


@st.composite
def striped(draw: st.DrawFn) -> np.ndarray:
    """What a damaged file may show: stripes and nothing else."""
    across = draw(st.booleans())
    edge = st.tuples(st.integers(0, 35 if across else 63), st.integers(0, 255))
    return stripes(draw(st.lists(edge, min_size=1, max_size=3)), across)


@settings(max_examples=300)
@given(st.lists(striped(), min_size=2, max_size=4))
@example([stripes([(27, 0), (31, 131)], True), stripes([(9, 4)], True)])  # OpenCV says NaN
def test_whatever_a_frame_shows_a_camera_moves_by_a_number(images: list[np.ndarray]) -> None:
    state = None
    for index, image in enumerate(images):
        step = next_frame(state, seen(image), index / 25)
        state = step.state
        assert abs(step.shift[0]) <= 165
        assert abs(step.shift[1]) <= 95

"""Cuts are found, and what moves or gets lighter is none."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from videos import landscape, moving_face, portrait

from fer_batch.annotation.decode import DecodeReport, read_frames
from fer_batch.annotation.scenes import Glance, glance, is_cut
from fer_batch.annotation.sources import Source
from fer_batch.inference.picture import ArrayPicture
from fer_batch.settings import SamplingSettings


def seen(image: np.ndarray) -> Glance:
    return glance(ArrayPicture(image))


def test_another_picture_is_another_scene() -> None:
    assert is_cut(seen(portrait()), seen(landscape()))
    noise = np.random.default_rng(0).integers(0, 256, (180, 320, 3), dtype=np.uint8)
    assert is_cut(seen(portrait()), seen(np.full_like(noise, 10)))


def test_motion_and_slow_light_are_not() -> None:
    frames = moving_face(20)
    for before, after in itertools.pairwise(frames):
        assert not is_cut(seen(before), seen(after))
    picture = portrait()
    assert not is_cut(seen(picture), seen(np.clip(picture * 1.08, 0, 255).astype(np.uint8)))


def test_another_size_is_another_scene() -> None:
    picture = portrait()
    half = picture[: picture.shape[0] // 2 * 2 : 2, : picture.shape[1] // 2 * 2 : 2]
    assert is_cut(seen(picture), seen(half))


def test_any_size_has_a_glance() -> None:
    for size in ((1, 1), (18, 32), (2160, 3840), (50, 4000)):
        assert seen(np.zeros((*size, 3), np.uint8)).brightness.shape == (18, 32)


def test_one_take_has_no_cut(shared_data: Path) -> None:
    source = Source("pexels", shared_data / "clips" / "pexels.mp4", "video")
    before = None
    for frame in read_frames(source, SamplingSettings(), DecodeReport()):
        assert frame.picture is not None
        now = glance(frame.picture)
        assert before is None or not is_cut(before, now)
        before = now

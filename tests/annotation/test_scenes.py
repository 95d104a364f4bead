"""Cuts are found, and what moves or gets lighter is none."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from videos import landscape, moving_face, portrait

from fer_batch.annotation.decode import DecodeReport, read_frames
from fer_batch.annotation.scenes import is_cut
from fer_batch.annotation.scenes import thumbnail as of_picture
from fer_batch.annotation.sources import Source
from fer_batch.inference.picture import ArrayPicture
from fer_batch.settings import SamplingSettings


def thumbnail(image: np.ndarray) -> np.ndarray:
    return of_picture(ArrayPicture(image))


def test_another_picture_is_another_scene() -> None:
    assert is_cut(thumbnail(portrait()), thumbnail(landscape()))
    noise = np.random.default_rng(0).integers(0, 256, (180, 320, 3), dtype=np.uint8)
    assert is_cut(thumbnail(portrait()), thumbnail(np.full_like(noise, 10)))


def test_motion_and_slow_light_are_not() -> None:
    frames = moving_face(20)
    for before, after in itertools.pairwise(frames):
        assert not is_cut(thumbnail(before), thumbnail(after))
    picture = portrait()
    assert not is_cut(thumbnail(picture), thumbnail(np.clip(picture * 1.08, 0, 255).astype(np.uint8)))


def test_any_size_has_a_thumbnail() -> None:
    for size in ((1, 1), (18, 32), (2160, 3840), (50, 4000)):
        assert thumbnail(np.zeros((*size, 3), np.uint8)).shape == (18, 32)


def test_one_take_has_no_cut(shared_data: Path) -> None:
    source = Source("pexels", shared_data / "clips" / "pexels.mp4", "video")
    before = None
    for frame in read_frames(source, SamplingSettings(), DecodeReport()):
        assert frame.picture is not None
        seen = of_picture(frame.picture)
        assert before is None or not is_cut(before, seen)
        before = seen

"""What is drawn over a face hides what it says it hides."""

from __future__ import annotations

import numpy as np
import pytest

from making.flaws import OCCLUDERS, decoy, no_face, occlude, watermark

LANDMARKS = np.array([[15, 20], [32, 20], [24, 28], [17, 36], [31, 36]], np.float32)


@pytest.fixture
def picture() -> np.ndarray:
    return np.full((48, 48), 150, np.uint8)


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_what_hides_a_part_changes_its_pixels(kind: str, picture: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    other = rng.integers(0, 120, (48, 48)).astype(np.uint8)
    hidden = 0
    for _ in range(20):
        drawn, share = occlude(picture, LANDMARKS, kind, other, rng)
        assert drawn.shape == (48, 48)
        assert drawn.dtype == np.uint8
        if share >= 0.9:
            hidden += 1
            assert (drawn != picture).mean() > 0.01
    assert hidden >= 10


def test_what_lies_beside_the_face_hides_nothing(picture: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    assert {decoy(picture, LANDMARKS, "bar", picture, rng)[1] for _ in range(20)} == {0.0}


def test_print_and_pictures_of_nothing_are_new_pictures(picture: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    assert (watermark(picture, rng) != picture).any()
    assert no_face(picture, rng).shape == (48, 48)
    assert (picture == 150).all()

"""What is drawn over a face hides the part that it says it hides, and leaves the others."""

from __future__ import annotations

import numpy as np
import pytest

from making.camera import taken
from making.hidden import HIDING, OPEN, draw, draw_beside, draw_hidden, draw_open
from making.scene import Scene, head_of
from making.sheet import COLUMNS, SHOWN, sheet

LANDMARKS = np.array([[15, 20], [32, 20], [24, 28], [17, 36], [31, 36]], np.float32)
DRAWS = 12


@pytest.fixture
def picture() -> np.ndarray:
    """A face as simple as one can be: light, with dark eyes and a dark mouth."""
    image = np.full((48, 48), 170, np.uint8)
    image[19:22, 13:18] = image[19:22, 30:35] = image[35:38, 18:31] = 40
    return image


@pytest.mark.parametrize("kind", HIDING)
def test_what_hides_covers_eyes_or_mouth(kind: str, picture: np.ndarray) -> None:
    other = np.random.default_rng(1).integers(0, 255, (48, 48)).astype(np.uint8)
    made = [draw(picture, LANDMARKS, other, np.random.default_rng(seed), (kind,)) for seed in range(DRAWS)]
    assert all(drawn.picture.shape == (48, 48) and drawn.picture.dtype == np.uint8 for drawn in made)
    assert sum(max(drawn.eyes, drawn.mouth) > 0.9 for drawn in made) >= DRAWS / 4
    assert all((drawn.picture != picture).any() for drawn in made if max(drawn.eyes, drawn.mouth) > 0)


def test_sunglasses_leave_the_mouth_and_masks_the_eyes(picture: np.ndarray) -> None:
    for seed in range(DRAWS):
        worn = draw(picture, LANDMARKS, picture, np.random.default_rng(seed), ("sunglasses",))
        assert worn.mouth == 0
        assert (worn.picture[35:38, 18:31] == picture[35:38, 18:31]).all()
        masked = draw(picture, LANDMARKS, picture, np.random.default_rng(seed), ("mask",))
        assert masked.eyes == 0
        assert masked.mouth == 1


@pytest.mark.parametrize("kind", OPEN)
def test_what_leaves_a_face_open_is_seldom_counted_as_hiding(kind: str, picture: np.ndarray) -> None:
    made = [draw(picture, LANDMARKS, picture, np.random.default_rng(seed), (kind,)) for seed in range(DRAWS)]
    assert sum(max(drawn.eyes, drawn.mouth) < 0.2 for drawn in made) >= DRAWS * 2 / 3


def test_glasses_turn_with_the_head(picture: np.ndarray) -> None:
    turned = LANDMARKS.copy()
    turned[2, 0] = 34  # the nose beside the left eye
    assert head_of(LANDMARKS).yaw == pytest.approx(0.04, abs=0.1)
    head = head_of(turned)
    assert head.yaw > 0.6
    near, far = (abs(head.at(side, 0.0)[0] - head.at(0, 0)[0]) for side in (-0.9, 0.9))
    assert near > 1.3 * far
    assert Scene(picture, turned, picture, np.random.default_rng(0)).hidden() == (0, 0)


def test_the_same_seed_draws_the_same(picture: np.ndarray) -> None:
    for make in (draw_hidden, draw_open, draw_beside):
        one, two = (make(picture, LANDMARKS, picture, np.random.default_rng(3)) for _ in range(2))
        assert (one.picture == two.picture).all()
        assert (one.eyes, one.mouth) == (two.eyes, two.mouth)


def test_what_lies_beside_a_face_hides_nothing(picture: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    made = [draw_beside(picture, LANDMARKS, picture, rng) for _ in range(DRAWS)]
    assert {(drawn.eyes, drawn.mouth) for drawn in made} == {(0.0, 0.0)}
    assert any((drawn.picture != picture).any() for drawn in made)


def test_a_camera_keeps_the_size(picture: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    made = np.stack([taken(picture, rng) for _ in range(40)])
    assert made.shape == (40, 48, 48)
    assert made.dtype == np.uint8
    assert made.mean((1, 2)).std() > 10


def test_the_picture_of_the_docs_has_every_kind() -> None:
    kinds = len(HIDING) + len(OPEN)
    assert sheet().shape == (kinds // COLUMNS * 2 * SHOWN, COLUMNS * SHOWN)
    assert kinds % COLUMNS == 0

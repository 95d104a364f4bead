"""Augmentation stays in range, depends on its generator alone, and does what each strength says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_batch.settings import AugmentSettings
from fer_batch.training.augment import augment

OFF = dict.fromkeys(("flip", "rotation", "scale", "shift", "brightness", "contrast", "erase"), 0.0)


def pictures(n: int = 16) -> torch.Tensor:
    return torch.randint(
        0, 256, (n, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def run(settings: AugmentSettings, n: int = 16, seed: int = 1) -> torch.Tensor:
    return augment(pictures(n), settings, torch.Generator().manual_seed(seed))


@given(
    flip=st.floats(0, 1),
    rotation=st.floats(0, 180),
    scale=st.floats(0, 0.9),
    shift=st.floats(0, 1),
    light=st.floats(0, 0.9),
    erase=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25, deadline=None)
def test_any_strength_gives_pixels(
    flip: float, rotation: float, scale: float, shift: float, light: float, erase: float, seed: int
) -> None:
    result = run(AugmentSettings(flip, rotation, scale, shift, light, light, erase), n=4, seed=seed)
    assert result.shape == (4, 1, 48, 48)
    assert result.dtype == torch.float32
    assert float(result.min()) >= 0
    assert float(result.max()) <= 255 + 1e-3


def test_all_off_changes_nothing() -> None:
    torch.testing.assert_close(run(AugmentSettings(**OFF)), pictures().float(), atol=1e-2, rtol=0)


def test_flip_mirrors_left_and_right() -> None:
    result = run(AugmentSettings(**OFF | {"flip": 1.0}))
    torch.testing.assert_close(result, pictures().float().flip(3), atol=1e-2, rtol=0)


def test_flip_happens_as_often_as_it_says() -> None:
    result = run(AugmentSettings(**OFF | {"flip": 0.3}), n=2000)
    mirrored = (result - pictures(2000).float().flip(3)).abs().amax((1, 2, 3)) < 1
    assert 0.25 < float(mirrored.float().mean()) < 0.35


def test_the_same_generator_gives_the_same_pictures() -> None:
    assert torch.equal(run(AugmentSettings(), seed=5), run(AugmentSettings(), seed=5))
    assert not torch.equal(run(AugmentSettings(), seed=5), run(AugmentSettings(), seed=6))


def test_rotation_keeps_the_aspect_and_turns_by_the_angle() -> None:
    bar = torch.zeros(64, 1, 48, 48, dtype=torch.uint8)
    bar[:, :, 22:26, 4:44] = 255
    result = augment(bar, AugmentSettings(**OFF | {"rotation": 30.0}), torch.Generator().manual_seed(0))
    rows, columns = torch.meshgrid(torch.arange(48.0) - 23.5, torch.arange(48.0) - 23.5, indexing="ij")
    weight = result[:, 0] / result[:, 0].sum((1, 2), keepdim=True)
    spread = [(weight * product).sum((1, 2)) for product in (columns**2, rows**2, rows * columns)]
    angle = torch.rad2deg(torch.atan2(2 * spread[2], spread[0] - spread[1]) / 2)
    assert 20 < float(angle.abs().max()) <= 31
    length = (spread[0] + spread[1]).sqrt()
    assert float(length.std() / length.mean()) < 0.02


def test_erasing_blanks_a_rectangle_of_the_stated_area() -> None:
    changed = (run(AugmentSettings(**OFF | {"erase": 1.0}), n=500) - pictures(500).float()).abs() > 0.5
    share = changed.float().mean((1, 2, 3))
    assert float(share.min()) > 0.01
    assert float(share.max()) < 0.22
    assert float(share.mean()) == pytest.approx(0.11, abs=0.02)


def test_brightness_and_contrast_move_mean_and_spread() -> None:
    gray = torch.full((200, 1, 48, 48), 128, dtype=torch.uint8)
    gray[:, :, :, 24:] = 108
    lit = augment(gray, AugmentSettings(**OFF | {"brightness": 0.1}), torch.Generator().manual_seed(0))
    means = lit.mean((1, 2, 3)) - 118
    assert 20 < float(means.abs().max()) <= 25.6
    stretched = augment(gray, AugmentSettings(**OFF | {"contrast": 0.5}), torch.Generator().manual_seed(0))
    spread = stretched[:, 0, 0, 0] - stretched[:, 0, 0, -1]
    assert 10 <= float(spread.min()) < 12
    assert 28 < float(spread.max()) <= 30
    torch.testing.assert_close(stretched.mean((1, 2, 3)), torch.full((200,), 118.0), atol=0.1, rtol=0)

"""Augmentation stays in range, depends on its generator alone, and does what each strength says."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_batch.settings import AugmentSettings
from fer_batch.training.augment import degrade, draw_mixing, draw_moves, move, shrink

OFF = {field.name: 0.0 for field in dataclasses.fields(AugmentSettings)}


def pictures(n: int = 16) -> torch.Tensor:
    return torch.randint(
        0, 256, (n, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def augment(pixels: torch.Tensor, settings: AugmentSettings, generator: torch.Generator) -> torch.Tensor:
    return degrade(move(pixels, draw_moves(len(pixels), settings, generator)), settings, generator)


def run(settings: AugmentSettings, n: int = 16, seed: int = 1) -> torch.Tensor:
    return augment(pictures(n), settings, torch.Generator().manual_seed(seed))


SHARE = st.floats(0, 1)
STRENGTHS = {
    "flip": SHARE,
    "rotation": st.floats(0, 180),
    "scale": st.floats(0, 0.9),
    "shift": SHARE,
    "brightness": SHARE,
    "contrast": st.floats(0, 0.9),
    "blur": st.floats(0, 3),
    "noise": st.floats(0, 50),
    "erase": SHARE,
}


@given(strengths=st.fixed_dictionaries(STRENGTHS), seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_any_strength_gives_pixels(strengths: dict[str, float], seed: int) -> None:
    result = run(AugmentSettings(**strengths), n=4, seed=seed)
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


def test_blur_takes_detail_from_half_of_the_pictures_and_keeps_their_mean() -> None:
    result = run(AugmentSettings(**OFF | {"blur": 2.0}), n=400)
    before = pictures(400).float()
    blurred = result.std((1, 2, 3)) < 0.9 * before.std((1, 2, 3))
    assert 0.4 < float(blurred.float().mean()) < 0.6
    torch.testing.assert_close(result.mean((1, 2, 3)), before.mean((1, 2, 3)), atol=2.0, rtol=0)
    # Noise of one gray level a pixel leaves this much after a Gaussian of 2 pixels: 1 / (2 sigma sqrt(pi)).
    smallest = float((result.std((1, 2, 3)) / before.std((1, 2, 3))).min())
    assert smallest == pytest.approx(1 / (2 * 2.0 * math.pi**0.5), rel=0.15)


def test_noise_falls_on_half_of_the_pictures_up_to_its_strength() -> None:
    gray = torch.full((400, 1, 48, 48), 128, dtype=torch.uint8)
    noisy = augment(gray, AugmentSettings(**OFF | {"noise": 10.0}), torch.Generator().manual_seed(0))
    spread = noisy.std((1, 2, 3))
    assert 0.4 < float((spread > 0.1).float().mean()) < 0.6
    assert 9 < float(spread.max()) < 10.5


def test_mixup_mixes_pictures_and_targets_in_the_same_shares() -> None:
    values = torch.arange(64.0)
    plain = values.view(64, 1, 1, 1).expand(64, 1, 48, 48)
    targets = torch.nn.functional.one_hot(torch.arange(64), 64).float()
    mix = draw_mixing(64, 0.4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(mix(targets) @ values, mix(plain)[:, 0, 0, 0])
    torch.testing.assert_close(mix(targets).sum(1), torch.ones(64))
    again = draw_mixing(64, 0.4, torch.Generator().manual_seed(0))
    assert torch.equal(mix(plain), again(plain))
    assert not torch.equal(mix(plain), plain)


def test_no_mixup_mixes_nothing() -> None:
    values = torch.arange(8.0)
    assert draw_mixing(8, 0.0, torch.Generator())(values) is values


def test_shrink_averages() -> None:
    stripes = torch.zeros(1, 1, 48, 48)
    stripes[..., ::2] = 200
    assert shrink(stripes, 48) is stripes
    small = shrink(stripes, 24)
    assert small.shape == (1, 1, 24, 24)
    torch.testing.assert_close(small[..., 4:-4], torch.full((1, 1, 24, 16), 100.0), atol=1.0, rtol=0)

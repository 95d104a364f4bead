"""Random changes to whole batches of pictures, on the device where they lie."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

from fer_batch.settings import AugmentSettings

# Zhong et al. 2020, "Random Erasing Data Augmentation": area and aspect ratio of the blank.
_ERASED_AREA = (0.02, 0.20)
_ERASED_ASPECT = (0.3, 1 / 0.3)
_HARMED = 0.5
"""Share of the pictures that are blurred, and of those that get noise."""
_BLURS = 4
"""Different strengths of blur in a batch."""


def draw_moves(n: int, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Draw how pictures are mirrored, turned, zoomed and shifted, each its own way.

    Args:
        n: how many.
        settings: how strongly.
        generator: on the CPU, so that every device draws the same numbers.

    Returns:
        float32 [n, 2, 3], on the CPU: for `affine_grid`, from places in the result to places in the picture.
    """
    mirror = torch.where(torch.rand(n, generator=generator) < settings.flip, -1.0, 1.0)
    angle = _uniform(n, -1, 1, generator) * math.radians(settings.rotation)
    zoom = 1 + _uniform(n, -1, 1, generator) * settings.scale
    # affine_grid's coordinates run from -1 to 1: a share of the side is twice as much there.
    shift_x, shift_y = (_uniform(n, -1, 1, generator) * 2 * settings.shift for _ in range(2))
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = [torch.stack([cos * mirror, -sin, shift_x], 1), torch.stack([sin * mirror, cos, shift_y], 1)]
    return torch.stack(rows, 1)


def move(pixels: Tensor, moves: Tensor) -> Tensor:
    """Move pictures, uint8 [N, 1, S, S], as drawn, in one resampling; the border is repeated outwards.

    Returns:
        float32 [N, 1, S, S], 0–255.
    """
    pictures = pixels.float()
    grid = F.affine_grid(moves.to(pictures.device), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def degrade(pictures: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Relight pictures, blur them, add noise and blank parts, each picture its own way.

    Args:
        pictures: float32 [N, 1, S, S], 0–255, on any device.
        settings: how strongly.
        generator: on the CPU.

    Returns:
        float32 [N, 1, S, S], 0–255, on the same device.
    """
    pictures = _relight(pictures, settings, generator)
    if settings.blur:
        pictures = _blur(pictures, settings.blur, generator)
    if settings.noise:
        pictures = _add_noise(pictures, settings.noise, generator)
    return _erase(pictures, settings.erase, generator)


def draw_mixing(n: int, alpha: float, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Draw how each of n pictures is laid over another of the batch (Zhang et al. 2018).

    Args:
        n: the size of the batch.
        alpha: each picture's share is drawn from Beta(alpha, alpha); small values mix little, 0 nothing.
        generator: on the CPU.

    Returns:
        A function that mixes tensors of n rows: pictures and targets alike.
    """
    if not alpha:
        return lambda values: values
    order = torch.randperm(n, generator=generator)
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    share = torch.from_numpy(rng.beta(alpha, alpha, n).astype(np.float32))

    def mix(values: Tensor) -> Tensor:
        own = share.to(values.device).view(n, *[1] * (values.ndim - 1))
        return values * own + values[order.to(values.device)] * (1 - own)

    return mix


def shrink(pictures: Tensor, size: int) -> Tensor:
    """The pictures at another side: float32 [N, 1, size, size], each pixel an average of those it covers."""
    if pictures.shape[-1] == size:
        return pictures
    return F.interpolate(pictures, (size, size), mode="bilinear", antialias=True, align_corners=False)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def _relight(pictures: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Stretch the contrast about each picture's mean, then add brightness."""
    n = len(pictures)
    contrast = (1 + _uniform(n, -1, 1, generator) * settings.contrast).view(n, 1, 1, 1).to(pictures.device)
    brightness = (_uniform(n, -1, 1, generator) * settings.brightness * 255).view(n, 1, 1, 1)
    means = pictures.mean((1, 2, 3), keepdim=True)
    return ((pictures - means) * contrast + means + brightness.to(pictures.device)).clamp_(0, 255)


def _blur(pictures: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Blur some pictures, each with one of a few Gaussians up to the largest standard deviation."""
    n, radius = len(pictures), math.ceil(2 * largest)
    sigmas = (largest * torch.arange(1, _BLURS + 1) / _BLURS).clamp_(min=1e-3)
    places = torch.arange(-radius, radius + 1)
    kernels = torch.softmax(-(places**2) / (2 * sigmas[:, None] ** 2), 1).to(pictures.device)
    # Every Gaussian over every picture, along rows and then columns, is cheaper than one kernel a picture.
    blurred = F.pad(pictures, [radius] * 4, mode="replicate")
    blurred = F.conv2d(blurred, kernels.view(_BLURS, 1, 1, -1))
    blurred = F.conv2d(blurred, kernels.view(_BLURS, 1, -1, 1), groups=_BLURS)
    which = torch.randint(_BLURS, (n,), generator=generator)
    chosen = (torch.rand(n, generator=generator) < _HARMED).view(n, 1, 1, 1)
    one_each = blurred[torch.arange(n), which.to(pictures.device), None]
    return torch.where(chosen.to(pictures.device), one_each, pictures)


def _add_noise(pictures: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise to some pictures, each of its own standard deviation in gray levels."""
    n = len(pictures)
    chosen = torch.rand(n, generator=generator) < _HARMED
    sigma = torch.where(chosen, _uniform(n, 0, largest, generator), 0.0).view(n, 1, 1, 1)
    if pictures.device.type != "cpu":
        # A number a pixel: drawn where the pictures are, for to carry them there takes longer than to train.
        seed = int(torch.randint(2**62, (), generator=generator))
        generator = torch.Generator(pictures.device).manual_seed(seed)
    noise = torch.randn(pictures.shape, generator=generator, device=pictures.device)
    return (pictures + noise * sigma.to(pictures.device)).clamp_(0, 255)


def _erase(pictures: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Fill one rectangle a picture with one random gray, in a share of the pictures."""
    n, side = len(pictures), pictures.shape[-1]
    area = _uniform(n, *_ERASED_AREA, generator)
    aspect = torch.exp(_uniform(n, math.log(_ERASED_ASPECT[0]), math.log(_ERASED_ASPECT[1]), generator))
    height, width = torch.sqrt(area * aspect).clamp_(max=1), torch.sqrt(area / aspect).clamp_(max=1)
    top, left = (torch.rand(n, generator=generator) * (1 - extent) for extent in (height, width))
    gray = _uniform(n, 0, 255, generator).view(n, 1, 1, 1)
    chosen = torch.rand(n, generator=generator) < probability
    place = (torch.arange(side) + 0.5) / side
    rows = (place >= top[:, None]) & (place < (top + height)[:, None])
    columns = (place >= left[:, None]) & (place < (left + width)[:, None])
    blank = (rows[:, :, None] & columns[:, None, :] & chosen[:, None, None])[:, None]
    return torch.where(blank.to(pictures.device), gray.to(pictures.device), pictures)

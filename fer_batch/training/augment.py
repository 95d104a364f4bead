"""Random changes to whole batches of pictures, on the device where they lie."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

from fer_batch.settings import AugmentSettings

# Zhong et al. 2020, "Random Erasing Data Augmentation": area and aspect ratio of the blank.
_ERASED_AREA = (0.02, 0.20)
_ERASED_ASPECT = (0.3, 1 / 0.3)


def augment(pixels: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Mirror, move, turn, zoom, relight and blank parts of pictures, each picture its own way.

    Args:
        pixels: uint8 [N, 1, S, S], on any device.
        settings: how strongly.
        generator: on the CPU, so that every device draws the same numbers.

    Returns:
        float32 [N, 1, S, S], 0–255, on the device of `pixels`.
    """
    pictures = _move(pixels.float(), settings, generator)
    pictures = _relight(pictures, settings, generator)
    return _erase(pictures, settings.erase, generator)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def _move(pictures: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Mirror, rotate, scale and shift in one resampling; the border is repeated outwards."""
    n = len(pictures)
    mirror = torch.where(torch.rand(n, generator=generator) < settings.flip, -1.0, 1.0)
    angle = _uniform(n, -1, 1, generator) * math.radians(settings.rotation)
    zoom = 1 + _uniform(n, -1, 1, generator) * settings.scale
    # affine_grid's coordinates run from -1 to 1: a share of the side is twice as much there.
    shift_x, shift_y = (_uniform(n, -1, 1, generator) * 2 * settings.shift for _ in range(2))
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = [torch.stack([cos * mirror, -sin, shift_x], 1), torch.stack([sin * mirror, cos, shift_y], 1)]
    matrices = torch.stack(rows, 1).to(pictures.device)
    grid = F.affine_grid(matrices, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _relight(pictures: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Stretch the contrast about each picture's mean, then add brightness."""
    n = len(pictures)
    contrast = (1 + _uniform(n, -1, 1, generator) * settings.contrast).view(n, 1, 1, 1).to(pictures.device)
    brightness = (_uniform(n, -1, 1, generator) * settings.brightness * 255).view(n, 1, 1, 1)
    means = pictures.mean((1, 2, 3), keepdim=True)
    return ((pictures - means) * contrast + means + brightness.to(pictures.device)).clamp_(0, 255)


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

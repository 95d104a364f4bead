"""The networks that can be trained, by name.

Every network takes gray pictures as pixels, 0–255, and gives one row of logits a head: the
normalisation is its first layer, so that nobody can forget it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from fer_batch.emotions import LABELS
from fer_batch.settings import ArchitectureName, Head, TrainSettings

INPUT_SIZE = 48
"""Side of the square input in pixels: FER2013's own."""

PIXEL_MEAN = 0.5075 * 255
"""Mean of all pixels of FER2013's training and public test rows."""
PIXEL_STD = 0.2550 * 255
"""Standard deviation of the same pixels."""


class Normalise(nn.Module):
    """Pixels, 0–255 in any dtype, to float32 of mean 0 and standard deviation 1 over FER2013."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Return `(pixels - mean) / std`, same shape."""
        return (pixels.float() - PIXEL_MEAN) / PIXEL_STD


class Network(nn.Module):
    """A trunk that turns pictures into features, and one linear head for each source of labels.

    Args:
        trunk: float32 [N, 1, 48, 48] to float32 [N, F].
        features: F.
        heads: names of the label sources.
    """

    def __init__(self, trunk: nn.Module, features: int, heads: Sequence[Head]) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.trunk = trunk
        self.heads = nn.ModuleDict({head: nn.Linear(features, len(LABELS)) for head in heads})

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Logits of each head.

        Args:
            pixels: uint8 or float [N, 1, 48, 48], gray, 0–255.

        Returns:
            For each head, float [N, 7] in the order of `Emotion`.
        """
        features = self.trunk(self.normalise(pixels))
        return {name: head(features) for name, head in self.heads.items()}


def _he_normal(weight: Tensor) -> None:
    """Fill a weight from Keras' `he_normal` (He et al. 2015): a normal cut off at two deviations.

    Cutting shrinks the deviation to 0.8796 of what it was, which Keras makes up for, and so do we.
    """
    fan_in = weight[0].numel()
    std = math.sqrt(2 / fan_in) / 0.87962566103423978
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


class _KerasBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with Keras' momentum 0.99 and epsilon 1e-3, of 4-d input."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3, momentum=0.01)


class _KerasBatchNorm1d(nn.BatchNorm1d):
    """The same of 2-d input."""

    def __init__(self, features: int) -> None:
        super().__init__(features, eps=1e-3, momentum=0.01)


def cnn7(settings: TrainSettings, heads: Sequence[Head]) -> Network:
    """The classic seven-block FER2013 network of the Keras tutorials.

    Blocks 1–4: two 3x3 convolutions of 32, 64, 128 and 256 filters, each with ReLU and batch
    normalisation, then 2x2 max pooling and dropout. Blocks 5–6: dense 64, ReLU, batch
    normalisation, dropout. Block 7: dense 7 (the softmax is in the loss).
    """
    layers: list[nn.Module] = []
    channels = 1
    for filters in (32, 64, 128, 256):
        for _ in range(2):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), _KerasBatchNorm2d(filters)]
            channels = filters
        layers += [nn.MaxPool2d(2), nn.Dropout(settings.block_dropout)]
    layers.append(nn.Flatten())
    features = channels * (INPUT_SIZE // 16) ** 2
    for _ in range(2):
        layers += [nn.Linear(features, 64), nn.ReLU(), _KerasBatchNorm1d(64), nn.Dropout(settings.dropout)]
        features = 64
    network = Network(nn.Sequential(*layers), features, heads)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            _he_normal(module.weight)
            nn.init.zeros_(module.bias)  # pyright: ignore[reportArgumentType] - these layers have one
    return network


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from all channels' means (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the scaled maps, [N, C, H, W] as given."""
        means = maps.mean((2, 3), keepdim=True)
        return maps * torch.sigmoid(self.excite(torch.relu(self.squeeze(means))))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a squeeze-excite gate around a shortcut (He et al. 2016).

    Where the shape changes, the shortcut averages before it projects (ResNet-D, He et al. 2019), so
    that no input is dropped.
    """

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            SqueezeExcite(filters),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != filters:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
                nn.Conv2d(channels, filters, 1, bias=False),
                nn.BatchNorm2d(filters),
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of `filters` channels, height and width divided by the stride."""
        return torch.relu(self.body(maps) + self.shortcut(maps))


_CHANNELS = (32, 64, 128, 256)
"""Of the first convolution and of the blocks at each size, at width 1."""
_SHARED = 8
"""Channels are multiples of it: processors multiply so many at once."""


def se_resnet(settings: TrainSettings, heads: Sequence[Head]) -> Network:
    """A small residual network with squeeze-excite.

    By default it has 2.8 million weights and 230 million multiply-adds; both grow with the square of `width`.

    The picture is halved right after the first convolution, for on CPUs maps of full size cost much memory
    traffic, or after `settings.full_blocks` blocks. Then `settings.depth` blocks each at 24, 12 and 6 pixels.
    """
    stem, *blocks = (_SHARED * max(1, round(channels * settings.width / _SHARED)) for channels in _CHANNELS)
    layers: list[nn.Module] = [
        nn.Conv2d(1, stem, 3, padding=1, bias=False),
        nn.BatchNorm2d(stem),
        nn.ReLU(),
        *(ResidualBlock(stem, stem, stride=1) for _ in range(settings.full_blocks)),
        nn.MaxPool2d(2),
    ]
    channels = stem
    for number, filters in enumerate(blocks):
        layers.append(ResidualBlock(channels, filters, stride=1 if number == 0 else 2))
        layers += [ResidualBlock(filters, filters, stride=1) for _ in range(settings.depth - 1)]
        channels = filters
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(settings.dropout)]
    return Network(nn.Sequential(*layers), channels, heads)


class Architecture(Protocol):
    """A function that builds an untrained network with the named heads."""

    def __call__(self, settings: TrainSettings, heads: Sequence[Head], /) -> Network:
        """Build the network; the caller has seeded PyTorch."""
        ...


ARCHITECTURES: dict[ArchitectureName, Architecture] = {"cnn7": cnn7, "se_resnet": se_resnet}

FIXED_SIZE: frozenset[ArchitectureName] = frozenset({"cnn7"})
"""Those whose dense layers follow from the size of the picture; the others take any multiple of 8."""


def build_network(settings: TrainSettings, heads: Sequence[Head]) -> Network:
    """The untrained network that `settings.arch` names; the caller has seeded PyTorch."""
    return ARCHITECTURES[settings.arch](settings, heads)

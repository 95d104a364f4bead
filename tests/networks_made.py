"""Model files of networks that have learned next to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from fer_batch.model.architectures import Network, build_network
from fer_batch.model.crop_geometry import FER2013_CROP
from fer_batch.model.export import export_onnx
from fer_batch.model.onnx_file import ModelCard
from fer_batch.settings import Head, TrainSettings, build

BOTH_HEADS: tuple[Head, ...] = ("fer2013", "crowd")
_TEMPERATURES: dict[Head, float] = {"fer2013": 1.25, "crowd": 0.8}


def trained_a_little(arch: str, heads: Sequence[Head] = BOTH_HEADS) -> Network:
    """A network whose batch statistics are not the initial ones, so that folding them is tested."""
    torch.manual_seed(1)
    network = build_network(build(TrainSettings, {"arch": arch}), list(heads)).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randint(0, 256, (32, 1, 48, 48), dtype=torch.uint8))
    return network.eval()


def write_model(path: Path, arch: str = "se_resnet", heads: Sequence[Head] = BOTH_HEADS) -> ModelCard:
    """Write such a network as a model file in float32; returns its card."""
    temperatures = {head: _TEMPERATURES[head] for head in heads}
    card = ModelCard(architecture=arch, heads=temperatures, crop=FER2013_CROP, figures={"val": {}})
    export_onnx(trained_a_little(arch, heads), card, path)
    return card

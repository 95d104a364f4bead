"""The table of a network's layers in the form that Keras made familiar."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from fer_batch.model.architectures import INPUT_SIZE, build_network
from fer_batch.settings import TrainSettings, build


class Layer(NamedTuple):
    """One layer: its path in the network and type, output shape without the batch, parameters."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    """Learned numbers; batch normalisation's running statistics are not learned."""


def layer_table(network: nn.Module) -> tuple[Layer, ...]:
    """The layers of a network in the order in which a picture passes them, dropout and all."""
    rows: list[Layer] = []
    hooks = []
    for path, module in network.named_modules():
        if any(module.children()):
            continue

        def note(layer: nn.Module, _: object, output: torch.Tensor, path: str = path) -> None:
            parameters = sum(weight.numel() for weight in layer.parameters())
            rows.append(Layer(f"{path} ({type(layer).__name__})", tuple(output.shape[1:]), parameters))

        hooks.append(module.register_forward_hook(note))
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 1, INPUT_SIZE, INPUT_SIZE, dtype=torch.uint8))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return tuple(rows)


def architecture_layers(name: str) -> tuple[Layer, ...]:
    """The layers of an architecture with the `fer2013` head, as the default settings build it."""
    return layer_table(build_network(build(TrainSettings, {"arch": name}), ["fer2013"]))

"""A network's forward and backward pass as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

Forward = Callable[[Tensor], dict[str, Tensor]]


class _Apart(nn.Module):
    """Recording replaces a module's `forward`: that of this one, and not the network's own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        return self.network(pictures)


def _recorded(network: nn.Module, shape: tuple[int, int, int, int], *, bf16: bool) -> Forward:
    """A network in training on CUDA, its hundreds of kernels launched as two graphs.

    Kernels of networks this small are done sooner than Python has launched the next. To autograd and to
    the optimizer it is the network; weights and batch statistics stay as they are.

    Args:
        network: on CUDA.
        shape: of every batch that will be given to it, [N, 1, S, S].
        bf16: whether to multiply in bfloat16; an autocast around the call has no say any more.

    Returns:
        A function of float32 pictures, 0–255, to the logits of each head.
    """
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sample = torch.zeros(shape, device="cuda").contiguous(memory_format=torch.channels_last)
    with torch.autocast("cuda", torch.bfloat16, enabled=bf16, cache_enabled=False):
        forward = torch.cuda.make_graphed_callables(_Apart(network).train(), (sample,))
    network.load_state_dict(before)  # recording has run a few batches through it
    return cast(Forward, forward)


class Passage:
    """How batches of training pictures go through a network: on CUDA recorded, once for each of their shapes.

    Args:
        network: in training, on the device.
        device: where it is.
        bf16: whether to multiply in bfloat16.
        compiled: whether PyTorch compiles it instead.
    """

    def __init__(self, network: nn.Module, device: torch.device, *, bf16: bool, compiled: bool) -> None:
        self._forward: Forward = torch.compile(network) if compiled else network
        self._record = device.type == "cuda" and not compiled
        self._network = network
        self._bf16 = bf16
        self._recorded: dict[tuple[int, int], Forward] = {}

    def of(self, n: int, size: int) -> Forward:
        """What takes batches of n pictures of this side, and gives the logits of each head."""
        if not self._record:
            return self._forward
        if (n, size) not in self._recorded:
            self._recorded[n, size] = _recorded(self._network, (n, 1, size, size), bf16=self._bf16)
        return self._recorded[n, size]

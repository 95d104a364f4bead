"""A trained network as the model file that needs no PyTorch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from fer_batch.model.architectures import INPUT_SIZE, Network
from fer_batch.model.onnx_file import INPUT_NAME, ModelCard, save_with_card


class _Ordered(nn.Module):
    """The network with a tuple for its dictionary: ONNX outputs are named by position."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(pixels).values())


def export_onnx(network: Network, card: ModelCard, path: Path) -> None:
    """Write a network as an ONNX file with its card, in fp32 and for any batch size.

    Args:
        network: on the CPU; put in evaluation mode here.
        card: its heads are the network's.
        path: where to write.

    Raises:
        OutputError: the file cannot be written.
    """
    ordered = _Ordered(network.eval()).eval()
    example = torch.zeros(2, 1, INPUT_SIZE, INPUT_SIZE, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    program = torch.onnx.export(
        ordered,
        (example,),
        dynamo=True,
        external_data=False,
        verbose=False,
        input_names=[INPUT_NAME],
        output_names=list(network.heads),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    save_with_card(cast(torch.onnx.ONNXProgram, program).model_proto.SerializeToString(), card, path)

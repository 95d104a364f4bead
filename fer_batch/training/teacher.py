"""Trained networks whose averaged probabilities are another network's targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from fer_batch.errors import ModelError, UsageError
from fer_batch.model.architectures import HEAD_PREFIX, Network, build_network
from fer_batch.model.checkpoint import load_checkpoint
from fer_batch.settings import Head, TrainSettings, build, load_toml
from fer_batch.storage import file_sha256


class Teacher:
    """Some run folders' best networks, asked together (Hinton et al. 2015).

    Args:
        runs: run folders of `train`.
        heads: the heads that must answer.
        device: where to ask them.

    Raises:
        UsageError: a folder is no run.
        ModelError: a checkpoint cannot be read, or lacks a head.
    """

    def __init__(self, runs: Sequence[str], heads: Sequence[Head], device: torch.device) -> None:
        self.heads = tuple(heads)
        self.networks = [_load(Path(run), self.heads).to(device) for run in runs]

    @torch.no_grad()
    def probabilities(self, pictures: Tensor, *, bf16: bool) -> dict[Head, Tensor]:
        """The mean over the networks of each head's probabilities.

        Args:
            pictures: float32 [N, 1, 48, 48], 0–255: the pictures that the pupil learns from.
            bf16: whether to multiply in bfloat16.

        Returns:
            For each head, float32 [N, 7].
        """
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=bf16):
            answers = [network(pictures) for network in self.networks]
        return {
            head: torch.stack([answer[head].float().softmax(1) for answer in answers]).mean(0)
            for head in self.heads
        }


def blend(
    targets: dict[Head, Tensor], taught: dict[Head, Tensor], teacher_weight: float
) -> dict[Head, Tensor]:
    """Targets, float32 [N, 7] for each head, of which the teacher's probabilities are the given share."""
    return {
        head: target.lerp(taught[head], teacher_weight) for head, target in targets.items() if head in taught
    }


def checksums(runs: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the weights of each run folder, by its name in the settings.

    Raises:
        UsageError: a folder is no run.
    """
    return {run: file_sha256(_weights(Path(run))) for run in runs}


def _weights(run: Path) -> Path:
    weights = run / "best.safetensors"
    if not weights.is_file():
        raise UsageError(f"teacher {run}: there is no {weights.name}; name run folders of `train`")
    return weights


def _load(run: Path, heads: Sequence[Head]) -> Network:
    tensors, _ = load_checkpoint(_weights(run))
    settings = build(TrainSettings, load_toml(run / "settings.toml"), origin=str(run / "settings.toml"))
    known: list[Head] = [head for head in ("fer2013", "crowd") if f"{HEAD_PREFIX}{head}.weight" in tensors]
    missing = [head for head in heads if head not in known]
    if missing:
        raise ModelError(f"teacher {run} has no head {', '.join(missing)}")
    network = build_network(settings, known).eval()
    network.load_state_dict(tensors)
    return network.to(memory_format=torch.channels_last)

"""What the settings mean to PyTorch: the optimizer, its schedule, the loss, the moving average."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fer_batch.emotions import LABELS
from fer_batch.errors import UsageError
from fer_batch.settings import Head, LossSettings, OptimizerSettings, TrainRuntime

_LAST_SHARE = 1e-3
"""Where the cosine ends, as a share of the peak learning rate."""
_SGD_MOMENTUM = 0.9


def choose_device(runtime: TrainRuntime) -> torch.device:
    """The device to train on.

    Raises:
        UsageError: CUDA is asked for and not there.
    """
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no CUDA device here; use --device cpu or auto")
    if runtime.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(runtime.device)


def uses_bf16(runtime: TrainRuntime, device: torch.device) -> bool:
    """Whether to multiply in bfloat16: 3 to 10 times faster where the hardware has it, slow elsewhere."""
    if runtime.precision != "auto":
        return runtime.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def build_optimizer(network: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The optimizer, with weight decay on weights of two dimensions and more only."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=_SGD_MOMENTUM, nesterov=True, fused=True
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
    return kind(groups, lr=settings.learning_rate, fused=True)


def learning_rate(step: int, total: int, settings: OptimizerSettings) -> float:
    """The learning rate of step `step` (0-based) of `total`: a function of nothing else, so it resumes."""
    if settings.schedule == "constant":
        return settings.learning_rate
    warm = max(1, round(total * settings.warmup))
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, total - warm)
    return settings.learning_rate * (_LAST_SHARE + (1 - _LAST_SHARE) * (1 + math.cos(math.pi * done)) / 2)


def class_weights(labels: Tensor) -> Tensor:
    """Inverse class frequencies, scaled so that their mean over the rows is 1; float32 [7].

    A class without rows gets weight 0: nothing can be lost on it.
    """
    counts = torch.bincount(labels, minlength=len(LABELS)).float()
    present = counts > 0
    weights = len(labels) / (present.sum() * counts.clamp(min=1))
    return torch.where(present, weights, torch.zeros_like(weights))


def training_loss(
    outputs: dict[str, Tensor], targets: dict[Head, Tensor], settings: LossSettings, weights: Tensor | None
) -> Tensor:
    """Cross-entropy of every head on its own targets, averaged over the batch and added up.

    Args:
        outputs: logits of each head, [N, 7].
        targets: float32 [N, 7] for each head; a row that sums to less than 1 weighs less.
        settings: smoothing and the crowd head's share.
        weights: of the classes, float32 [7], for the `fer2013` head; a row weighs what its target's mean
            class does.
    """
    logits, target = outputs["fer2013"].float(), targets["fer2013"]
    if weights is None:
        loss = F.cross_entropy(logits, target, label_smoothing=settings.label_smoothing)
    else:
        # PyTorch's own `weight` multiplies each class of a target, which draws a smoothed one to the rare.
        rows = F.cross_entropy(logits, target, label_smoothing=settings.label_smoothing, reduction="none")
        loss = (rows * (target * weights).sum(1)).mean()
    if "crowd" in outputs:
        crowd = F.cross_entropy(outputs["crowd"].float(), targets["crowd"])
        loss = loss + settings.crowd_weight * crowd
    return loss


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move an exponential moving average towards a network: weights and batch statistics alike.

    The decay starts small and grows with the steps, so that the first epochs are not dominated by
    the untrained network.
    """
    moved: tuple[list[Tensor], list[Tensor]] = ([], [])
    for kept, current in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            moved[0].append(kept)
            moved[1].append(current)
        else:
            kept.copy_(current)
    # All in a few kernels: one for each of the hundred tensors takes CUDA as long as a small network's step.
    get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))(*moved, None)

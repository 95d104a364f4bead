"""Training a classifier on a data set folder, and measuring one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_batch.training.evaluation import evaluate

if TYPE_CHECKING:
    from fer_batch.training.loop import train

__all__ = ["evaluate", "train"]


def __getattr__(name: str) -> object:
    """Load `train` on first use: measuring a model needs no PyTorch, and runs without it."""
    if name == "train":
        from fer_batch.training.loop import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

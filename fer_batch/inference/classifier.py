"""Expressions of face crops."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer_batch.emotions import LABELS
from fer_batch.errors import ModelError
from fer_batch.inference.session import ON_CPU, Runtime, open_network
from fer_batch.model.onnx_file import INPUT_NAME, ModelCard, load_card
from fer_batch.model.prior import Adjustment, needs_shares, probabilities
from fer_batch.settings import ExpectedShares, Head, HeadChoice, Prior


class Classifies(Protocol):
    """What turns face crops into probabilities."""

    @property
    def card(self) -> ModelCard:
        """Input size, crop geometry, temperatures and figures of the model."""
        ...

    @property
    def batch_size(self) -> int:
        """How many pictures are read in one pass."""
        ...

    def probabilities(self, crops: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """Probabilities of the seven expressions: uint8 [N, S, S] to float32 [N, 7]."""
        ...


_BATCH_SIZES = {"cpu": 64, "cuda": 1024}
"""On CUDA a batch is as good as free until it fills the device."""


class Classifier:
    """A model file at work.

    Args:
        model: path of a model file made by fer-batch.
        head: which of its label sources to read; `auto` is `crowd` where the model has it.
        prior: the shares of the expressions to expect.
        batch_size: pictures in one pass; memory grows with it, results do not depend on it beyond
            the rounding of float32. Of 8-bit files, a value that lies halfway between two integers may
            then fall to either. None is what suits the device.
        runtime: backend and device.

    Attributes:
        card: what the file says of itself.
        head: the head that is read.
        batch_size: pictures in one pass.

    Raises:
        ModelError: the file cannot be used, has no such head, or does not know what the prior needs.
    """

    def __init__(
        self,
        model: Path,
        *,
        head: HeadChoice = "auto",
        prior: Prior = "training",
        batch_size: int | None = None,
        runtime: Runtime = ON_CPU,
    ) -> None:
        self.card = load_card(model)
        self.head: Head = self.card.chosen_head(head, str(model))
        self._expected = _expected(self.card, self.head, prior, str(model))
        self._network = open_network(model, runtime)
        self.batch_size = batch_size or _BATCH_SIZES[runtime.device]

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of gray crops, uint8 [N, S, S] with S the card's input size: float32 [N, 7]."""
        parts = [np.empty((0, len(LABELS)), np.float32)]
        for start in range(0, len(crops), self.batch_size):
            batch = crops[start : start + self.batch_size, None]
            parts.append(self._network.run([self.head], {INPUT_NAME: batch})[0])
        return np.concatenate(parts)

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities under the prior, float32 [N, 7] in `Emotion` order."""
        logits = self.logits(crops) / np.float32(self.card.heads[self.head])
        return probabilities(logits, self.card.shares.get(self.head), self._expected)


def _expected(card: ModelCard, head: Head, prior: Prior, origin: str) -> Adjustment | ExpectedShares | None:
    """What `probabilities` needs to know of a prior; None where the answers stay as they are.

    Raises:
        ModelError: the card does not know the training shares, which the prior needs.
    """
    if not needs_shares(prior, head):
        return None
    adjustment = prior if isinstance(prior, ExpectedShares) else card.priors.get(head, {}).get(prior)
    if head not in card.shares or adjustment is None:
        raise ModelError(
            f"{origin} does not know how frequent each expression was in its training, which the prior needs:"
            " train it again, or read with the prior `training`"
        )
    return adjustment

"""Probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax, softmax

from fer_batch.dataset import Split
from fer_batch.figures.metrics import ReferenceName, compare_with, measure
from fer_batch.inference.classifier import Classifier
from fer_batch.model.onnx_file import ModelCard
from fer_batch.model.prior import POWERS, Adjustment, adjusted_logits
from fer_batch.settings import Head, PriorName
from fer_batch.training.evaluation import head_labels

_RANGE = (0.2, 5.0)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that makes softmax(logits / T) most likely (Guo et al. 2017).

    It weighs all seven probabilities, as `filter` uses them. For the confidence alone see
    `consistent_temperature`.

    Args:
        logits: float32 [N, 7].
        labels: int64 [N], 0–6.

    Returns:
        T between 0.2 and 5; it changes no ranking. Without rows 1, which changes nothing.
    """
    if not len(labels):
        return 1.0

    def loss(temperature: float) -> float:
        return -float(log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean())

    found: Any = minimize_scalar(loss, bounds=_RANGE, method="bounded")  # SciPy has no types of its own
    return round(float(found.x), 4)


def consistent_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which the mean confidence is the accuracy, or the accuracy that is to be expected.

    Expectation consistency (Clarté, Loureiro, Krzakala and Zdeborová 2023). The likeliest temperature has
    to do for all seven probabilities and may leave the highest one, which is what a table calls
    confidence, off by some points: benchmarks/calibration.py measures both.

    Args:
        logits: float32 [N, 7].
        labels: int64 [N], 0–6; or, float [N, 7], how probable it is that each expression is the label.

    Returns:
        T between 0.2 and 5, the nearer end where no T between them does it; it changes no ranking.
        Without rows 1, which changes nothing.
    """
    if not len(labels):
        return 1.0
    predicted = logits.argmax(1)
    right = predicted == labels if labels.ndim == 1 else labels[np.arange(len(labels)), predicted]
    accuracy = float(right.mean(dtype=np.float64))

    def excess(temperature: float) -> float:
        return float(softmax(logits / temperature, axis=1).max(1).mean()) - accuracy

    coldest, hottest = _RANGE  # confidence falls as the temperature rises
    if excess(coldest) <= 0:
        return coldest
    if excess(hottest) >= 0:
        return hottest
    found: Any = brentq(excess, coldest, hottest)
    return round(float(found), 4)


@dataclass(frozen=True, eq=False)
class Reference:
    """Another model's answers, for a head that the data has no labels for.

    Attributes:
        name: whose they are.
        probabilities: float32 [N, 7], calibrated, of the pictures of the validation split.
    """

    name: ReferenceName
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What one head answers on a split, at the temperature that was fitted to it.

    Attributes:
        temperature: of the head, see `consistent_temperature`.
        probabilities: float32 [M, 7] at that temperature, of the pictures that the head is measured on.
        priors: how the answers are brought to other shares; none where the card has no training shares.
        figures: of those probabilities: against labels those of `measure`, against a reference those of
            `compare_with`.
    """

    temperature: float
    probabilities: NDArray[np.float32]
    priors: dict[PriorName, Adjustment]
    figures: dict[str, Any]


def calibrate(
    model: Path, val: Split, heads: Sequence[Head], references: Mapping[Head, Reference] | None = None
) -> dict[Head, Calibrated]:
    """Ask a model file for its answers on the validation split, and fit each head's temperatures to them.

    A head without labels of its own is calibrated against another model's calibrated answers: its mean
    confidence becomes the accuracy that its answers have if those probabilities are right.

    Args:
        model: the model file.
        val: the validation split.
        heads: those of the model.
        references: for each head without labels in `val`, what to hold it against.

    Raises:
        ModelError: the file cannot be used.
    """
    return {head: _calibrated(model, val, head, (references or {}).get(head)) for head in heads}


def _calibrated(model: Path, val: Split, head: Head, reference: Reference | None) -> Calibrated:
    classifier = Classifier(model, head=head)
    rows, labels = head_labels(val, head)
    truth: np.ndarray = labels
    if reference is not None:
        rows, truth = np.arange(len(val)), reference.probabilities
    logits = classifier.logits(val.images[rows])
    temperature = consistent_temperature(logits, truth)
    calibrated = logits / np.float32(temperature)
    probabilities = softmax(calibrated, axis=1).astype(np.float32)
    if reference is None:
        figures = measure(labels, probabilities)
    else:
        figures = compare_with(reference.name, reference.probabilities, probabilities)
    shares = classifier.card.shares.get(head)
    priors = {} if shares is None else _fit_priors(calibrated, truth, shares, head)
    return Calibrated(temperature, probabilities, priors, figures)


def _fit_priors(
    calibrated: np.ndarray, labels: np.ndarray, shares: tuple[float, ...], head: Head
) -> dict[PriorName, Adjustment]:
    """How answers at the head's own temperature are brought to each prior."""
    adjustments: dict[PriorName, Adjustment] = {}
    for prior, powers in POWERS.items():
        adjusted = adjusted_logits(calibrated, shares, powers[head])
        adjustments[prior] = Adjustment(powers[head], consistent_temperature(adjusted, labels))
    return adjustments


def calibrated_card(card: ModelCard, answers: Mapping[Head, Calibrated]) -> ModelCard:
    """The card with these temperatures, and with the figures under the training prior as `val`."""
    figures = {head: answer.figures for head, answer in answers.items()}
    temperatures = {head: answer.temperature for head, answer in answers.items()}
    priors = {head: answer.priors for head, answer in answers.items() if answer.priors}
    return replace(card, heads=temperatures, priors=priors, figures={"val": figures})

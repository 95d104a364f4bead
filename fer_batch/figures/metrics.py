"""How good a classifier is, as numbers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from fer_batch.emotions import LABELS, Emotion

ECE_BINS = 15
ReferenceName = Literal["teacher", "float32 model"]
"""Whose answers a head without labels is compared with: its teacher's, or those of the model that it was
rounded from."""


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts, int64 [7, 7]: rows are the true expressions, columns the predicted, in `Emotion` order."""
    return confusion_matrix(labels, predicted, labels=list(Emotion)).astype(np.int64)


def measure(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """What a classifier's probabilities are worth against known labels.

    Args:
        labels: int64 [N], 0–6.
        probabilities: float32 [N, 7], rows adding up to 1.

    Returns:
        A JSON-able dictionary: `n`; `accuracy`; `macro_f1` and `balanced_accuracy` (mean recall),
        both over the classes that occur among the labels; `loss`, the mean negative log-likelihood
        in nats; `ece`, see `expected_calibration_error`; `per_class`: precision, recall, F1 and
        support. All but `n`, `loss` and support lie in 0–1. Without rows every figure is None.
    """
    n = len(labels)
    if n == 0:
        empty = dict.fromkeys(("accuracy", "macro_f1", "balanced_accuracy", "loss", "ece"))
        return {"n": 0, **empty, "per_class": {}}
    predicted = probabilities.argmax(1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels,
        predicted,
        labels=list(Emotion),
        zero_division=0,  # pyright: ignore[reportArgumentType] - its stub says str
    )
    occurring = np.asarray(support) > 0
    likelihood = np.maximum(probabilities[np.arange(n), labels], np.finfo(np.float32).tiny)
    return {
        "n": n,
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": float(np.asarray(f1)[occurring].mean()),
        "balanced_accuracy": float(np.asarray(recall)[occurring].mean()),
        "loss": float(-np.log(likelihood.astype(np.float64)).mean()),
        "ece": expected_calibration_error(labels, probabilities),
        "per_class": {
            label: {
                "precision": float(np.asarray(precision)[index]),
                "recall": float(np.asarray(recall)[index]),
                "f1": float(np.asarray(f1)[index]),
                "support": int(np.asarray(support)[index]),
            }
            for index, label in enumerate(LABELS)
        },
    }


def compare_with(
    name: ReferenceName, reference: NDArray[np.float32], probabilities: NDArray[np.float32]
) -> dict[str, Any]:
    """How close a classifier's answers are to another's; no figure of it says which of them is right.

    Args:
        name: whose answers the other's are.
        reference: the other's probabilities, float32 [N, 7].
        probabilities: float32 [N, 7], of the same pictures.

    Returns:
        A JSON-able dictionary: `compared_with`, the name; `n`; `agreement`, the share of the pictures, 0–1,
        for which both name the same expression; `divergence`, the mean Kullback-Leibler divergence from the
        reference in nats. Without rows these two are None.
    """
    n = len(reference)
    if n == 0:
        return {"compared_with": name, "n": 0, "agreement": None, "divergence": None}
    smallest = np.finfo(np.float32).tiny
    p, q = (np.maximum(answers, smallest).astype(np.float64) for answers in (reference, probabilities))
    return {
        "compared_with": name,
        "n": n,
        "agreement": float((reference.argmax(1) == probabilities.argmax(1)).mean()),
        "divergence": float((p * np.log(p / q)).sum(1).mean()),
    }


def expected_calibration_error(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Mean gap between confidence and accuracy over 15 equally wide bins (Guo et al. 2017).

    The confidence is that of the most probable class; bins are weighed by how many rows they hold.
    """
    confidence = probabilities.max(1).astype(np.float64)
    correct = probabilities.argmax(1) == labels
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gaps = np.bincount(bins, confidence - correct, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def mcnemar(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> float:
    """Exact two-sided p-value of McNemar's test (1947): are two classifiers right equally often?

    Args:
        correct_a: bool [N], whether the one is right on each picture.
        correct_b: the other, on the same pictures.
    """
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b).pvalue)

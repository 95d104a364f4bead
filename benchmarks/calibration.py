"""Expected calibration error (15 bins) of a model with a temperature that it was not measured on.

    python benchmarks/calibration.py DATASET [--model default]

`val` is cut into two random halves; the temperature fitted on each is used on the other, and both are
pooled. Both ways to fit it are measured: the one that model files have (the mean confidence is the
accuracy), and the likeliest; the loss is that of the pooled halves. Beside them: what a perfectly
calibrated model of the same confidences would show, by simulation, for a calibration error of a finite
sample is never zero.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.special import softmax

from fer_batch.dataset import load_split
from fer_batch.figures.metrics import expected_calibration_error
from fer_batch.inference.classifier import Classifier
from fer_batch.model.onnx_file import load_card, resolve
from fer_batch.training.calibration import consistent_temperature, fit_temperature
from fer_batch.training.evaluation import head_labels

SEED = 0
SIMULATIONS = 1000
WAYS = {"confidence is accuracy": consistent_temperature, "likeliest": fit_temperature}


def main() -> None:
    """Measure every head and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="default")
    arguments = parser.parse_args()
    split, path = load_split(arguments.dataset, "val"), resolve(arguments.model)
    perfectly = f"perfectly calibrated: mean of {SIMULATIONS}"
    print(f"| head | pictures | temperature | ECE | {perfectly} | loss | temperatures |")
    print("|---|---|---|---|---|---|---|")
    for head in load_card(path).heads:
        rng = np.random.default_rng(SEED)
        rows, labels = head_labels(split, head)
        logits = Classifier(path, head=head).logits(split.images[rows])
        first = rng.permutation(len(rows)) < len(rows) // 2
        for way, fit in WAYS.items():
            pooled, temperatures = np.empty_like(logits), []
            for fitted in (first, ~first):
                temperatures.append(fit(logits[fitted], labels[fitted]))
                pooled[~fitted] = softmax(logits[~fitted] / temperatures[-1], axis=1)
            error = expected_calibration_error(labels, pooled)
            loss = -np.log(pooled[np.arange(len(labels)), labels]).mean()
            perfect = np.mean([simulated(pooled, rng) for _ in range(SIMULATIONS)])
            shown = ", ".join(f"{temperature:.3f}" for temperature in temperatures)
            print(f"| `{head}` | {len(rows)} | {way} | {error:.4f} | {perfect:.4f} | {loss:.4f} | {shown} |")


def simulated(probabilities: np.ndarray, rng: np.random.Generator) -> float:
    """The calibration error where labels are drawn from the very probabilities."""
    thresholds = rng.random((len(probabilities), 1))
    labels = (probabilities.cumsum(1) < thresholds).sum(1).clip(0, probabilities.shape[1] - 1)
    return expected_calibration_error(labels, probabilities)


if __name__ == "__main__":
    main()

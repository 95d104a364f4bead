"""How well out-of-fold models find wrong labels, and pictures that are no faces: FER+ knows both.

    python benchmarks/label_issues.py DATASET [--work DIR] [--folds N]

A label is wrong where at least half of the ten votes of FER+ are for another of the seven expressions, and
right where they are for it; rows without such a majority are left out. A picture is no face where at least
half of the votes say so. No network learns from votes. With --work, a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from fer_batch.cli.console import console
from fer_batch.dataset import crowd_majority, load_split
from fer_batch.emotions import LABELS
from fer_batch.quality.duplicates import describe, exact_groups, find_near, near_groups
from fer_batch.quality.out_of_fold import FOLDS, OutOfFold, out_of_fold
from fer_batch.settings import ThresholdSettings
from fer_batch.storage import VOTES

TOP = 1000
THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def main() -> None:
    """Judge the pictures of `train` and `val`, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--work", type=Path, help="where to train; kept")
    parser.add_argument("--folds", type=int, default=FOLDS)
    arguments = parser.parse_args()
    splits = [load_split(arguments.dataset, name) for name in ("train", "val")]
    pixels, labels = (
        np.concatenate([getattr(split, name) for split in splits]) for name in ("images", "labels")
    )
    votes = np.concatenate([split.votes for split in splits if split.votes is not None])
    exact = exact_groups(text for split in splits for text in split.sha256)
    groups = near_groups(
        exact, find_near(describe(pixels), pixels, exact), ThresholdSettings().near_duplicate
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, console(quiet=False, verbose=False) as progress:
        work = arguments.work or Path(scratch)
        found = out_of_fold(pixels, labels, groups, work, folds=arguments.folds, progress=progress)
    seconds = time.monotonic() - began
    majority = crowd_majority(votes)
    print(f"{len(labels)} pictures, {arguments.folds} folds, {seconds:.0f} s in this call")
    print(f"out-of-fold accuracy: label {(found.suggested == labels).mean():.2%}", end=", ")
    print(f"majority {(found.suggested == majority)[majority >= 0].mean():.2%}\n")
    print_labels(found, labels, majority)
    print_outliers(found, labels, majority, 2 * votes[:, VOTES.index("nf")] >= votes.sum(1))


def candidates(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, NDArray]:
    """Scores of Northcutt, Jiang & Chuang 2021 and of the library cleanlab, higher is worse."""
    n = np.arange(len(labels))
    own = probabilities[n, labels]
    # An expression's mean confidence on its own rows is what confident learning calls its threshold.
    thresholds = np.array([own[labels == label].mean() for label in range(len(LABELS))])
    adjusted = probabilities - thresholds + thresholds.max()
    adjusted /= adjusted.sum(1, keepdims=True)
    entropy = -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(1) / np.log(len(LABELS))
    return {
        "1 - p(label)": 1 - own,
        "normalised margin": _best_other(probabilities, labels) - own,
        "1 - p(label), adjusted": 1 - adjusted[n, labels],
        "normalised margin, adjusted": _best_other(adjusted, labels) - adjusted[n, labels],
        "confidence-weighted entropy": entropy / np.maximum(own, 1e-12),
    }


def _best_other(probabilities: NDArray, labels: NDArray[np.int64]) -> NDArray:
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return others.max(1)


def print_labels(found: OutOfFold, labels: NDArray[np.int64], majority: NDArray[np.int64]) -> None:
    """How each score ranks wrong labels, and what the chosen one finds at each threshold."""
    decided = majority >= 0
    wrong = (majority != labels)[decided]
    print(f"{decided.sum()} labels have a majority, {wrong.mean():.1%} of them are wrong\n")
    print(f"| score | AUROC | precision of the {TOP} highest |\n|---|---|---|")
    for name, scores in candidates(found.probabilities, labels).items():
        top = np.argsort(-scores[decided], kind="stable")[:TOP]
        print(f"| {name} | {roc_auc_score(wrong, scores[decided]):.4f} | {wrong[top].mean():.1%} |")
    print("\n| threshold | issues | precision | recall | suggestion is the majority |\n|---|---|---|---|---|")
    for threshold in THRESHOLDS:
        flags = found.label_issue >= threshold
        hits, agrees = flags[decided] & wrong, (found.suggested == majority)[decided]
        precision, recall = hits.sum() / flags[decided].sum(), hits.sum() / wrong.sum()
        print(f"| {threshold} | {flags.sum()} | {precision:.1%} | {recall:.1%} | {agrees[hits].mean():.1%} |")


def print_outliers(
    found: OutOfFold, labels: NDArray[np.int64], majority: NDArray[np.int64], no_face: NDArray[np.bool_]
) -> None:
    """How `outlier` ranks what is no face, and wrong labels."""
    decided, odd = majority >= 0, found.outlier
    wrong = (majority != labels)[decided]
    top = np.argsort(-odd, kind="stable")[: int(no_face.sum())]
    print(f"\noutlier: AUROC {roc_auc_score(no_face, odd):.4f} for what is no face,", end=" ")
    print(f"{no_face[top].sum()} of {no_face.sum()} among as many highest;", end=" ")
    print(f"{roc_auc_score(wrong, odd[decided]):.4f} for wrong labels")
    quantiles = (0.01, 0.5, 0.9, 0.95, 0.99, 0.995, 0.999, 1)
    print("quantiles:", ", ".join(f"{q:.1%} {np.quantile(odd, q):.3f}" for q in quantiles))


if __name__ == "__main__":
    main()

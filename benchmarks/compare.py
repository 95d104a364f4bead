"""Is one model better than another? Both on the same pictures, paired.

    fer-batch evaluate A DATASET out/a && fer-batch evaluate B DATASET out/b
    python benchmarks/compare.py out/a/predictions.parquet out/b/predictions.parquet

Prints both accuracies, how many pictures only the one and only the other reads right, the p-value of
McNemar's exact test, and a 95% interval of the difference from a paired bootstrap.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fer_batch.figures.metrics import mcnemar

SEED = 0
RESAMPLES = 10_000


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    arguments = parser.parse_args()
    (labels, a), (other_labels, b) = right(arguments.first), right(arguments.second)
    if labels != other_labels:
        parser.error("the two files are about different pictures, or other labels of them")
    first = np.array(list(a.values()))
    second = np.array([b[name] for name in a])
    rng = np.random.default_rng(SEED)
    difference = first.astype(np.int64) - second
    means = [rng.choice(difference, len(difference)).mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    print(f"{len(first)} pictures: {first.mean():.2%} and {second.mean():.2%}")
    print(
        f"only the first is right on {(first & ~second).sum()}, only the second on {(second & ~first).sum()}"
    )
    print(f"difference {difference.mean():+.2%}, 95% interval {low:+.2%} to {high:+.2%}")
    print(f"McNemar's exact test: p = {mcnemar(first, second):.2g}")


def right(path: Path) -> tuple[dict[str, int], dict[str, np.bool_]]:
    """The label of each picture, by its id, and whether it is read right."""
    table = pq.read_table(path, columns=["id", "label", "predicted"])
    ids, labels = table["id"].to_pylist(), table["label"].to_numpy()
    correct: NDArray[np.bool_] = labels == table["predicted"].to_numpy()
    return dict(zip(ids, labels.tolist(), strict=True)), dict(zip(ids, correct, strict=True))


if __name__ == "__main__":
    main()

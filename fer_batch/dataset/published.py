"""The class counts that were published for FER2013, to compare what was read with."""

from __future__ import annotations

from itertools import chain, combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fer_batch.dataset.dialects import USAGE_SPLITS, place
from fer_batch.emotions import LABELS

# Goodfellow et al. 2013, arXiv:1307.0414; in the order of `Emotion`.
_COUNTS = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}


def published_counts(splits: Literal["three", "two"]) -> dict[str, dict[str, int]]:
    """How many pictures each class of each split has in the published data set.

    Args:
        splits: `three`, or `two` for PublicTest and PrivateTest both in test.

    Returns:
        Counts by split and class name.
    """
    table: dict[str, dict[str, int]] = {}
    for usage, counts in _COUNTS.items():
        split = place(USAGE_SPLITS[usage], splits)
        row = table.setdefault(split, dict.fromkeys(LABELS, 0))
        for label, count in zip(LABELS, counts, strict=True):
            row[label] += count
    return table


def has_published_counts(labels: NDArray[np.int64]) -> bool:
    """Whether so many pictures of each class are those of FER2013: of one of its splits, or of several.

    Args:
        labels: int64 [N], 0–6.
    """
    found = tuple(np.bincount(labels, minlength=len(LABELS)).tolist())
    some = chain.from_iterable(combinations(_COUNTS.values(), n) for n in range(1, len(_COUNTS) + 1))
    return any(found == tuple(map(sum, zip(*counts, strict=True))) for counts in some)

"""FER2013's published class counts, and what has them."""

from __future__ import annotations

import numpy as np
import pytest

from fer_batch.dataset.published import has_published_counts, published_counts
from fer_batch.emotions import LABELS


def labels(*splits: str) -> np.ndarray:
    """Labels, shuffled, as many of each class as in these splits together."""
    table = published_counts("three")
    counts = [sum(table[split][label] for split in splits) for label in LABELS]
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(LABELS)), counts))


@pytest.mark.parametrize(
    "splits", [("train",), ("val",), ("test",), ("val", "test"), ("train", "val"), ("train", "val", "test")]
)
def test_splits_of_fer2013_are_known_by_their_counts_alone_or_together(splits: tuple[str, ...]) -> None:
    assert has_published_counts(labels(*splits))


def test_their_numbers_are_the_published_ones() -> None:
    assert [len(labels(split)) for split in ("train", "val", "test")] == [28709, 3589, 3589]


def test_one_picture_less_or_of_another_class_is_another_data_set() -> None:
    val = labels("val")
    assert not has_published_counts(val[1:])
    assert not has_published_counts(np.append(val, 0))
    changed = val.copy()
    changed[0] = (changed[0] + 1) % len(LABELS)
    assert not has_published_counts(changed)
    assert not has_published_counts(np.array([], np.int64))

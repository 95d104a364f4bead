"""Figures against values worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.figures.metrics import (
    compare_with,
    confusion,
    expected_calibration_error,
    mcnemar,
    measure,
)


def one_hot(predicted: list[int], confidence: float = 0.94) -> np.ndarray:
    rest = (1 - confidence) / 6
    return np.where(np.eye(7)[predicted] > 0, confidence, rest).astype(np.float32)


def test_figures_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1, 6])
    metrics = measure(labels, one_hot([0, 0, 1, 1, 0, 6]))
    assert metrics["n"] == 6
    assert metrics["accuracy"] == pytest.approx(4 / 6)
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert metrics["loss"] == pytest.approx(-(4 * np.log(0.94) + 2 * np.log(0.01)) / 6, rel=1e-5)
    assert metrics["ece"] == pytest.approx(0.94 - 4 / 6, rel=1e-5)
    assert metrics["per_class"]["angry"] == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3}
    )
    assert metrics["per_class"]["happy"]["support"] == 0


def test_a_class_that_is_predicted_but_never_true_counts_against_nothing_twice() -> None:
    metrics = measure(np.array([0, 0]), one_hot([0, 3]))
    assert metrics["balanced_accuracy"] == 0.5
    assert metrics["macro_f1"] == pytest.approx(2 / 3)


def test_no_rows_give_no_figures() -> None:
    metrics = measure(np.empty(0, np.int64), np.empty((0, 7), np.float32))
    assert metrics["n"] == 0
    assert metrics["accuracy"] is None


@given(
    st.lists(st.tuples(st.integers(0, 6), st.lists(st.floats(0.01, 1), min_size=7, max_size=7)), min_size=1)
)
def test_figures_are_json_and_in_range(rows: list) -> None:
    labels = np.array([label for label, _ in rows])
    raw = np.array([scores for _, scores in rows], np.float32)
    metrics = measure(labels, raw / raw.sum(1, keepdims=True))
    json.dumps(metrics, allow_nan=False)
    assert all(0 <= metrics[name] <= 1 for name in ("accuracy", "macro_f1", "balanced_accuracy", "ece"))
    assert metrics["loss"] >= 0


def test_calibration_error_by_hand() -> None:
    # Four rows in one bin: 90% sure, half right; two in another: 60% sure, both right.
    probabilities = np.concatenate([one_hot([0] * 4, 0.9), one_hot([1] * 2, 0.6)])
    labels = np.array([0, 0, 2, 2, 1, 1])
    wanted = (4 * abs(0.9 - 0.5) + 2 * abs(0.6 - 1)) / 6
    assert expected_calibration_error(labels, probabilities) == pytest.approx(wanted, rel=1e-5)


def test_full_confidence_falls_into_the_last_bin() -> None:
    assert expected_calibration_error(np.array([0]), one_hot([0], 1.0)) == pytest.approx(0)


def test_confusion_rows_are_true_columns_predicted() -> None:
    counts = confusion(np.array([0, 0, 3]), np.array([0, 6, 3]))
    assert counts.shape == (7, 7)
    assert (counts[0, 0], counts[0, 6], counts[3, 3], counts.sum()) == (1, 1, 1, 3)


def test_mcnemar_is_the_binomial_of_the_disagreements() -> None:
    a = np.array([True] * 8 + [False] * 2 + [True] * 50)
    b = np.array([False] * 8 + [True] * 2 + [True] * 50)
    # Two-sided: twice the chance of at most 2 heads in 10 tosses.
    assert mcnemar(a, b) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert mcnemar(a, a) == 1.0


def test_a_comparison_by_hand() -> None:
    other = np.array([[0.5, 0.5, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0]], np.float32)
    own = np.array([[0.75, 0.25, 0, 0, 0, 0, 0], [0, 0, 0.25, 0.75, 0, 0, 0]], np.float32)
    found = compare_with("teacher", other, own)
    first = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    assert (found["compared_with"], found["n"], found["agreement"]) == ("teacher", 2, 0.5)
    assert found["divergence"] == pytest.approx((first + np.log(4)) / 2)
    assert compare_with("teacher", own, own)["divergence"] == pytest.approx(0, abs=1e-9)
    json.dumps(found)

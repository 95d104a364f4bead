"""Figures as text."""

from __future__ import annotations

import numpy as np

from fer_batch.figures.metrics import compare_with, measure
from fer_batch.figures.text import headline


def test_headline_with_and_without_rows() -> None:
    probabilities = np.eye(7, dtype=np.float32)[[3, 0, 0, 0]]
    figures = measure(np.array([3, 3, 0, 0]), probabilities)
    assert headline(figures) == "accuracy 75.00%, macro-F1 0.733, n 4"
    assert headline(measure(np.empty(0, np.int64), probabilities[:0])) == "accuracy -, macro-F1 -, n 0"


def test_headline_of_a_head_without_labels_names_what_it_was_compared_with() -> None:
    answers = np.eye(7, dtype=np.float32)[[3, 0, 0, 0]]
    figures = compare_with("teacher", answers, answers[::-1])
    assert headline(figures) == "agreement with the teacher 50.00%, n 4"
    none = compare_with("float32 model", answers[:0], answers[:0])
    assert headline(none) == "agreement with the float32 model -, n 0"

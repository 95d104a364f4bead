"""Temperatures: the likeliest, and the one at which confidence and accuracy agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from fer_batch.training.calibration import consistent_temperature, fit_temperature

TEMPERATURES = [fit_temperature, consistent_temperature]


def drawn(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels drawn from their very probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (rows, 7))
    return logits, np.array([rng.choice(7, p=row) for row in softmax(logits, axis=1)])


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_either_finds_the_temperature_that_the_labels_were_drawn_at(
    temperature: Callable[[np.ndarray, np.ndarray], float],
) -> None:
    logits, labels = drawn(20_000)
    assert temperature(3 * logits, labels) == pytest.approx(3, rel=0.05)
    assert temperature(logits[:0], labels[:0]) == 1


@given(st.integers(0, 1000), st.integers(2, 200), st.floats(0.3, 3), st.floats(0, 1))
def test_confidence_is_accuracy_on_the_rows_it_is_fitted_to(
    seed: int, rows: int, scale: float, wrong: float
) -> None:
    logits, labels = drawn(rows, seed)
    logits *= scale
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(rows) < wrong, rng.integers(0, 7, rows), labels)
    found = consistent_temperature(logits, labels)
    gap = softmax(logits / found, axis=1).max(1).mean() - (logits.argmax(1) == labels).mean()
    if found == 0.2:
        assert gap <= 0
    elif found == 5:
        assert gap >= 0
    else:
        assert 0.2 < found < 5
        assert abs(gap) < 1e-3


def test_a_few_impossible_labels_bend_the_likeliest_temperature_but_not_the_consistent_one() -> None:
    logits, labels = drawn(5_000)
    worst = logits.argmin(1)
    spoilt = np.where(np.arange(5_000) % 50 == 0, worst, labels)
    gaps = [
        abs(
            softmax(logits / temperature(logits, spoilt), axis=1).max(1).mean()
            - (logits.argmax(1) == spoilt).mean()
        )
        for temperature in TEMPERATURES
    ]
    assert gaps[0] > 0.02
    assert gaps[1] < 1e-3

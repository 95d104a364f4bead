"""Crowd votes as targets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.dataset import crowd_targets
from fer_batch.emotions import Emotion

VOTE_ROWS = st.lists(st.lists(st.integers(0, 10), min_size=10, max_size=10), min_size=1, max_size=8)


def test_votes_come_in_the_order_of_the_labels() -> None:
    # neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, nf
    targets, weights = crowd_targets(np.array([[1, 2, 0, 1, 4, 0, 0, 0, 0, 2]]))
    expected = dict.fromkeys(Emotion, 0.0) | {
        Emotion.NEUTRAL: 1 / 8,
        Emotion.HAPPY: 2 / 8,
        Emotion.SAD: 1 / 8,
        Emotion.ANGRY: 4 / 8,
    }
    assert np.allclose(targets, [[expected[emotion] for emotion in Emotion]])
    assert np.allclose(weights, [0.8])


def test_nobody_saw_an_expression() -> None:
    targets, weights = crowd_targets(np.array([[0, 0, 0, 0, 0, 0, 0, 3, 3, 4], [0] * 10]))
    assert np.allclose(targets, 1 / 7)
    assert weights.tolist() == [0, 0]


@given(rows=VOTE_ROWS)
def test_targets_are_distributions_and_weights_shares(rows: list[list[int]]) -> None:
    targets, weights = crowd_targets(np.array(rows))
    assert targets.dtype == weights.dtype == np.float32
    assert np.allclose(targets.sum(axis=1), 1)
    assert targets.min() >= 0
    assert np.all((weights >= 0) & (weights <= 1))
    assert np.allclose(weights, [sum(row[:7]) / max(sum(row), 1) for row in rows])

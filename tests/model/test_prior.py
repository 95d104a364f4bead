"""Answers under other shares of the expressions than those of the training data."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from fer_batch.errors import UsageError
from fer_batch.model.prior import POWERS, Adjustment, adjusted_logits, needs_shares, probabilities
from fer_batch.settings import ExpectedShares, Head, PriorName

SHARES = (0.14, 0.015, 0.14, 0.255, 0.17, 0.11, 0.17)
shares_of_seven = st.lists(st.floats(1e-3, 1), min_size=7, max_size=7).map(
    lambda weights: tuple(weight / sum(weights) for weight in weights)
)
powers = st.floats(0, 1)
temperatures = st.floats(0.2, 5)


def drawn_logits(seed: int, rows: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (rows, 7)).astype(np.float32)


def expecting(*shares: float) -> ExpectedShares:
    return ExpectedShares(*shares)


@given(st.integers(0, 1000), shares_of_seven, shares_of_seven, powers, temperatures)
def test_every_row_is_a_distribution(
    seed: int,
    shares: tuple[float, ...],
    wanted: tuple[float, ...],
    power: float,
    temperature: float,
) -> None:
    logits = drawn_logits(seed)
    for expected in (None, Adjustment(power, temperature), expecting(*wanted)):
        found = probabilities(logits, shares, expected)
        assert (found.shape, found.dtype) == ((20, 7), np.float32)
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


@given(st.integers(0, 1000), shares_of_seven)
def test_nothing_to_adjust_changes_nothing(seed: int, shares: tuple[float, ...]) -> None:
    logits = drawn_logits(seed)
    plain = softmax(logits, axis=1)
    for expected in (None, Adjustment(0.0, 1.0), expecting(*shares), expecting(*(40 * np.array(shares)))):
        np.testing.assert_allclose(probabilities(logits, shares, expected), plain, atol=1e-5)
    np.testing.assert_array_equal(probabilities(logits, None, None), plain)


def test_bayes_rule_by_hand() -> None:
    # Posteriors 1/2, 1/4, 1/4; where the second is expected four times as often as in training and the third
    # half as often, they are as 1/2, 4/4 and 1/8.
    logits = np.log([[0.5, 0.25, 0.25, 1e-9, 1e-9, 1e-9, 1e-9]])
    shares = (0.2, 0.1, 0.2, 0.1, 0.1, 0.1, 0.2)
    found = probabilities(logits, shares, expecting(0.2, 0.4, 0.1, 0.1, 0.1, 0.1, 0.2))
    np.testing.assert_allclose(found[0, :3], np.array([4, 8, 1]) / 13, atol=1e-5)
    # By a power of 1/2, each is divided by the square root of its share.
    roots = np.array([0.5, 0.25, 0.25]) / np.sqrt([0.2, 0.1, 0.2])
    found = probabilities(logits, shares, Adjustment(0.5, 1.0))
    np.testing.assert_allclose(found[0, :3], roots / roots.sum(), atol=1e-5)


@given(st.integers(0, 1000), shares_of_seven, st.integers(0, 6))
def test_what_is_not_expected_has_the_probability_0(seed: int, shares: tuple[float, ...], never: int) -> None:
    logits = drawn_logits(seed)
    wanted = np.delete(shares, never)
    found = probabilities(logits, shares, expecting(*np.insert(wanted, never, 0)))
    assert (found[:, never] == 0).all()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    # The others are to each other as if there were no such expression.
    np.testing.assert_allclose(
        np.delete(found, never, 1), softmax(np.delete(logits, never, 1), axis=1), atol=1e-5
    )
    alone = probabilities(logits, shares, expecting(*np.eye(7)[never]))
    np.testing.assert_array_equal(alone, np.broadcast_to(np.eye(7)[never], (20, 7)))


@pytest.mark.parametrize("prior", ["balanced", "expected"])
def test_a_shift_of_the_shares_is_undone(prior: str) -> None:
    """Made data of which the right answers are known: each expression is a normal on an axis of its own."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 7_000)  # equally frequent, as they were not in training
    seen = 1.5 * np.eye(7)[labels] + rng.normal(0, 1, (7_000, 7))
    likelihood = -0.5 * ((seen[:, None] - 1.5 * np.eye(7)) ** 2).sum(2)
    network = likelihood + np.log(SHARES)  # what a network that has learned from such shares says
    expected = Adjustment(1.0, 1.0) if prior == "balanced" else expecting(*[1.0] * 7)
    found = probabilities(network, SHARES, expected)
    np.testing.assert_allclose(found, softmax(likelihood, axis=1), atol=1e-5)
    before, after = ((answer.argmax(1) == labels).mean() for answer in (softmax(network, axis=1), found))
    assert after > before + 0.02
    assert found.max(1).mean() == pytest.approx(after, abs=0.02)  # calibrated, without another temperature


@given(st.integers(0, 1000), shares_of_seven, powers, powers)
def test_the_more_power_the_more_is_the_rarer_of_two_preferred(
    seed: int, shares: tuple[float, ...], one: float, other: float
) -> None:
    logits = drawn_logits(seed)
    less, more = (adjusted_logits(logits, shares, power) for power in sorted((one, other)))
    for rare, common in ((a, b) for a in range(7) for b in range(7) if shares[a] < shares[b]):
        gained = (more[:, rare] - more[:, common]) - (less[:, rare] - less[:, common])
        assert (gained >= -1e-4).all()
    np.testing.assert_allclose(adjusted_logits(logits, shares, 0.0), log_softmax(logits, axis=1), atol=1e-5)


def test_only_what_divides_needs_the_training_shares() -> None:
    heads: tuple[Head, ...] = ("fer2013", "crowd")
    for head in heads:
        assert not needs_shares("training", head)
        assert needs_shares("balanced", head)
        assert needs_shares(expecting(*[1.0] * 7), head)
    assert (needs_shares("natural", "crowd"), needs_shares("natural", "fer2013")) == (True, False)
    named: set[PriorName] = {"natural", "balanced"}
    assert set(POWERS) == named
    assert all(0 <= power <= 1 for powers in POWERS.values() for power in powers.values())


def test_shares_of_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="the expected shares are all 0"):
        expecting(*[0.0] * 7)
    assert astuple(expecting(*range(7))) == tuple(range(7))

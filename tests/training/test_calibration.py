"""Temperatures: the likeliest, and the one at which confidence and accuracy agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from fer_batch.dataset import Split
from fer_batch.figures.metrics import ReferenceName
from fer_batch.inference.classifier import Classifier
from fer_batch.model.onnx_file import default_model, load_card
from fer_batch.training.calibration import (
    Reference,
    calibrate,
    calibrated_card,
    consistent_temperature,
    fit_temperature,
)

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


def test_probable_labels_do_as_well_as_labels() -> None:
    logits, labels = drawn(20_000)
    soft = consistent_temperature(3 * logits, softmax(logits, axis=1).astype(np.float32))
    assert soft == pytest.approx(3, abs=1e-3)  # without the noise of what was drawn
    assert consistent_temperature(3 * logits, np.eye(7)[labels]) == consistent_temperature(3 * logits, labels)
    assert consistent_temperature(logits[:0], np.empty((0, 7))) == 1


@pytest.mark.parametrize("name", ["teacher", "float32 model"])
def test_a_head_without_labels_is_calibrated_against_another_model(name: ReferenceName) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 48, 48), np.uint8)
    wrong = np.full(30, 1)  # the data's own labels: disgust, of which the crowd head knows nothing
    val = Split("val", [str(row) for row in range(30)], images, wrong, None, [""] * 30)
    logits = Classifier(default_model(), head="crowd").logits(images)
    answers = softmax(logits / np.float32(0.7), axis=1)
    found = calibrate(
        default_model(), val, ["fer2013", "crowd"], {"crowd": Reference(name, answers.astype(np.float32))}
    )
    assert found["crowd"].temperature == pytest.approx(0.7, abs=1e-3)
    assert found["crowd"].figures == {
        "compared_with": name,
        "n": 30,
        "agreement": 1,
        "divergence": pytest.approx(0, abs=1e-5),
    }
    assert (
        found["fer2013"].figures["accuracy"]
        == (Classifier(default_model(), head="fer2013").logits(images).argmax(1) == 1).mean()
    )
    card = calibrated_card(load_card(default_model()), found)
    assert card.heads["crowd"] == found["crowd"].temperature
    assert card.figures["val"]["crowd"]["compared_with"] == name
    assert set(card.priors["crowd"]) == {"natural", "balanced"}

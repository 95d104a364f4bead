"""A classifier answers under a prior, where its file knows what that takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from fer_batch.errors import ModelError
from fer_batch.inference.classifier import Classifier
from fer_batch.model.onnx_file import default_model, load_card, save_with_card
from fer_batch.settings import ExpectedShares, Head, Prior

CROPS = np.random.default_rng(0).integers(0, 256, (9, 48, 48), np.uint8)
RESTING = ExpectedShares(angry=0, disgust=0, fear=0, happy=1, sad=0, surprise=0, neutral=3)


@pytest.fixture(scope="module")
def without_shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as a release wrote it that counted no shares."""
    path = tmp_path_factory.mktemp("models") / "old.onnx"
    card = replace(load_card(default_model()), shares={}, priors={})
    save_with_card(default_model().read_bytes(), card, path)
    return path


@pytest.mark.parametrize(
    ("head", "prior"),
    [("crowd", "natural"), ("auto", "natural"), ("crowd", "balanced"), ("fer2013", RESTING)],
)
def test_a_model_that_does_not_know_its_shares_says_what_to_do(
    without_shares: Path, head: Head, prior: Prior
) -> None:
    with pytest.raises(
        ModelError,
        match=r"old\.onnx does not know how frequent each expression was in its training.*"
        "train it again, or read with the prior `training`",
    ):
        Classifier(without_shares, head=head, prior=prior)
    found = Classifier(without_shares, head=head).probabilities(CROPS)
    np.testing.assert_array_equal(found, Classifier(default_model(), head=head).probabilities(CROPS))


def test_the_fer2013_head_answers_as_it_is_under_the_natural_prior(without_shares: Path) -> None:
    for model in (default_model(), without_shares):
        plain = Classifier(model, head="fer2013")
        natural = Classifier(model, head="fer2013", prior="natural").probabilities(CROPS)
        np.testing.assert_array_equal(natural, plain.probabilities(CROPS))
        scaled = plain.logits(CROPS) / np.float32(plain.card.heads["fer2013"])
        np.testing.assert_array_equal(natural, softmax(scaled, axis=1))


def test_expected_shares_rule_out_what_nobody_expects() -> None:
    found = Classifier(default_model(), prior=RESTING).probabilities(CROPS)
    assert (found[:, [0, 1, 2, 4, 5]] == 0).all()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    natural, balanced = (
        Classifier(default_model(), prior=prior).probabilities(CROPS) for prior in ("natural", "balanced")
    )
    assert np.abs(natural - balanced).max() > 0.01

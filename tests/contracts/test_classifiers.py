"""What every classifier promises, shown on the bundled one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from networks_made import write_model
from runtimes import ON_ONNX, ON_TORCH, RUNTIMES
from videos import portrait

from fer_batch.errors import ModelError
from fer_batch.inference.classifier import Classifier
from fer_batch.inference.session import Runtime
from fer_batch.model.int8 import save_int8
from fer_batch.model.onnx_file import default_model, load_card
from fer_batch.settings import Head

HEADS: list[Head] = ["fer2013", "crowd"]


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return request.param


@pytest.fixture(scope="module", params=HEADS)
def classifier(request: pytest.FixtureRequest, runtime: Runtime) -> Classifier:
    return Classifier(default_model(), head=request.param, batch_size=4, runtime=runtime)


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "float.onnx"
    write_model(path)
    return path


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (11, 48, 48), dtype=np.uint8)


def test_rows_are_probabilities(classifier: Classifier, crops: np.ndarray) -> None:
    probabilities = classifier.probabilities(crops)
    assert probabilities.shape == (11, 7)
    assert probabilities.dtype == np.float32
    assert np.all(probabilities >= 0)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize(("weights", "apart"), [("float32", 1e-5), ("int8", 0.03)])
def test_batches_change_nothing_but_rounding(
    float_model: Path, runtime: Runtime, crops: np.ndarray, weights: str, apart: float
) -> None:
    """In integers, a sum that lies halfway between two may fall to either, as it does between backends."""
    model = float_model if weights == "float32" else default_model()
    assert load_card(model).weights == weights
    classifier = Classifier(model, batch_size=4, runtime=runtime)
    together = classifier.probabilities(crops)
    alone = np.concatenate([classifier.probabilities(crop[None]) for crop in crops])
    np.testing.assert_allclose(together, alone, atol=apart)


@pytest.mark.parametrize("other", ON_TORCH)
@pytest.mark.parametrize("head", HEADS)
def test_backends_answer_the_same(float_model: Path, crops: np.ndarray, head: Head, other: Runtime) -> None:
    wanted, found = (
        Classifier(float_model, head=head, runtime=runtime).probabilities(crops)
        for runtime in (ON_ONNX, other)
    )
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("other", ON_TORCH)
@pytest.mark.parametrize("arch", ["se_resnet", "cnn7"])
@pytest.mark.parametrize("head", HEADS)
def test_backends_round_to_the_same_integers_but_for_halves(
    head: Head, arch: str, other: Runtime, tmp_path: Path
) -> None:
    """Where sums in float32 differ in the last digit, a value between two integers may fall to either."""
    rng, picture = np.random.default_rng(0), cv2.cvtColor(portrait(), cv2.COLOR_RGB2GRAY)
    corners = rng.integers(0, 80, (64, 2))
    crops = np.stack([cv2.resize(picture[y : y + 100, x : x + 100], (48, 48)) for y, x in corners])
    model = default_model()
    if arch != load_card(model).architecture:
        write_model(tmp_path / "float.onnx", arch)
        save_int8(tmp_path / "float.onnx", model := tmp_path / "int8.onnx", crops)
    wanted, found = (
        Classifier(model, head=head, runtime=runtime).probabilities(crops) for runtime in (ON_ONNX, other)
    )
    apart = np.abs(found - wanted).max(1)
    assert np.quantile(apart, 0.25) < 1e-5  # unrounded, hardly any would come so near
    assert apart.max() < 0.03


def test_no_crops_give_no_rows(classifier: Classifier) -> None:
    assert classifier.probabilities(np.empty((0, 48, 48), np.uint8)).shape == (0, 7)


def test_the_temperature_is_the_cards(crops: np.ndarray) -> None:
    head: Head = "fer2013"
    classifier = Classifier(default_model(), head=head)
    scaled = classifier.logits(crops) / load_card(default_model()).heads[head]
    wanted = np.exp(scaled) / np.exp(scaled).sum(1, keepdims=True)
    np.testing.assert_allclose(classifier.probabilities(crops), wanted, atol=1e-5)


def test_a_head_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="has no head 'experts'"):
        Classifier(default_model(), head="experts")  # pyright: ignore[reportArgumentType] - that is the test

"""A trained model in 8-bit integers, measured anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_batch.errors import InputError
from fer_batch.inference.classifier import Classifier
from fer_batch.model.int8 import save_int8
from fer_batch.model.onnx_file import (
    ModelCard,
    check_apart,
    load_card,
    load_float32,
    resolve,
    save_with_card,
)
from fer_batch.settings import Head, TrainSettings, build
from fer_batch.storage import atomic_file, file_sha256, versions
from fer_batch.training.calibration import Reference, calibrate, calibrated_card
from fer_batch.training.data import load_training_data

_PICTURES = 2048
"""For the scales."""
_SEED = 0


def quantize(model: str | Path, dataset: str | Path, out: str | Path) -> ModelCard:
    """Write a trained model with weights and activations as 8-bit integers: smaller, and faster on CPUs.

    The scales are fitted to pictures of the training split; temperatures and figures are found again on the
    validation split, the same that the model was chosen by. A head that learned from a teacher alone is held
    against the float32 model's calibrated answers: the data set has no labels for it, and the teacher, which
    is not needed here, may be gone.

    Args:
        model: a run folder or an .onnx file, with weights in float32.
        dataset: the data set folder that it was trained on.
        out: the .onnx file to write; replaced if it is there.

    Returns:
        The card of the file that was written.

    Raises:
        UsageError: `out` is the model itself, or that was trained with settings which this fer-batch does
            not have.
        InputError: the data set folder cannot be read, or is another than the model was trained on.
        ModelError: the model cannot be used, or its weights are rounded already.
        OutputError: the file cannot be written.
    """
    source, out = resolve(model), Path(out)
    _, card = load_float32(source)  # before a large data set is read
    check_apart(source, out)
    settings = build(TrainSettings, card.training.get("settings", {}), origin=f"the card of {source}")
    data = load_training_data(Path(dataset), settings, teachable=tuple(card.heads))
    if data.fingerprint != card.training.get("data_fingerprint"):
        raise InputError(
            f"{dataset} is not the data set that {source} was trained on, by the fingerprint in its card"
        )
    order = np.random.default_rng(_SEED).permutation(len(data.train))
    pictures = data.train.images[np.sort(order[:_PICTURES])]
    with atomic_file(out) as unfinished:
        save_int8(source, unfinished, pictures)
        made_from = {
            "sha256": file_sha256(source),
            "pictures": len(pictures),
            "seed": _SEED,
            "versions": versions("onnxruntime"),
        }
        card = load_card(unfinished)
        card = replace(card, training=card.training | {"quantized": made_from})
        references: dict[Head, Reference] = {
            head: Reference("float32 model", Classifier(source, head=head).probabilities(data.val.images))
            for head in data.taught
        }
        answers = calibrate(unfinished, data.val, tuple(card.heads), references)
        card = calibrated_card(card, answers)
        save_with_card(unfinished.read_bytes(), card, unfinished)
    return load_card(out)

"""Measuring a model file on a data set folder or on a folder of class folders, without PyTorch."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fer_batch.dataset import Split, Unreadable, crowd_majority, fingerprint, load_class_folders, load_split
from fer_batch.dataset.arrays import find_tables
from fer_batch.dataset.class_folders import FolderSource, split_names
from fer_batch.dataset.prepare import read_manifest
from fer_batch.dataset.published import has_published_counts
from fer_batch.emotions import LABELS
from fer_batch.errors import DatasetFormatError, InputError, UsageError
from fer_batch.figures.confusion import write_confusion
from fer_batch.figures.metrics import confusion, measure
from fer_batch.inference.classifier import Classifier
from fer_batch.model.onnx_file import ModelCard, load_card, resolve
from fer_batch.progress import Progress, silent
from fer_batch.settings import AnnotateSettings, EvaluateSettings, Head, HeadChoice, Prior, validated
from fer_batch.spreadsheet import neutral
from fer_batch.storage import (
    PREDICTION_COLUMNS,
    atomic_file,
    file_sha256,
    require_text_path,
    resumable_scratch,
    schema,
    versions,
    write_json,
    write_text,
    writing,
)

_METRICS = "metrics.json"
"""Where it is, the others are of the same evaluation."""
_WRITTEN = ("confusion_matrix.csv", "confusion_matrix.png", "predictions.parquet", "unreadable.csv", _METRICS)
_WORK = "evaluation"
"""What the files are of, in a folder of that name that is begun, until all of them are whole."""


@dataclass(frozen=True)
class EvaluateResult:
    """What was measured, and where it is."""

    out: Path
    metrics: dict[str, Any]
    """The content of `metrics.json`."""
    unreadable: tuple[Unreadable, ...]
    """Pictures of class folders that were left out; `unreadable.csv` lists them."""


def evaluate(
    model: str | Path,
    data: str | Path,
    out: str | Path,
    settings: EvaluateSettings | None = None,
    *,
    progress: Progress = silent,
) -> EvaluateResult:
    """Measure a model: one forward pass a picture, or two with `flip`.

    Writes `metrics.json`, `predictions.parquet`, `confusion_matrix.csv` and `.png`, and
    `unreadable.csv`: the pictures of class folders that were left out, with the reason. The figures
    are given again without the pictures that have an exact twin in the training split, where there
    is a training split to compare with.

    All are written beside `out`'s files and then take their places: an earlier evaluation stays whole until
    this one is. What was stopped is measured anew by the same call.

    Class folders without folders of splits are measured all together; the split in the metrics'
    settings is then None.

    A FER2013 data set is measured by the head `fer2013` under the prior `training`, anything else as
    `annotate` reads by default, unless the settings say otherwise; the metrics say which it was. A FER2013
    data set is one that `prepare` made of its CSV files, or one with as many pictures of each class as are
    in its splits.

    The head `crowd` is held against the majority of the FER+ votes where the data set has votes, on
    the pictures that have one, and against the data's own labels elsewhere; `labels` in the metrics
    says which.

    Args:
        model: `default`, a run folder, or an .onnx file.
        data: a data set folder, or any folder of class folders; pictures of other sizes are resized.
        out: folder to write to; made if it is not there.
        settings: split, head, prior, and whether to average with the mirror image.
        progress: told after every batch.

    Raises:
        UsageError: there is nothing to measure on, or `out` holds something else.
        InputError: the data cannot be read, or has no such split.
        ModelError: the model cannot be used, or has no such head.
        OutputError: the results cannot be written.
    """
    settings, data, out = validated(EvaluateSettings, settings), Path(data), Path(out)
    require_text_path(out)
    _require_own(out)
    path = resolve(model)
    card = load_card(path)
    if settings.head != "auto":
        card.chosen_head(settings.head, str(path))  # before a large data set is read
    loaded = _load(data, settings.split, card.input_size)
    split = loaded.split
    head, prior = _chosen(settings, card, of_fer2013=loaded.of_fer2013, origin=str(path))
    settings = replace(settings, head=head, prior=prior)
    classifier = Classifier(path, head=head, prior=prior, batch_size=settings.batch_size)
    rows, labels = head_labels(split, head)
    if not len(rows):
        raise UsageError(
            f"{data}: no picture of {split.name} has a majority of FER+ votes; use --head fer2013"
        )
    probabilities = _predict(classifier, split.images[rows], settings, progress)
    twins = None
    if loaded.training is not None:
        twins = np.isin(np.array(split.sha256)[rows], np.array(loaded.training))
    metrics: dict[str, Any] = {
        **measure(labels, probabilities),
        "without_training_twins": None if twins is None else measure(labels[~twins], probabilities[~twins]),
        "labels": "ferplus_majority" if _by_votes(split, head) else "data",
        "settings": asdict(settings) | {"split": loaded.name},
        "model": {"architecture": classifier.card.architecture, "sha256": file_sha256(path)},
        "data": {
            "name": split.name,
            "fingerprint": fingerprint([split]),
            "unreadable": len(loaded.unreadable),
        },
        "versions": versions("onnxruntime", "numpy"),
    }
    title = f"{head} head on {split.name}"
    with resumable_scratch(out / _WORK, {}) as begun:
        write_confusion(confusion(labels, probabilities.argmax(1)), begun / "confusion_matrix", title)
        _write_predictions(begun / "predictions.parquet", split, rows, labels, probabilities, twins)
        _write_unreadable(begun / "unreadable.csv", loaded.unreadable)
        write_json(begun / _METRICS, metrics)
        with writing(out):
            (out / _METRICS).unlink(missing_ok=True)  # for a moment, the others are of two evaluations
            for name in _WRITTEN:
                (begun / name).replace(out / name)
    return EvaluateResult(out, metrics, loaded.unreadable)


def _chosen(
    settings: EvaluateSettings, card: ModelCard, *, of_fer2013: bool, origin: str
) -> tuple[Head, Prior]:
    """Head and prior to measure with: those that suit the data where the settings leave them open."""
    wanted: HeadChoice = settings.head
    if wanted == "auto" and of_fer2013 and "fer2013" in card.heads:
        wanted = "fer2013"
    prior = settings.prior
    if prior == "auto":
        prior = "training" if of_fer2013 else AnnotateSettings().prior
    return card.chosen_head(wanted, origin), prior


def _require_own(out: Path) -> None:
    """Refuse a folder that holds neither an evaluation nor one that was stopped.

    Raises:
        UsageError: it is a training run, say, whose confusion matrix stays its own.
        OutputError: it cannot be told what is there.
    """
    with writing(out):
        own = (out / _METRICS).is_file() or (out / f"{_WORK}.begun").is_dir()
        if not own and out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out} is not empty and holds no evaluation: choose another folder to write to")


def head_labels(split: Split, head: Head) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pictures that a head is measured on, and their labels.

    Returns:
        Positions in the split, int64 [M], and labels, int64 [M], 0–6.
    """
    if _by_votes(split, head) and split.votes is not None:
        majority = crowd_majority(split.votes)
        rows = np.flatnonzero(majority >= 0)
        return rows, majority[rows]
    return np.arange(len(split)), split.labels


def _by_votes(split: Split, head: Head) -> bool:
    return head == "crowd" and split.votes is not None


@dataclass(frozen=True)
class _Loaded:
    """The pictures to measure on, and what is known beside them."""

    split: Split
    name: str | None
    """Of the split; None where the data has no splits."""
    training: list[str] | None
    """Fingerprints of the training split's pictures, where there is another to measure on."""
    unreadable: tuple[Unreadable, ...] = ()
    from_csv: bool = False
    """It is a data set folder that was made of one of FER2013's CSV files."""

    @property
    def of_fer2013(self) -> bool:
        """Whether the pictures are FER2013's."""
        return self.from_csv or has_published_counts(self.split.labels)


def _load(data: Path, name: str, size: int) -> _Loaded:
    if not find_tables(data):
        return _load_class_folders(data, name, size)
    split = load_split(data, name)
    if split.images.shape[1:] != (size, size):
        height, width = split.images.shape[1:]
        raise DatasetFormatError(f"{data}: pictures are {width}x{height}, the model takes {size}x{size}")
    knows_training = name != "train" and (data / "train.parquet").is_file()
    training = load_split(data, "train").sha256 if knows_training else None
    manifest = read_manifest(data)
    from_csv = manifest is not None and manifest["source"]["dialect"] != FolderSource.dialect
    return _Loaded(split, name, training, from_csv=from_csv)


def _load_class_folders(data: Path, name: str, size: int) -> _Loaded:
    splits = split_names(data)
    if not splits:
        split, unreadable = load_class_folders(data, size)
        return _Loaded(split, None, None, unreadable)
    if name not in splits:
        raise InputError(f"{data} has no split {name!r}: it has {', '.join(splits)}; choose with --split")
    split, unreadable = load_class_folders(data, size, name)
    knows_training = name != "train" and "train" in splits
    training = load_class_folders(data, size, "train")[0].sha256 if knows_training else None
    return _Loaded(split, name, training, unreadable)


def _predict(
    classifier: Classifier, images: NDArray[np.uint8], settings: EvaluateSettings, progress: Progress
) -> NDArray[np.float32]:
    parts = []
    for start in range(0, len(images), settings.batch_size):
        batch = images[start : start + settings.batch_size]
        probabilities = classifier.probabilities(batch)
        if settings.flip:
            probabilities = (probabilities + classifier.probabilities(batch[:, :, ::-1])) / 2
        parts.append(probabilities)
        progress("evaluate", start + len(batch), len(images))
    return np.concatenate(parts)


def _write_unreadable(path: Path, unreadable: Sequence[Unreadable]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "reason"))
    writer.writerows((neutral(picture.path), neutral(picture.reason)) for picture in unreadable)
    write_text(path, text.getvalue())


def _write_predictions(
    path: Path,
    split: Split,
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    twins: NDArray[np.bool_] | None,
) -> None:
    columns: dict[str, Any] = {
        "id": [split.ids[row] for row in rows],
        "label": labels,
        "predicted": probabilities.argmax(1),
        "training_twin": [None] * len(rows) if twins is None else twins,
        **{label: probabilities[:, index] for index, label in enumerate(LABELS)},
    }
    with atomic_file(path) as partial:
        pq.write_table(pa.table(columns, schema=schema(PREDICTION_COLUMNS)), partial)

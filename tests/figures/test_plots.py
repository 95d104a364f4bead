"""Matrices and curves as files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fer_batch.emotions import LABELS
from fer_batch.figures.confusion import write_confusion
from fer_batch.figures.curves import write_curves


def test_confusion_csv_has_counts_and_shares(tmp_path: Path) -> None:
    counts = np.diag([3, 0, 1, 1, 1, 1, 1])
    counts[0, 6] = 1
    write_confusion(counts, tmp_path / "matrix", "test")
    lines = (tmp_path / "matrix.csv").read_text().splitlines()
    assert lines[0] == ",".join(["true", *LABELS, *(f"share_{label}" for label in LABELS)])
    assert lines[1] == "angry,3,0,0,0,0,0,1,0.7500,0.0000,0.0000,0.0000,0.0000,0.0000,0.2500"
    assert lines[2] == "disgust,0,0,0,0,0,0,0" + ",0.0000" * 7
    assert len(lines) == 8


def test_a_title_may_hold_any_name(tmp_path: Path) -> None:
    for name in ("faces $5_$10", "日本の顔"):
        write_confusion(np.eye(7, dtype=np.int64), tmp_path / "matrix", f"fer2013 head on {name}")
        assert cv2.imread(str(tmp_path / "matrix.png")) is not None


def test_pictures_are_drawn_and_repeatable(tmp_path: Path) -> None:
    counts = np.arange(49).reshape(7, 7)
    history = [
        {
            "epoch": epoch,
            "learning_rate": 0.1,
            "train_loss": 2 / epoch,
            "train_accuracy": 0.2,
            "val_loss": 1.5,
            "val_accuracy": 0.3,
        }
        for epoch in (1, 2, 3)
    ]
    for name in ("a", "b"):
        write_confusion(counts, tmp_path / name / "matrix", "test")
        write_curves(history, tmp_path / name / "curves.png")
    for file in ("matrix.png", "curves.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
        image = cv2.imread(str(tmp_path / "a" / file))
        assert min(image.shape[:2]) > 400
        assert image.std() > 10

"""`fer-batch evaluate` as people run it: its exit codes and its summary."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from datasets_made import write_stripes
from processes import run


def test_pictures_that_are_left_out_are_counted_and_named(tmp_path: Path) -> None:
    for name in ("happy", "smirk"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "faces" / name / "a.png"), np.full((48, 48), 90, np.uint8))
    done = run("evaluate", "default", tmp_path / "faces", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    left_out = "pictures left out: 1; the first: smirk/a.png: the folder name 'smirk' is none of angry"
    assert left_out in done.stdout
    assert f"all of them: {tmp_path / 'out' / 'unreadable.csv'}" in done.stdout


def test_figures_of_no_picture_are_dashes(tmp_path: Path) -> None:
    dataset = write_stripes(tmp_path, train=7, held_out=1)  # the one is a copy of a training picture
    done = run("evaluate", "default", dataset, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "without training twins  accuracy -  macro-F1 -  loss -  ECE -  n 0" in done.stdout

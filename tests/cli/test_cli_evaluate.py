"""`fer-batch evaluate` as people run it: its exit codes and its summary."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from datasets_made import write_stripes
from processes import run

from fer_batch.emotions import LABELS


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


def test_the_summary_says_head_and_prior(tmp_path: Path) -> None:
    dataset = write_stripes(tmp_path, train=7, held_out=7)
    (tmp_path / "shares.toml").write_text("".join(f"{label} = 1\n" for label in LABELS))
    for arguments, said in (
        ((), "fer2013 head on val, one view, prior training, labels from data"),
        (("--head", "crowd"), "crowd head on val, one view, prior training, labels from ferplus_majority"),
        (("--prior", "balanced"), "fer2013 head on val, one view, prior balanced, labels from data"),
        (("--prior", tmp_path / "shares.toml"), "fer2013 head on val, one view, prior given,"),
    ):
        done = run("evaluate", "default", dataset, tmp_path / "out", *arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(said)
    done = run("evaluate", "default", dataset / "images", tmp_path / "folders")
    assert done.stdout.startswith("crowd head on val, one view, prior natural, labels from data")
    refused = run("evaluate", "default", dataset, tmp_path / "out", "--prior", "even")
    assert refused.returncode == 2
    assert "--prior is 'even': give training, natural, balanced" in refused.stderr

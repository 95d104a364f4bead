"""What hides a face, print across it, and pictures of no face are told apart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from videos import cut_face

from fer_batch.inference.flaws import FlawFinder, recompressed
from fer_batch.quality.faces import FaceFinder


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return cut_face()


def test_the_flaws_of_a_face_and_of_what_is_made_of_it(face: np.ndarray) -> None:
    points = FaceFinder().find(face[None]).landmarks[0]
    glasses, printed = face.copy(), face.copy()
    for eye in points[:2]:
        cv2.ellipse(glasses, tuple(round(float(v)) for v in eye), (8, 6), 0, 0, 360, 15, -1)
    cv2.putText(printed, "agency", (1, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 255, 1, cv2.LINE_AA)
    checks = np.tile(np.kron([[0, 1], [1, 0]], np.full((8, 8), 200)), (3, 3)).astype(np.uint8)
    flaws = FlawFinder().find(np.stack([face, glasses, printed, checks]))
    assert flaws.eyes_hidden[0] < 0.5 < flaws.eyes_hidden[1]
    assert max(flaws.mouth_hidden[:2]) < 0.5
    assert flaws.print[0] < 0.5 < flaws.print[2]
    assert max(flaws.no_face[:3]) < 0.5 < flaws.no_face[3]


def test_batches_do_not_matter(face: np.ndarray) -> None:
    pictures = np.stack([face, face[:, ::-1], np.rot90(face)])
    together, alone = FlawFinder().find(pictures), FlawFinder().find(pictures[1:2])
    assert abs(together.eyes_hidden[1] - alone.eyes_hidden[0]) < 1e-5


def test_recompression_leaves_every_picture_with_the_same_marks(face: np.ndarray) -> None:
    once = recompressed(face)
    assert once.shape == (48, 48)
    assert 0 < np.abs(once.astype(int) - face).mean() < 6


def test_a_mirror_image_has_the_same_flaws(face: np.ndarray) -> None:
    pictures = np.stack([face, face[:, ::-1]])
    both, one = FlawFinder().find(pictures), FlawFinder(mirrored=False).find(pictures)
    assert both.eyes_hidden[0] == pytest.approx(both.eyes_hidden[1], abs=2e-3)  # but for their JPEGs
    assert abs(one.eyes_hidden[0] - one.eyes_hidden[1]) > abs(both.eyes_hidden[0] - both.eyes_hidden[1])


def test_faces_of_the_crowd_are_faces(shared_data: Path) -> None:
    rows = pq.ParquetFile(shared_data / "fer2013_train_public.parquet").iter_batches(200)
    pictures = [
        cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
        for png in next(rows)["png"].to_pylist()
    ]
    assert (FlawFinder().find(np.stack(pictures).astype(np.uint8)).no_face < 0.5).mean() > 0.95

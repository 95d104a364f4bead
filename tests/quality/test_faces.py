"""Faces whichever way up, and what is wrong with a picture, on a real face and what is made of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_batch.quality.faces import FaceFinder, FlawFinder, recompressed


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """A woman's face, cut as FER2013 cuts: uint8 [48, 48]."""
    from skimage import data

    gray = cv2.cvtColor(data.astronaut()[60:200, 150:290], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(gray, (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("turns", range(4))
def test_a_face_is_found_whichever_way_up(face: np.ndarray, turns: int) -> None:
    found = FaceFinder().find(np.rot90(face, turns)[None])
    assert found.scores[0] > 0.5
    upright = FaceFinder().find(face[None]).landmarks[0]
    # numpy turns counter-clockwise: a point at (x, y) comes to (y, 48 - x).
    for _ in range(turns):
        upright = np.stack([upright[:, 1], 48 - upright[:, 0]], 1)
    assert np.abs(found.landmarks[0] - upright).max() < 3


def test_no_face_has_no_points() -> None:
    found = FaceFinder().find(np.full((1, 48, 48), 128, np.uint8))
    assert found.scores[0] < 0.1
    if found.scores[0] == 0:
        assert np.isnan(found.landmarks).all()


def test_the_flaws_of_a_face_and_of_what_is_made_of_it(face: np.ndarray) -> None:
    points = FaceFinder().find(face[None]).landmarks[0]
    glasses, printed = face.copy(), face.copy()
    for eye in points[:2]:
        cv2.ellipse(glasses, tuple(round(float(v)) for v in eye), (8, 6), 0, 0, 360, 15, -1)
    cv2.putText(printed, "agency", (1, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 255, 1, cv2.LINE_AA)
    checks = np.tile(np.kron([[0, 1], [1, 0]], np.full((8, 8), 200)), (3, 3)).astype(np.uint8)
    flaws = FlawFinder().find(np.stack([face, glasses, printed, checks]))
    assert flaws.occlusion[0] < 0.5 < flaws.occlusion[1]
    assert flaws.print[0] < 0.5 < flaws.print[2]
    assert max(flaws.no_face[:3]) < 0.5 < flaws.no_face[3]


def test_batches_do_not_matter(face: np.ndarray) -> None:
    pictures = np.stack([face, face[:, ::-1], np.rot90(face)])
    together, alone = FlawFinder().find(pictures), FlawFinder().find(pictures[1:2])
    assert abs(together.occlusion[1] - alone.occlusion[0]) < 1e-5


def test_recompression_leaves_every_picture_with_the_same_marks(face: np.ndarray) -> None:
    once = recompressed(face)
    assert once.shape == (48, 48)
    assert 0 < np.abs(once.astype(int) - face).mean() < 6


def test_real_faces_are_found(shared_data: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(shared_data / "fer2013_train_public.parquet").iter_batches(200)
    pictures = [
        cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
        for png in next(rows)["png"].to_pylist()
    ]
    assert (FaceFinder().find(np.stack(pictures).astype(np.uint8)).scores >= 0.5).mean() > 0.8
    assert (FlawFinder().find(np.stack(pictures).astype(np.uint8)).no_face < 0.5).mean() > 0.95

"""Faces are found whichever way up they are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from videos import cut_face

from fer_batch.quality.faces import FaceFinder


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return cut_face()


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


def test_real_faces_are_found(shared_data: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(shared_data / "fer2013_train_public.parquet").iter_batches(200)
    pictures = [
        cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
        for png in next(rows)["png"].to_pylist()
    ]
    assert (FaceFinder().find(np.stack(pictures).astype(np.uint8)).scores >= 0.5).mean() > 0.8

"""Pictures are drawn once, chunk by chunk, and read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from making.graft import Donor
from making.pools import FLAWS, Faces, make_pool

LANDMARKS = np.array([[15, 20], [32, 20], [24, 28], [17, 36], [31, 36]], np.float32)


def some_faces(count: int = 6) -> Faces:
    pictures = np.random.default_rng(0).integers(60, 200, (count, 48, 48)).astype(np.uint8)
    return Faces(pictures, np.tile(LANDMARKS, (count, 1, 1)), np.zeros((count, 2), np.float32))


def test_a_pool_is_drawn_once(tmp_path: Path) -> None:
    faces, rows = some_faces(), np.array([3, 1, 0, 5])
    drawn = make_pool("hidden", faces, rows, tmp_path, 0, 1)
    assert drawn.pictures.shape == (4, 48, 48)
    assert drawn.flaws.shape == (4, len(FLAWS))
    written = (tmp_path / "hidden-000.npz").stat().st_mtime_ns
    again = make_pool("hidden", faces, rows, tmp_path, 0, 1)
    assert (tmp_path / "hidden-000.npz").stat().st_mtime_ns == written
    assert (again.pictures == drawn.pictures).all()


def test_what_is_known_of_a_face_stays_known_when_something_is_drawn(tmp_path: Path) -> None:
    faces = some_faces()
    faces.hidden[:2] = [(1, 0), (np.nan, np.nan)]
    rows = np.arange(6)
    clean = make_pool("clean", faces, rows, tmp_path, 0, 1)
    assert np.array_equal(clean.flaws[:, :2], faces.hidden, equal_nan=True)
    hidden = make_pool("hidden", faces, rows, tmp_path, 0, 1)
    assert hidden.flaws[0, 0] == 1
    assert all(part == 1 or np.isnan(part) for part in hidden.flaws[1, :2])


def test_pictures_of_nothing_hide_nobody(tmp_path: Path) -> None:
    pool = make_pool("nothing", some_faces(), np.arange(3), tmp_path, 0, 1)
    assert np.isnan(pool.flaws[:, :2]).all()
    assert (pool.flaws[:, 3] == 1).all()


def test_parts_of_other_faces_are_hidden_or_open_as_those_were(tmp_path: Path) -> None:
    faces, rng = some_faces(40), np.random.default_rng(1)
    hidden = Donor(rng.integers(0, 10, (48, 48)).astype(np.uint8), LANDMARKS)
    pool = make_pool("grafted", replace(faces, donors=([hidden], [hidden])), np.arange(40), tmp_path, 0, 1)
    assert set(pool.flaws[:, :2].flatten()) == {0.0, 1.0}
    assert (pool.flaws[:, :2].sum(1) <= 1).all()
    eyes = pool.pictures[pool.flaws[:, 0] == 1, 18:23, 15:32].mean((1, 2))
    assert (eyes < 60).all()  # as dark as the donor's
    assert (pool.pictures[pool.flaws[:, 0] == 1, 36:, 20:30].mean((1, 2)) > 90).all()

"""Training pictures are framed as `annotate` would crop them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.data import astronaut
from videos import FACE, landscape

from fer_batch.inference.crop import crop_faces
from fer_batch.inference.picture import ArrayPicture
from fer_batch.model.crop_geometry import FER2013_CROP
from fer_batch.progress import silent
from fer_batch.settings import AugmentSettings
from fer_batch.training.augment import draw_moves, move
from fer_batch.training.framing import WHOLE, detector_frames, reframed

UNMOVED = torch.eye(2, 3)[None]


def face(zoom: float = 1.0, right: float = 0.0, down: float = 0.0) -> NDArray[np.uint8]:
    """The portrait's face as a 48x48 picture, cut larger by a factor and away by shares of its height."""
    x0, y0, x1, y1 = FACE
    height = y1 - y0
    x, y = (x0 + x1) / 2 + right * height, (y0 + y1) / 2 + down * height
    box = [x - zoom * (x1 - x0) / 2, y - zoom * height / 2, x + zoom * (x1 - x0) / 2, y + zoom * height / 2]
    boxes, unknown = np.array([box], np.float32), np.full((1, 5, 2), np.nan, np.float32)
    return crop_faces(ArrayPicture(astronaut()), boxes, unknown, FER2013_CROP, 48)[0]


def test_a_face_is_cut_out_where_it_lies_and_as_large_as_it_is() -> None:
    told = []
    pictures = np.stack([face(), face(zoom=1.4), face(right=0.2), face(down=-0.2)])
    frames = detector_frames(pictures, lambda what, done, total: told.append((what, done, total)))
    assert frames.dtype == torch.float32
    assert told == [("framing", done, 4) for done in (1, 2, 3, 4)]
    plain, small, right, up = frames
    torch.testing.assert_close(plain, torch.tensor(WHOLE), atol=0.15, rtol=0)
    assert float(small[2]) == pytest.approx(float(plain[2]) / 1.4, abs=0.1)
    # The picture was cut out further right, and further up: the face lies the other way in it.
    assert float(right[0] - plain[0]) == pytest.approx(-0.2 * 2 / FER2013_CROP.side, abs=0.1)
    assert float(up[1] - plain[1]) == pytest.approx(0.2 * 2 / FER2013_CROP.side, abs=0.1)


def test_without_a_face_the_picture_is_the_frame() -> None:
    nothing = cv2.cvtColor(cv2.resize(landscape(), (48, 48)), cv2.COLOR_RGB2GRAY)
    frames = detector_frames(np.stack([nothing, np.zeros_like(nothing)]), silent)
    assert frames.tolist() == [list(WHOLE)] * 2


def test_cut_out_along_its_frame_a_small_face_looks_as_a_large_one() -> None:
    small, large = (torch.from_numpy(face(zoom=zoom))[None, None] for zoom in (1.5, 1.0))
    frames = detector_frames(small[0].numpy(), silent)
    cut = move(small, reframed(UNMOVED, frames, 1.0, torch.Generator()))

    def unlike(picture: torch.Tensor) -> float:
        return float((picture[..., 8:40, 8:40] - large[..., 8:40, 8:40]).abs().mean())

    assert unlike(cut) < unlike(small.float()) / 2


@given(
    frame=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(0.5, 2)),
    seed=st.integers(0, 2**32),
)
def test_cutting_out_comes_before_moving(frame: tuple[float, float, float], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    moves = draw_moves(4, AugmentSettings(), generator)
    places = torch.rand(4, 2, generator=generator) * 2 - 1
    x, y, side = frame
    framed = reframed(moves, torch.tensor([frame] * 4), 1.0, generator)
    moved, cut = ((each[:, :, :2] @ places[:, :, None])[..., 0] + each[:, :, 2] for each in (moves, framed))
    torch.testing.assert_close(cut, moved * side + torch.tensor([x, y]))


def test_only_a_share_is_cut_out() -> None:
    moves, frames = UNMOVED.expand(2000, 2, 3), torch.tensor([0.1, 0.1, 0.5]).expand(2000, 3)
    framed = reframed(moves, frames, 0.3, torch.Generator().manual_seed(0))
    cut = (framed != moves).any(2).any(1)
    assert float(cut.float().mean()) == pytest.approx(0.3, abs=0.05)
    torch.testing.assert_close(reframed(moves, frames, 0.0, torch.Generator()), moves)
    assert torch.equal(moves, UNMOVED.expand(2000, 2, 3))

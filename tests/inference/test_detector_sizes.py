"""Real faces of all sizes in real pictures of all sizes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut, coffee
from videos import FACE

from fer_batch.inference.detections import overlap
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.inference.looks import is_tiled, tiles
from fer_batch.settings import DetectionSettings

MODEL = resolve_detector("yunet")
AT_640 = YuNet(MODEL, DetectionSettings(size=640))
CROPS = {
    "all": (0, 0, 512, 512),
    "head": (120, 20, 320, 220),
    "fills the frame": FACE,
    "exceeds the frame": (184, 74, 262, 166),
    "cut in half": (FACE[0], FACE[1], (FACE[0] + FACE[2]) // 2, FACE[3]),
}
"""Parts of the portrait: x0, y0, x1, y1."""


def enlarged(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    factor = longest / max(image.shape[:2])
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC).astype(np.uint8)


@pytest.mark.parametrize(
    ("crop", "longest", "min_face"),
    [(crop, 1920, min_face) for crop in CROPS for min_face in (24, 48, 96)]
    + [("all", 3840, 48), ("fills the frame", 3840, 96), ("exceeds the frame", 3840, 96)],
)
def test_a_large_face_is_one_and_where_a_small_look_sees_it(crop: str, longest: int, min_face: float) -> None:
    x0, y0, x1, y1 = CROPS[crop]
    image = enlarged(astronaut()[y0:y1, x0:x1], longest)
    wanted = AT_640.detect(image).boxes
    found = YuNet(MODEL, DetectionSettings(min_face=min_face)).detect(image).boxes
    assert (len(wanted), len(found)) == (1, 1)
    assert overlap(wanted, found)[0, 0] >= 0.8


@pytest.mark.parametrize("min_face", [48, 96])
def test_a_large_picture_out_of_focus_has_no_faces(min_face: float) -> None:
    assert len(YuNet(MODEL, DetectionSettings(min_face=min_face)).detect(enlarged(coffee(), 3000))) == 0


def test_a_face_at_the_border_of_tiles_is_found_once() -> None:
    height, width, side = 1800, 2400, 110  # the face takes a bit over half of the square
    assert is_tiled(height, width)
    face = cv2.resize(astronaut()[20:220, 120:320], (side, side), interpolation=cv2.INTER_AREA)
    detector = YuNet(MODEL, DetectionSettings(min_face=48))
    cuts = [(part.right, part.bottom) for part in tiles(height, width)]
    right, bottom = cuts[0]
    for x, y in ((right, 500), (500, bottom), (right, bottom)):
        image = np.full((height, width, 3), 127, np.uint8)
        left, top = x - side // 2, y - side // 2
        image[top : top + side, left : left + side] = face
        found = detector.detect(image)
        assert len(found) == 1
        where = (np.array([*FACE]) - np.array([120, 20, 120, 20])) * side / 200
        wanted = (where + np.array([left, top, left, top])).astype(np.float32)
        assert overlap(found.boxes, wanted[None])[0, 0] > 0.6

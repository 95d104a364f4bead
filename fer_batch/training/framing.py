"""Pictures as `annotate` would crop them: framed by the detector, and not by whoever made the data set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_batch.inference.crop import crop_square
from fer_batch.inference.detector import YuNet, resolve_detector
from fer_batch.model.crop_geometry import FER2013_CROP
from fer_batch.progress import Progress
from fer_batch.settings import DetectionSettings

_SHOWN = 192
"""Side, in pixels, at which the detector is shown a picture: as large as faces in footage that is near."""
_MARGIN = _SHOWN // 2
"""Of plain gray around it: the detector was trained on faces in scenes."""
_GRAY = 127
WHOLE = (0.0, 0.0, 1.0)
"""The frame that is the picture itself."""


def detector_frames(images: NDArray[np.uint8], progress: Progress) -> Tensor:
    """The square that `annotate` would crop out of each picture, for the face that the detector finds there.

    Args:
        images: gray pictures, uint8 [N, S, S].
        progress: told how many are done.

    Returns:
        float32 [N, 3], on the CPU: centre x, centre y and side of the square, where the picture's own are
        0, 0 and 1; those coordinates are `affine_grid`'s, which run from -1 to 1. Of several faces the
        largest counts; where there is none, it is the picture itself.
    """
    detector = YuNet(resolve_detector("yunet"), DetectionSettings())
    frames = torch.empty(len(images), 3)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for index, frame in enumerate(pool.map(lambda image: _frame(detector, image), images)):
            frames[index] = torch.tensor(frame)
            progress("framing", index + 1, len(images))
    return frames


def _frame(detector: YuNet, image: NDArray[np.uint8]) -> tuple[float, float, float]:
    enlarged = cv2.resize(image, (_SHOWN, _SHOWN), interpolation=cv2.INTER_CUBIC)
    scene = np.full((_SHOWN + 2 * _MARGIN, _SHOWN + 2 * _MARGIN, 3), _GRAY, np.uint8)
    scene[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = enlarged[:, :, None]
    faces = detector.detect(scene)
    if not len(faces):
        return WHOLE
    largest = int(np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1).argmax())
    *centre, side = crop_square(faces.boxes[largest], faces.landmarks[largest], FER2013_CROP)
    x, y = ((value - _MARGIN) / _SHOWN * 2 - 1 for value in centre)
    return x, y, side / _SHOWN


def reframed(moves: Tensor, frames: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Moves of pictures of which some are cut out along their frames before they are moved.

    Args:
        moves: float32 [N, 2, 3], as `draw_moves` gives them.
        frames: float32 [N, 3], of the same pictures, as `detector_frames` gives them.
        share: probability that a picture is cut out.
        generator: on the CPU, where the tensors are, too.

    Returns:
        float32 [N, 2, 3].
    """
    cut = torch.rand(len(moves), generator=generator) < share
    frames = torch.where(cut[:, None], frames, torch.tensor(WHOLE))
    framed = moves * frames[:, 2, None, None]
    framed[:, :, 2] += frames[:, :2]
    return framed

"""How pixels part with their distance: what is known of a picture's detail without knowing the picture."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

DISTANCES = (1, 2, 4)


def squared_differences(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean squared difference of pixels one, two and four apart, across and down.

    It grows as the square of the distance where a picture is smooth, and slower where it has detail. Noise
    adds as much at every distance, so that it has no part in the differences of these means.

    Args:
        pictures: uint8 [N, S, S], gray.

    Returns:
        float64 [2, 3, N]: rows, then columns; in squared gray levels.
    """
    gray = pictures.astype(np.float32)
    return np.array([[_difference(lines, d) for d in DISTANCES] for lines in (gray, gray.transpose(0, 2, 1))])


def _difference(lines: NDArray[np.float32], distance: int) -> NDArray[np.float64]:
    """Mean squared difference of pixels so far apart along the last axis: [N]."""
    difference = lines[:, :, distance:] - lines[:, :, :-distance]
    # A line's sum is a whole number that float32 holds exactly, so none depends on how faces are batched.
    sums = np.einsum("nij,nij->ni", difference, difference)
    return sums.sum(1, dtype=np.float64) / math.prod(difference.shape[1:])

"""Draw the picture of docs/hidden.png: what the network learns from, over a portrait in the public domain.

    python -m making.sheet docs/hidden.png

Two rows a kind: what is drawn, and the same as some camera might have taken it.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from fer_batch.dataset.images import resize
from fer_batch.quality.faces import FaceFinder
from making.camera import taken
from making.hidden import HIDING, OPEN, draw
from making.scene import SIDE

SHOWN, COLUMNS, SEED = 96, 8, 11


def sheet() -> NDArray[np.uint8]:
    """Each kind of thing once, gray."""
    rng = np.random.default_rng(SEED)
    gray = cv2.cvtColor(skimage.data.astronaut()[60:200, 150:290], cv2.COLOR_RGB2GRAY)
    face = resize(np.asarray(gray, np.uint8), SIDE)
    other = resize(np.asarray(skimage.data.camera()[60:260, 150:350], np.uint8), SIDE)
    landmarks = FaceFinder().find(face[None]).landmarks[0]
    pairs = []
    for kind in (*HIDING, *OPEN):
        drawn = draw(face, landmarks, other, rng, (kind,)).picture
        both = drawn, taken(drawn, rng, harsh=False)
        large = [cv2.resize(one, (SHOWN, SHOWN), interpolation=cv2.INTER_CUBIC) for one in both]
        pairs.append(np.vstack(large))
    rows = [np.hstack(pairs[start : start + COLUMNS]) for start in range(0, len(pairs), COLUMNS)]
    return np.vstack(rows).astype(np.uint8)


if __name__ == "__main__":
    cv2.imwrite(sys.argv[1], sheet())

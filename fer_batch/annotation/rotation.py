"""Which way up a source is: cameras hang upside down or lie on their side, and say nothing of it.

The detector finds a face that is not upright too, with landmarks as if it were, but less surely. So pictures
are searched in all four ways, and each votes for the way in which its faces are surest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from itertools import islice

from fer_batch.annotation.blur import blacken
from fer_batch.annotation.decode import peek
from fer_batch.annotation.sources import Source
from fer_batch.inference.detector import Detector
from fer_batch.inference.picture import ArrayPicture, Picture, turned
from fer_batch.settings import AnnotateSettings

_LOOKS: tuple[tuple[int, float], ...] = ((20, 320), (10, 640), (4, math.inf))
"""How many pictures are searched at most, and at which longest side in pixels: larger where smaller ones show
no face. With a face in each, the first tells, or, where it is not upright, the first two."""
_LEAD = 2
"""Votes by which one way has to lead for no further picture to be searched. An upright picture has as many:
of 700 photographs at three sizes, none voted for another way (`benchmarks/upright.py`)."""
_SURE_SCORE = 0.7
"""Score of a face from which its picture has a vote."""
_SURER = 0.02
"""By how much the surest way must be surer than any other."""


def find_quarters(source: Source, settings: AnnotateSettings, detector: Detector | None) -> int:
    """How often a source's pictures have to be turned clockwise for most of its faces to be upright.

    Args:
        source: to look at, if the settings do not say it.
        settings: of `annotate`.
        detector: None where pictures are faces already, which are taken as they are.

    Returns:
        0 to 3; 0 too where no face is found.
    """
    if settings.rotate != "auto":
        return settings.rotate // 90
    if detector is None:
        return 0
    votes = Counter[int]()
    for looks, longest in _LOOKS:
        votes = votes or _count(_masked(source, settings), detector, looks, longest)
    (first, most), *_ = votes.most_common(1) or [(0, 0)]
    return first if 2 * most > votes.total() else 0


def _masked(source: Source, settings: AnnotateSettings) -> Generator[Picture, None, None]:
    with closing(peek(source, settings.sampling)) as pictures:
        for picture in pictures:
            if not settings.privacy.masks:
                yield picture
                continue
            image = picture.rgb()
            blacken(image, settings.privacy.masks)
            yield ArrayPicture(image)


def _count(
    pictures: Generator[Picture, None, None], detector: Detector, looks: int, longest: float
) -> Counter[int]:
    """The votes of so many pictures, or of fewer where they agree."""
    votes = Counter[int]()
    with closing(pictures):
        for picture in islice(pictures, looks):
            way = vote(picture, detector, longest)
            if way is not None:
                votes[way] += 1 if way else _LEAD
            leaders = [count for _, count in votes.most_common(2)] + [0, 0]
            if leaders[0] - leaders[1] >= _LEAD:
                break
    return votes


def vote(picture: Picture, detector: Detector, longest: float) -> int | None:
    """The way in which a picture's faces are surest.

    Args:
        picture: as it is shown.
        detector: finds its faces in all four ways.
        longest: side in pixels, to which a larger picture is shrunk.

    Returns:
        How often it has to be turned clockwise, 0 to 3; None where no face is sure, or no way clearly
        the surest.
    """
    height, width = picture.size
    scale = min(1.0, longest / max(height, width))
    # Even, as the detector has it: what is no larger is not looked at larger either.
    rows, columns = (max(2 * round(side * scale / 2), 1) for side in (height, width))
    seen = ArrayPicture(picture.rgb() if scale == 1 else picture.rgb((rows, columns)))
    found = detector.detect_batch([turned(seen, quarters) for quarters in range(4)])
    sums = [float(faces.scores.sum()) for faces in found]
    second, best = sorted(range(4), key=sums.__getitem__)[2:]
    surely = len(found[best]) and found[best].scores[0] >= _SURE_SCORE
    return best if surely and sums[best] - sums[second] >= _SURER else None

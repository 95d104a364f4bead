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

_LOOKS = 20
"""Pictures that are searched at most; with a face in each, the first two tell."""
_LARGE_LOOKS = 4
"""The same where only their full size may show any face."""
_LEAD = 2
"""Votes by which one way has to lead for no further picture to be searched."""
_SURE_SCORE = 0.7
"""Score of a face from which its picture has a vote."""
_SURER = 0.03
"""By how much the surest way must be surer than any other."""
_LONGEST = 640
"""Pixels of the longest side of what is searched: the way up shows in the larger faces."""


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
    votes = _count(_masked(source, settings), detector, _LOOKS, _LONGEST)
    if not votes:
        votes = _count(_masked(source, settings), detector, _LARGE_LOOKS, None)
    (first, most), *_ = votes.most_common(1) or [(0, 0)]
    return first if 2 * most > votes.total() else 0


def _masked(source: Source, settings: AnnotateSettings) -> Generator[Picture, None, None]:
    with closing(peek(source, settings.sampling)) as pictures:
        for picture in pictures:
            image = picture.rgb()
            blacken(image, settings.privacy.masks)
            yield ArrayPicture(image)


def _count(
    pictures: Generator[Picture, None, None], detector: Detector, looks: int, longest: int | None
) -> Counter[int]:
    """The votes of so many pictures, or of fewer where they agree."""
    votes = Counter[int]()
    with closing(pictures):
        for picture in islice(pictures, looks):
            vote = _vote(picture, detector, longest)
            if vote is not None:
                votes[vote] += 1
            leaders = [count for _, count in votes.most_common(2)] + [0, 0]
            if leaders[0] - leaders[1] >= _LEAD:
                break
    return votes


def _vote(picture: Picture, detector: Detector, longest: int | None) -> int | None:
    """The way in which a picture's faces are surest; None where there is no face, or no way stands out."""
    height, width = picture.size
    scale = min(1.0, (longest or math.inf) / max(height, width))
    seen = ArrayPicture(picture.rgb((max(round(height * scale), 1), max(round(width * scale), 1))))
    found = detector.detect_batch([turned(seen, quarters) for quarters in range(4)])
    sums = [float(faces.scores.sum()) for faces in found]
    second, best = sorted(range(4), key=sums.__getitem__)[2:]
    if not len(found[best]) or found[best].scores[0] < _SURE_SCORE or sums[best] - sums[second] < _SURER:
        return None
    return best

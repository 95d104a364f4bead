"""What must not be seen: masked rectangles, and the faces in an overlay."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_batch.annotation.clock import SAME_TIME_S

Box: TypeAlias = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels; may reach beyond the picture."""

HELD_S = 0.5
"""How long, in seconds, a face is hidden before it is first seen and after it is last seen."""
_ASIDE, _ABOVE, _BELOW = 0.2, 0.35, 0.15
"""How far ears, hair and chin reach beyond the detector's box, in its width and height."""
_DRIFT = 0.5
"""How much larger, in those, it grows for each second, one at most, that the face was not seen there."""
_BLOCKS = 8
"""So many blocks stand in for the longer side of a head: each is larger than a sixth of the face."""
_FRAMES_AHEAD = 1 << 16
"""No more is read ahead: a time that stands still, as in damaged files, must not fill the memory."""


def blacken(image: NDArray[np.uint8], masks: Sequence[tuple[int, int, int, int]]) -> None:
    """Blacken rectangles of a picture, in place.

    Args:
        image: uint8 [H, W, 3], upright.
        masks: x, y, width, height in pixels, none negative; what lies beyond the picture is left out.
    """
    for x, y, width, height in masks:
        image[y : y + height, x : x + width] = 0


def pixelate(image: NDArray[np.uint8], box: Box) -> None:
    """Turn what a box covers into blocks too coarse to know anyone by, in place.

    The blocks' size follows from the whole box, so that a head at the picture's edge is not shown finer.

    Args:
        image: uint8 [H, W, 3].
        box: around the whole head.
    """
    x0, y0, x1, y1 = box
    rows = slice(max(math.floor(y0), 0), max(math.ceil(y1), 0))
    columns = slice(max(math.floor(x0), 0), max(math.ceil(x1), 0))
    inside = image[rows, columns]
    height, width = inside.shape[:2]
    if not inside.size:
        return
    block = max(x1 - x0, y1 - y0) / _BLOCKS
    blocks = max(1, int(width / block)), max(1, int(height / block))
    coarse = cv2.resize(inside, blocks, interpolation=cv2.INTER_AREA)
    inside[:] = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)


def whole_head(box: Box, away_s: float = 0.0) -> Box:
    """The box of a head around the box of its face, larger the longer the face was not seen there.

    Args:
        box: of the face.
        away_s: seconds between this frame and the nearest in which the face was seen.
    """
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    more = _DRIFT * min(away_s, 1.0) / 2
    return (
        x0 - (_ASIDE + more) * width,
        y0 - (_ABOVE + more) * height,
        x1 + (_ASIDE + more) * width,
        y1 + (_BELOW + more) * height,
    )


@dataclass(frozen=True)
class _Moment:
    number: int
    """Of the frame among those read."""
    time_s: float

    def away_s(self, other: _Moment) -> float:
        # A clock that jumps back, as in damaged files, is as far away as one that jumps ahead.
        return abs(self.time_s - other.time_s)

    def near(self, other: _Moment, frames: int) -> bool:
        """Whether so little time has passed, or so few frames, that a face may still be there."""
        return self.away_s(other) <= HELD_S + SAME_TIME_S or abs(self.number - other.number) <= frames


@dataclass(frozen=True)
class _Sight:
    """Where a face was seen."""

    at: _Moment
    box: Box


def heads(
    frames: Iterable[tuple[float, Mapping[int, Box]]], max_gap_s: float, every: int = 1
) -> Iterator[list[Box]]:
    """The heads in every frame of a video, those that the detector missed too.

    A face that is seen again within `max_gap_s` was on the straight line in between. Before it is
    first seen and after it is last seen it is held in place for `HELD_S`, and as far as the next frame
    that was searched, however long that is: it may have come, or gone, right behind it. No more is read
    ahead than that takes.

    Args:
        frames: of each frame, in order, its time in seconds and the boxes of its faces by track.
        max_gap_s: longest time in seconds for which a track may go unseen.
        every: one frame out of so many was searched.

    Yields:
        For each frame the boxes of its heads.
    """
    look_ahead_s = max(max_gap_s, HELD_S) + SAME_TIME_S
    waiting: deque[_Moment] = deque()
    tracks: defaultdict[int, deque[_Sight]] = defaultdict(deque)
    for number, (time_s, boxes) in enumerate(frames):
        read = _Moment(number, time_s)
        waiting.append(read)
        for track, box in boxes.items():
            tracks[track].append(_Sight(read, box))
        while (read.away_s(waiting[0]) > look_ahead_s and number - waiting[0].number >= every) or len(
            waiting
        ) > _FRAMES_AHEAD:
            yield _heads_at(waiting.popleft(), tracks, max_gap_s, every)
    for moment in waiting:
        yield _heads_at(moment, tracks, max_gap_s, every)


def _heads_at(now: _Moment, tracks: dict[int, deque[_Sight]], max_gap_s: float, every: int) -> list[Box]:
    """The heads at a moment; sights, and tracks, that no later one needs are forgotten."""
    found: list[Box] = []
    for track, sights in list(tracks.items()):
        while len(sights) > 1 and sights[1].at.number <= now.number:
            sights.popleft()
        begun = sights[0].at.number <= now.number
        before, after, *_ = (*sights, None) if begun else (None, *sights)
        found += _heads_of(before, after, now, max_gap_s, every)
        if before is not None and after is None and not before.at.near(now, every):
            del tracks[track]
    return found


def _heads_of(
    before: _Sight | None, after: _Sight | None, now: _Moment, max_gap_s: float, every: int
) -> list[Box]:
    """Where one track's head is, or may be, between two sights of it."""
    if before is not None and before.at == now:
        return [whole_head(before.box)]
    if before is not None and after is not None:
        gap_s = before.at.away_s(after.at)
        if gap_s <= max_gap_s + SAME_TIME_S:
            share = before.at.away_s(now) / gap_s if gap_s else 0.0
            x0, y0, x1, y1 = (a + share * (b - a) for a, b in zip(before.box, after.box, strict=True))
            away_s = min(before.at.away_s(now), after.at.away_s(now))
            return [whole_head((x0, y0, x1, y1), away_s)]
    return [
        whole_head(sight.box, sight.at.away_s(now))
        for sight in (before, after)
        if sight is not None and sight.at.near(now, every)
    ]

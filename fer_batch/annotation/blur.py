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

SPEED = 2.0
"""So many of its heights a second may a face move, as a head that walks past does, and stay hidden."""
HELD_S = 0.5
"""How long, in seconds, a face that is missed for the first time is hidden on; and the same backward."""
_ASIDE, _ABOVE, _BELOW = 0.2, 0.35, 0.15
"""How far ears, hair and chin reach beyond the detector's box, in its width and height."""
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


def any_way_up(box: Box) -> Box:
    """A box with room for hair on every side: which is up is known of upright faces only.

    Args:
        box: of a face, as the detector has it.
    """
    x0, y0, x1, y1 = box
    more = (_ABOVE - _BELOW) * max(x1 - x0, y1 - y0)
    return x0 - more, y0 - more, x1 + more, y1 + more


def whole_head(box: Box, away_s: float = 0.0) -> Box:
    """The box around all places of a head whose face may have moved as fast as `SPEED`.

    Args:
        box: of the face.
        away_s: how long it may have moved away from there, in seconds.
    """
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    way = SPEED * away_s * height
    return (
        x0 - _ASIDE * width - way,
        y0 - _ABOVE * height - way,
        x1 + _ASIDE * width + way,
        y1 + _BELOW * height + way,
    )


@dataclass(frozen=True)
class _Moment:
    number: int
    """Of the frame among those read."""
    time_s: float

    def away_s(self, other: _Moment) -> float:
        # A clock that jumps back, as in damaged files, is as far away as one that jumps ahead.
        return abs(self.time_s - other.time_s)


@dataclass
class _Sight:
    """Where a face was seen."""

    at: _Moment
    box: Box
    searched_before: _Moment | None
    """The last search before it, and the first behind it, as far as they are known."""
    searched_after: _Moment | None = None

    def may_be_near(self, now: _Moment, max_gap_s: float) -> bool:
        """Whether the face may still be around at a time when its track is not, or not yet, seen."""
        frames = abs(now.number - self.at.number)
        # Not every search is known, but none is later than this.
        if frames > 1 and now.away_s(self.at) > max_gap_s + HELD_S + SAME_TIME_S:
            return False
        missed = self.searched_after if now.number > self.at.number else self.searched_before
        if missed is None or frames <= abs(missed.number - self.at.number):
            return True
        return now.away_s(missed) <= HELD_S + SAME_TIME_S


def heads(frames: Iterable[tuple[float, bool, Mapping[int, Box]]], max_gap_s: float) -> Iterator[list[Box]]:
    """All places in every frame of a video where there may be a head, those that the detector missed too.

    That is as far around a face as it may have moved at `SPEED`. One that is seen again within `max_gap_s`
    was about the straight line in between, on a way that led back to it. Before a face is first seen, it
    may have come right behind the last search that did not find it, and after it is last seen it may have
    stayed till right before the next one; since a search may miss a face, it is hidden for `HELD_S` more
    at either end. No more is read ahead than that takes.

    Args:
        frames: of each frame, in order, its time in seconds, whether it was surely searched, and the boxes
            of the faces found there by track. More frames may have been searched.
        max_gap_s: longest time in seconds for which a track may go unseen: no two successive searches, but
            those of neighbouring frames, are further apart.

    Yields:
        For each frame the boxes of its heads.
    """
    look_ahead_s = max_gap_s + HELD_S + SAME_TIME_S
    waiting: deque[_Moment] = deque()
    tracks: defaultdict[int, deque[_Sight]] = defaultdict(deque)
    last_search: _Moment | None = None
    for number, (time_s, searched, boxes) in enumerate(frames):
        read = _Moment(number, time_s)
        waiting.append(read)
        if searched:
            for sights in tracks.values():
                sights[-1].searched_after = sights[-1].searched_after or read
        for track, box in boxes.items():
            tracks[track].append(_Sight(read, box, last_search))
        last_search = read if searched else last_search
        while read.away_s(waiting[0]) > look_ahead_s or len(waiting) > _FRAMES_AHEAD:
            yield _heads_at(waiting.popleft(), tracks, max_gap_s)
    for moment in waiting:
        yield _heads_at(moment, tracks, max_gap_s)


def _heads_at(now: _Moment, tracks: dict[int, deque[_Sight]], max_gap_s: float) -> list[Box]:
    """The heads at a moment; sights, and tracks, that no later one needs are forgotten."""
    found: list[Box] = []
    for track, sights in list(tracks.items()):
        while len(sights) > 1 and sights[1].at.number <= now.number:
            sights.popleft()
        begun = sights[0].at.number <= now.number
        before, after, *_ = (*sights, None) if begun else (None, *sights)
        found += _heads_of(before, after, now, max_gap_s)
        if before is not None and after is None and not before.may_be_near(now, max_gap_s):
            del tracks[track]
    return found


def _heads_of(before: _Sight | None, after: _Sight | None, now: _Moment, max_gap_s: float) -> list[Box]:
    """Where one track's head is, or may be, between two sights of it."""
    if before is not None and before.at == now:
        return [whole_head(before.box)]
    if before is not None and after is not None:
        since_s, until_s = before.at.away_s(now), after.at.away_s(now)
        if before.at.away_s(after.at) <= max_gap_s + SAME_TIME_S:
            # A clock that stands still leaves nothing to divide by.
            share = since_s / (since_s + until_s or 1.0)
            x0, y0, x1, y1 = (a + share * (b - a) for a, b in zip(before.box, after.box, strict=True))
            # What can be reached from the one sight, and the other from there, lies so far from the line.
            return [whole_head((x0, y0, x1, y1), 2 * share * until_s)]
    return [
        whole_head(sight.box, sight.at.away_s(now))
        for sight in (before, after)
        if sight is not None and sight.may_be_near(now, max_gap_s)
    ]

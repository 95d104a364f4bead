"""Frames pass through one by one."""

from __future__ import annotations

import weakref
from collections.abc import Generator

from fer_batch.annotation.frames import Frame
from fer_batch.annotation.stages import mark
from fer_batch.settings import AnnotateSettings


def test_no_more_frames_are_held_than_this_one_and_the_next() -> None:
    alive: weakref.WeakSet[Frame] = weakref.WeakSet()
    held: list[int] = []

    def frames() -> Generator[Frame, None, None]:
        for index in range(200):
            frame = Frame(index, None, None)
            alive.add(frame)
            yield frame

    for marked in mark(frames(), AnnotateSettings()):
        held.append(len(alive))
        del marked
    assert len(held) == 200
    assert max(held) <= 3  # the source may hold its last

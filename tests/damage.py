"""Video files damaged in every way that disks, networks and people know, all of it from a seed."""

from __future__ import annotations

import numpy as np


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """The content of a file with some of its bytes flipped, lost, zeroed, doubled or in another place."""
    ways = (_flip, _cut, _lose, _zero, _swap_blocks, _swap_boxes)
    return ways[rng.integers(len(ways))](data, rng)


def _span(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    begin = int(rng.integers(len(data)))
    return begin, min(len(data), begin + int(rng.integers(1, max(2, len(data) // 4))))


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(len(data), size=int(10 ** rng.uniform(0, 3)))
    changed[places] ^= rng.integers(1, 256, len(places), dtype=np.uint8)
    return changed.tobytes()


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data)))]


def _lose(data: bytes, rng: np.random.Generator) -> bytes:
    begin, end = _span(data, rng)
    return data[:begin] + data[end:]


def _zero(data: bytes, rng: np.random.Generator) -> bytes:
    begin, end = _span(data, rng)
    return data[:begin] + bytes(end - begin) + data[end:]


def _swap_blocks(data: bytes, rng: np.random.Generator) -> bytes:
    a, b, c, d = sorted(rng.integers(len(data) + 1, size=4).tolist())
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _swap_boxes(data: bytes, rng: np.random.Generator) -> bytes:
    """Put the outermost boxes of an MP4 or MOV in another order; of other files, blocks."""
    boxes, place = [], 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4])
        if not 8 <= size <= len(data) - place:
            return _swap_blocks(data, rng)
        boxes.append(data[place : place + size])
        place += size
    return b"".join(boxes[index] for index in rng.permutation(len(boxes)))

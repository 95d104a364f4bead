"""Which pictures of a TIFF file are its pages (TIFF 6.0 and BigTIFF)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

_KIND, _NO_PAGE = 254, 0b101
"""The tag NewSubfileType, and its bits for a smaller copy of another page and for a mask."""
_SHORT = 3
"""The type of a number of two bytes."""
_LONGEST_LIST = 1 << 20
"""Bytes; a list of tags that is said to be longer is damaged."""


class _Layout(NamedTuple):
    """How `struct` reads a file's parts."""

    order: str
    counted: str
    tag: str
    place: str

    def read(self, file: BinaryIO, part: str) -> int:
        """The number that is next in the file.

        Raises:
            struct.error: the file ends before.
        """
        part = self.order + part
        return struct.unpack(part, file.read(struct.calcsize(part)))[0]


_LAYOUTS = {
    b"II*\0": _Layout("<", "H", "HHI4s", "I"),
    b"MM\0*": _Layout(">", "H", "HHI4s", "I"),
    b"II+\0\x08\0\0\0": _Layout("<", "Q", "HHQ8s", "Q"),
    b"MM\0+\0\x08\0\0": _Layout(">", "Q", "HHQ8s", "Q"),
}
"""By how a file begins."""


def page_numbers(path: Path) -> Sequence[int]:
    """Which of a file's pictures are its pages, counted from 0: several in a TIFF, one in any other file.

    The first always is one; others are not where the file says that they are a smaller copy or a mask. Of a
    damaged list those are known that come before the damage.
    """
    pages: list[int] = []
    with suppress(OSError, struct.error):
        if path.is_file():  # opening a pipe may never end
            with path.open("rb") as file:
                for number, kind in enumerate(_kinds(file)):
                    if number == 0 or not kind & _NO_PAGE:
                        pages.append(number)
    return pages or (0,)


def _kinds(file: BinaryIO) -> Iterator[int]:
    """What each picture of a TIFF is said to be, by NewSubfileType; nothing of other files.

    Raises:
        struct.error: the list of pictures is damaged from here on.
    """
    start = file.read(8)
    layout = _LAYOUTS.get(start) or _LAYOUTS.get(start[:4])
    if layout is None:
        return
    file.seek(len(start) if start in _LAYOUTS else 4)
    size, place, seen = os.fstat(file.fileno()).st_size, layout.read(file, layout.place), set[int]()
    while 0 < place < size and place not in seen:
        seen.add(place)
        file.seek(place)
        tag = struct.Struct(layout.order + layout.tag)
        length = tag.size * layout.read(file, layout.counted)
        tags = file.read(length) if length < _LONGEST_LIST else b""
        place = layout.read(file, layout.place)
        if len(tags) < length:
            return
        yield next((_number(layout, *found[1:]) for found in tag.iter_unpack(tags) if found[0] == _KIND), 0)


def _number(layout: _Layout, kind: int, _count: int, value: bytes) -> int:
    """What a tag says that has one number."""
    return struct.unpack_from(layout.order + ("H" if kind == _SHORT else "I"), value)[0]

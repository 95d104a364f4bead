"""The `pixels` column of FER2013: gray values as decimal text, separated by blanks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLANK, _ZERO = ord(" "), ord("0")
_WHOLE_NUMBER = re.compile(rb"[+-]?[0-9]+")


def parse_pixels(text: bytes, count: int) -> NDArray[np.uint8]:
    """The `count` gray values written in `text`.

    A value is one to three ASCII digits, 0–255. Values are separated by white space.

    Returns:
        uint8 [count].

    Raises:
        ValueError: there are more or fewer values, or one of them is not 0–255; the message says
            which and where.
    """
    values = _parse_single_blanks(text)
    if values is None:
        values = _parse_any(text)
    if len(values) != count:
        raise ValueError(f"{len(values)} pixels, expected {count}")
    return values


def parse_rows(texts: Sequence[bytes], count: int) -> NDArray[np.uint8] | None:
    """The gray values of many rows at once, or None where one of them wants `parse_pixels`.

    One pass over all rows: the array operations of a single row are so short that threads would spend
    their time handing Python's lock to each other between them.

    Args:
        texts: rows of `count` values each, if flawless.
        count: values in a row.

    Returns:
        uint8 [len(texts), count]; None where a row is not `count` values separated by single blanks.
    """
    if not texts or any(text.count(b" ") != count - 1 for text in texts):
        return None
    values = _parse_single_blanks(b" ".join(texts))
    return None if values is None else values.reshape(len(texts), count)


def _parse_single_blanks(text: bytes) -> NDArray[np.uint8] | None:
    """The values of a flawless row with single blanks, in a few array operations; None for any other.

    Several times faster than splitting the row into Python objects; FER2013 has 83 million values.
    """
    codes = np.frombuffer(text, np.uint8)
    blanks = np.flatnonzero(codes == _BLANK)
    ends = np.append(blanks, len(codes))
    lengths = ends.copy()
    lengths[1:] -= blanks + 1
    digits = codes - _ZERO  # what stands before "0" wraps around to above 9
    flawless = (
        lengths.min() >= 1
        and lengths.max() <= 3
        and np.count_nonzero(digits <= 9) == len(codes) - len(blanks)  # nothing but digits and blanks
    )
    if not flawless:
        return None
    # An index before the first digit is moved to it; the factor 0 discards what is read there.
    values = digits.take(ends - 1).astype(np.uint16)
    values += digits.take(ends - 2, mode="clip") * ((lengths > 1) * np.uint16(10))
    values += digits.take(ends - 3, mode="clip") * ((lengths > 2) * np.uint16(100))
    return values.astype(np.uint8) if values.max() <= 255 else None


def _parse_any(text: bytes) -> NDArray[np.uint8]:
    """The values of a row however it is spaced, or the reason why it is not one."""
    tokens = text.split()
    for position, token in enumerate(tokens):
        # int() is kept from long digits: it is slow on them and refuses more than 4,300.
        if len(token) <= 3 and token.isdigit() and int(token) <= 255:
            continue
        shown = token[:20].decode("ascii", "backslashreplace")
        if _WHOLE_NUMBER.fullmatch(token):
            raise ValueError(f"pixel {position} is {shown}, outside 0–255")
        raise ValueError(f"pixel {position} is {shown!r}, not a number")
    return np.array([int(token) for token in tokens], np.uint8)

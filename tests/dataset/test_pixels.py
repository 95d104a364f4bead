"""The fast parser of pixel text agrees with a naive one, and says what is wrong where it is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fer_batch.dataset.pixels import parse_pixels, parse_rows


def naive(text: bytes, count: int) -> list[int] | None:
    """The values, read one by one; None where the text is not `count` of them."""
    tokens = text.split()
    if len(tokens) != count or not all(re.fullmatch(rb"[0-9]{1,3}", token) for token in tokens):
        return None
    values = [int(token) for token in tokens]
    return values if all(value <= 255 for value in values) else None


TOKENS = st.one_of(
    st.integers(0, 255).map(lambda value: str(value).encode()),
    st.integers(-300, 1000).map(lambda value: str(value).encode()),
    st.sampled_from([b"", b"007", b"0255", b"1.0", b"x", b"1e2", b"+5", b"\x00", b"\xe9", b"12\x00"]),
)


@given(
    tokens=st.lists(TOKENS, max_size=12),
    separator=st.sampled_from([b" ", b"  ", b"\t", b","]),
    count=st.integers(0, 12),
)
@example(tokens=[b"9", b"99", b"199"], separator=b" ", count=3)
@example(tokens=[b"256"], separator=b" ", count=1)
@example(tokens=[], separator=b" ", count=1)
def test_agrees_with_a_naive_parser(tokens: list[bytes], separator: bytes, count: int) -> None:
    text = separator.join(tokens)
    expected = naive(text, count)
    if expected is None:
        with pytest.raises(ValueError, match="pixel"):
            parse_pixels(text, count)
    else:
        assert parse_pixels(text, count).tolist() == expected


@given(values=st.lists(st.integers(0, 255), min_size=1, max_size=64))
def test_reads_back_what_was_written(values: list[int]) -> None:
    parsed = parse_pixels(" ".join(map(str, values)).encode(), len(values))
    assert parsed.dtype == np.uint8
    assert parsed.tolist() == values


@given(text=st.binary(max_size=40))
def test_any_bytes_give_values_or_a_printable_reason(text: bytes) -> None:
    expected = naive(text, 3)
    if expected is None:
        with pytest.raises(ValueError, match="pixel") as caught:
            parse_pixels(text, 3)
        assert str(caught.value).isprintable()
    else:
        assert parse_pixels(text, 3).tolist() == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"1 2", "2 pixels, expected 3"),
        (b"1 2 3 4", "4 pixels, expected 3"),
        (b"", "0 pixels, expected 3"),
        (b"1 2 256", "pixel 2 is 256, outside 0–255"),
        (b"1 -2 3", "pixel 1 is -2, outside 0–255"),
        (b"1 2 " + b"9" * 5000, "pixel 2 is 99999999999999999999, outside 0–255"),
        (b"1 2.0 3", "pixel 1 is '2.0', not a number"),
        (b"x 2 3", "pixel 0 is 'x', not a number"),
        (b"1 2 3\x00", "pixel 2 is '3\x00', not a number"),
    ],
)
def test_says_what_is_wrong_and_where(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below, whole
        parse_pixels(text, 3)
    assert str(caught.value) == reason.replace("\x00", "\\x00")


@given(rows=st.lists(st.lists(TOKENS, max_size=4), max_size=5), separator=st.sampled_from([b" ", b"  "]))
@example(rows=[[b"1", b"2"], [b"3", b"4", b"5"], [b"6"]], separator=b" ")
def test_rows_together_are_the_rows_one_by_one_or_left_to_be_read_so(
    rows: list[list[bytes]], separator: bytes
) -> None:
    texts = [separator.join(row) for row in rows]
    together = parse_rows(texts, 2)
    if together is not None:
        assert together.tolist() == [parse_pixels(text, 2).tolist() for text in texts]


def test_flawless_rows_are_read_together() -> None:
    together = parse_rows([b"0 12 255", b"7 99 100"], 3)
    assert together is not None
    assert together.tolist() == [[0, 12, 255], [7, 99, 100]]

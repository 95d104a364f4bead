"""Whatever bytes a CSV file holds, every row of it is read or rejected."""

from __future__ import annotations

import io
from contextlib import nullcontext
from pathlib import Path

import fer2013_csv as made
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.dataset.archives import CsvFile
from fer_batch.dataset.csv_source import choose_files
from fer_batch.dataset.images import pixel_sha256

ROW = made.make_rows(1)[0]
GOOD = made.fer2013_lines([ROW])[1].encode()


def source_of(content: bytes) -> list[object]:
    path = Path("fer2013.csv")
    file = CsvFile(path.name, path, len(content), lambda: nullcontext(io.BytesIO(content)))
    return list(choose_files(path, [file]).items())


@given(lines=st.lists(st.one_of(st.just(GOOD), st.binary(max_size=30), st.text(max_size=30).map(str.encode))))
def test_every_line_is_read_or_rejected(lines: list[bytes]) -> None:
    content = b"emotion,pixels,Usage\n" + b"\n".join(lines)
    items = source_of(content)
    written = [line for line in content.split(b"\n")[1:] if line.strip()]
    assert len(items) == len(written)
    for row, (item, line) in enumerate(zip(items, written, strict=True)):
        assert item.row == row
        assert content.split(b"\n")[item.line - 1] == line
        if line.strip() == GOOD:
            sample = item.load()
            assert np.array_equal(sample.image, ROW.image)
            assert sample.sha256 == pixel_sha256(ROW.image)
        else:
            with pytest.raises(ValueError, match=r"."):
                item.load()


@given(
    cuts=st.sets(st.integers(1, 2 * len(GOOD)), min_size=1, max_size=3),
    junk=st.binary(min_size=1, max_size=3),
)
def test_damage_inside_a_row_never_reaches_another(cuts: set[int], junk: bytes) -> None:
    damaged = bytearray(GOOD + b"\n" + GOOD + b"\n")
    for cut in cuts:
        damaged[cut : cut + len(junk)] = junk
    items = source_of(b"emotion,pixels,Usage\n" + bytes(damaged) + GOOD + b"\n")
    last = items[-1]
    if bytes(damaged).endswith(b"\n"):
        assert np.array_equal(last.load().image, ROW.image)

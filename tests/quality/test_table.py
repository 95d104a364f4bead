"""`quality.parquet` gives back what was measured; a damaged one is passed over, and another's refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_checks import columns

from fer_batch.errors import UsageError
from fer_batch.quality.table import NAME, read_measured, write_table
from fer_batch.storage import MEASUREMENT_COLUMNS, PICTURE_COLUMNS

DESCRIBED = (*PICTURE_COLUMNS, *MEASUREMENT_COLUMNS)


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_round_trip(tmp_path_factory, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = columns(count)
    for column in made.values():
        missing = rng.random(count) < 0.3
        if column.dtype.kind == "f":
            column[:] = np.where(missing, np.nan, rng.random(count))
        elif column.dtype.kind == "i":
            column[:] = np.where(missing, -1, rng.integers(0, 7, count))
        else:
            column[:] = np.where(missing, "", 'a, "b"\n')
    path = tmp_path_factory.mktemp("table") / NAME
    write_table(path, made, DESCRIBED, {"identity": "x"})
    read = read_measured(path)
    assert read is not None
    assert read[1] == {"identity": "x"}
    for name, values in made.items():
        np.testing.assert_array_equal(read[0][name], values)
        missing = "" if values.dtype == object else -1
        nulls = np.isnan(values) if values.dtype.kind == "f" else values == missing
        assert pq.read_table(path)[name].null_count == nulls.sum()


def test_what_is_missing_or_damaged_is_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / NAME
    assert read_measured(path) is None
    write_table(path, columns(2), DESCRIBED[:-1], {})
    assert read_measured(path) is None
    write_table(path, columns(2), DESCRIBED, {})
    assert read_measured(path) is not None
    data = path.read_bytes()
    path.write_bytes(
        b"PAR1" + bytes(200) + data[204:]
    )  # where the first columns begin; the end says whose it is
    assert read_measured(path) is None


def test_a_table_that_does_not_say_it_is_of_filter_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    pq.write_table(pa.table({"id": ["1"]}), path)
    with pytest.raises(UsageError, match=r"quality\.parquet is in the way and is no table of filter"):
        read_measured(path)
    for data in (b"PAR1 and then nothing", b""):
        path.write_bytes(data)
        with pytest.raises(UsageError, match="or is damaged: move it away"):
            read_measured(path)
        assert path.read_bytes() == data

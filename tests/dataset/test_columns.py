"""Columns out of buffers are what pyarrow itself makes of the values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_batch.dataset.columns import make_column

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

STRINGS = st.none() | st.text(st.characters(codec="utf-8"), max_size=20)
BYTES = st.none() | st.binary(max_size=20)
VALUES = {
    pa.int64(): st.none() | st.integers(-(2**63), 2**63 - 1),
    pa.string(): STRINGS,
    pa.binary(): BYTES,
    IMAGE: st.fixed_dictionaries({"bytes": BYTES, "path": STRINGS}),
}


@pytest.mark.parametrize("kind", VALUES, ids=str)
@given(data=st.data())
def test_as_pyarrow_makes_it(kind: pa.DataType, data: st.DataObject) -> None:
    values: list[Any] = data.draw(st.lists(VALUES[kind], max_size=20))
    column = make_column(values, kind)
    column.validate(full=True)
    assert column.equals(pa.array(values, kind))

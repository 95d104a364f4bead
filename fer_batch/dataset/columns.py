"""Arrow arrays straight out of buffers.

`pyarrow.array` imports pandas wherever it is installed, which takes longer than to prepare five thousand
pictures, and looks at every value on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def make_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The values, None meaning null, as an Arrow array, as `pyarrow.array(values, kind)` gives it.

    Args:
        values: integers, strings, bytes, or mappings where `kind` is a struct of such.
        kind: int64, string, binary, or a struct of these. Strings or bytes of one call together stay
            below 2 GiB.
    """
    if isinstance(kind, pa.StructType):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        children = [make_column([value[field.name] for value in values], field.type) for field in fields]
        return pa.StructArray.from_arrays(children, fields=fields)
    present = np.array([value is not None for value in values], bool)
    validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    if pa.types.is_integer(kind):
        numbers = np.array([0 if value is None else value for value in values], np.int64)
        buffers = [validity, pa.py_buffer(numbers)]
    else:
        contents = [_content(value) for value in values]
        offsets = np.cumsum([0, *map(len, contents)], dtype=np.int32)
        buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(contents))]
    return pa.Array.from_buffers(kind, len(values), buffers)


def _content(value: str | bytes | None) -> bytes:
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else value

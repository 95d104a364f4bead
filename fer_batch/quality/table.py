"""`quality.parquet`: what was measured of every picture, and the verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fer_batch.errors import UsageError
from fer_batch.storage import MEASUREMENT_COLUMNS, PICTURE_COLUMNS, Column, atomic_file, schema

NAME = "quality.parquet"
_FACTS = b"fer-batch"
"""Key of what the file says of itself, in its metadata."""

Columns = dict[str, NDArray[Any]]
"""Values by column name: NaN in floats, -1 in whole numbers and "" in texts are null in the file."""

_NULLS = {"f": np.nan, "i": -1, "O": ""}


def write_table(
    path: Path, columns: Mapping[str, NDArray[Any]], described: Sequence[Column], facts: Any
) -> None:
    """Write columns, and what else must be known of them, whole or not at all.

    Args:
        path: of the Parquet file.
        columns: values of every column described.
        described: names, types and meanings, in order.
        facts: as JSON gives them back.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays = [_arrow(columns[column.name], column.type) for column in described]
    metadata = {_FACTS: json.dumps(facts, sort_keys=True).encode()}
    table = pa.Table.from_arrays(arrays, schema=schema(described).with_metadata(metadata))
    with atomic_file(path) as partial:
        pq.write_table(table, partial)


def read_measured(path: Path) -> tuple[Columns, dict[str, Any]] | None:
    """What was measured, and the facts of the file; None where there is none, or one that is damaged.

    Raises:
        UsageError: the file is somebody else's, or so damaged that it does not say whose it is: to measure
            anew would replace it.
    """
    try:
        with path.open("rb") as file:
            metadata = pq.read_schema(file).metadata or {}
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowInvalid, UnicodeDecodeError):
        metadata = {}
    if _FACTS not in metadata:
        raise UsageError(f"{path} is in the way and is no table of filter, or is damaged: move it away")
    try:
        facts = json.loads(metadata[_FACTS])
        described = (*PICTURE_COLUMNS, *MEASUREMENT_COLUMNS)
        table = pq.read_table(path, columns=[column.name for column in described])
        return {column.name: _numpy(table[column.name], column.type) for column in described}, facts
    except (OSError, pa.ArrowInvalid, KeyError, ValueError):
        return None  # damaged, or of a release with other columns: it is measured anew


def _arrow(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    null = np.isnan(values) if values.dtype.kind == "f" else values == _NULLS.get(values.dtype.kind)
    return pa.array(values, kind, mask=np.broadcast_to(null, values.shape), from_pandas=False)


def _numpy(column: pa.ChunkedArray, kind: pa.DataType) -> NDArray[Any]:
    null = "" if pa.types.is_string(kind) else -1 if pa.types.is_integer(kind) else float("nan")
    values = column.fill_null(null) if column.null_count else column
    return values.to_numpy()

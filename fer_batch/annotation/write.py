"""The final tables of one source, made of its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fer_batch.annotation.occlusion import with_occlusion
from fer_batch.annotation.parts import Parts
from fer_batch.annotation.smooth import smoothed
from fer_batch.annotation.sources import Source
from fer_batch.emotions import LABELS
from fer_batch.settings import AnnotateSettings, QualitySettings
from fer_batch.spreadsheet import neutral_table
from fer_batch.storage import (
    FACE_COLUMNS,
    FRAME_COLUMNS,
    LANDMARK_COLUMNS,
    QUALITY_PARTS,
    SMOOTHED,
    VIDEO_ONLY,
    Column,
    schema,
    sync,
)

_ROWS_A_GROUP = 4096
"""Rows that wait in memory, at least; also the Parquet row group."""


@dataclass
class Totals:
    """What the closing summary says of a source; of bounded size."""

    frames: int = 0
    frames_with_faces: int = 0
    faces: int = 0
    uncertain: int = 0
    tracks: int = 0
    searched_closely: int = 0
    """Frames that were searched at their full size too."""
    missed: int = 0
    """Further faces that were found there."""
    last_time_s: float | None = None
    expressions: list[int] = field(default_factory=lambda: [0] * len(LABELS))

    @property
    def missed_estimate(self) -> int | None:
        """How many faces of all frames only their full size would show, about; None where no frame tells."""
        return round(self.missed / self.searched_closely * self.frames) if self.searched_closely else None


def write_tables(parts: Parts, source: Source, folder: Path, settings: AnnotateSettings) -> Totals:
    """Write `faces` and `frames` as CSV and Parquet; memory does not grow with their length.

    Args:
        parts: of the source, read to its end.
        source: what they are of.
        folder: where to write.
        settings: smoothing, and what is too poor to be read.

    Raises:
        OutputError: the tables cannot be written.
    """
    totals = Totals()
    pictures = source.kind != "video"
    left_out = VIDEO_ONLY if pictures else {"file"}
    with _TableWriter(folder / "frames", _but(FRAME_COLUMNS, left_out)) as frames:
        for table in parts.frames():
            totals.frames += len(table)
            totals.frames_with_faces += int(np.count_nonzero(table["faces"].to_numpy()))
            missed = table["missed"].drop_null()
            totals.searched_closely += len(missed)
            totals.missed += sum(missed.to_pylist())
            if len(table):
                totals.last_time_s = table["time_s"][-1].as_py()
            frames.write(_of(source, table))
    blocks = with_occlusion(parts.faces())
    if not pictures:
        blocks = smoothed(blocks, settings.smoothing, settings.quality)
    columns = _but(FACE_COLUMNS, left_out)
    with _TableWriter(folder / "faces", columns, (*QUALITY_PARTS, *LANDMARK_COLUMNS)) as faces:
        for table in _with_expressions(blocks, settings.quality):
            totals.faces += len(table)
            totals.uncertain += table["emotion"].null_count
            totals.tracks = max(totals.tracks, int(table["track"].to_numpy().max(initial=-1)) + 1)
            for label, count in Counter(table["emotion"].drop_null().to_pylist()).items():
                totals.expressions[LABELS.index(label)] += count
            faces.write(_of(source, table))
    return totals


def _with_expressions(blocks: Iterable[pa.Table], settings: QualitySettings) -> Iterator[pa.Table]:
    """Name each face's most probable expression, where it is sure enough and the face good enough."""
    for block in blocks:
        raw = _matrix(block, LABELS)
        good = block["quality"].to_numpy() >= settings.min_quality
        table = block.append_column("emotion", _named(raw, settings, good))
        table = table.append_column("confidence", pa.array(raw.max(1, initial=0), pa.float32()))
        if SMOOTHED[0] in block.column_names:
            even = _matrix(block, SMOOTHED)
            table = table.append_column("smoothed_emotion", _named(even, settings, ~np.isnan(even[:, 0])))
        yield table


def _named(
    probabilities: NDArray[np.float32], settings: QualitySettings, good: NDArray[np.bool_]
) -> pa.Array:
    confidence = probabilities.max(1, initial=0)
    stated = good & (confidence >= settings.min_confidence)
    names = np.array(LABELS)[np.nan_to_num(probabilities).argmax(1)]
    return pa.array(names, pa.string(), mask=~stated)


def _matrix(table: pa.Table, names: Sequence[str]) -> NDArray[np.float32]:
    """Columns side by side: float32 [N, len(names)], NaN for nulls."""
    return np.stack([table[name].to_numpy() for name in names], 1).astype(np.float32)


def _of(source: Source, table: pa.Table) -> pa.Table:
    return table.append_column("source", pa.array([source.name] * len(table), pa.string()))


def _but(columns: Sequence[Column], names: Iterable[str]) -> list[Column]:
    left_out = set(names)
    return [column for column in columns if column.name not in left_out]


class _TableWriter:
    """One table as CSV and Parquet at once, a row group at a time.

    Args:
        stem: path of both files without their suffix.
        columns: of the CSV.
        parquet_only: columns that Parquet has besides.
    """

    def __init__(self, stem: Path, columns: Sequence[Column], parquet_only: Sequence[Column] = ()) -> None:
        self._schema = schema([*columns, *parquet_only])
        self._csv_names = [column.name for column in columns]
        self._waiting: list[pa.Table] = []
        self._paths = [stem.with_suffix(".csv"), stem.with_suffix(".parquet")]
        options = pyarrow.csv.WriteOptions(quoting_style="needed")
        self._csv = pyarrow.csv.CSVWriter(str(self._paths[0]), schema(columns), write_options=options)
        self._parquet = pq.ParquetWriter(self._paths[1], self._schema, compression="zstd")

    def write(self, table: pa.Table) -> None:
        """Add rows; columns that the files do not have are left out."""
        self._waiting.append(table.select(self._schema.names).cast(self._schema))
        if sum(map(len, self._waiting)) >= _ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.concat_tables(self._waiting).combine_chunks()
            self._parquet.write_table(table)
            self._csv.write_table(neutral_table(table.select(self._csv_names)))
            self._waiting = []

    def __enter__(self) -> _TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._parquet.close()
        self._csv.close()
        for path in self._paths:
            sync(path)

"""Tables of one source, written as its frames come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from fer_batch.annotation.frames import AnnotatedFrame
from fer_batch.emotions import LABELS, Emotion
from fer_batch.storage import FACE_COLUMNS, FRAME_COLUMNS, LANDMARK_COLUMNS, LANDMARKS, Column, schema, sync

_ROWS_A_GROUP = 4096
"""Rows that wait in memory; also the Parquet row group."""


class TableWriter:
    """One table as CSV and Parquet at once, a row group at a time.

    Args:
        stem: path of both files without their suffix.
        columns: of the CSV.
        parquet_only: columns that Parquet has besides.
    """

    def __init__(self, stem: Path, columns: Sequence[Column], parquet_only: Sequence[Column] = ()) -> None:
        self._schema = schema([*columns, *parquet_only])
        self._csv_names = [column.name for column in columns]
        self._rows: list[dict[str, Any]] = []
        self._paths = [stem.with_suffix(".csv"), stem.with_suffix(".parquet")]
        options = pyarrow.csv.WriteOptions(quoting_style="needed")
        csv_schema = schema(columns)
        self._csv = pyarrow.csv.CSVWriter(str(self._paths[0]), csv_schema, write_options=options)
        self._parquet = pq.ParquetWriter(self._paths[1], self._schema, compression="zstd")

    def write(self, row: dict[str, Any]) -> None:
        """Add one row; columns that it does not name are null."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            table = pa.Table.from_pylist(self._rows, self._schema)
            self._parquet.write_table(table)
            self._csv.write_table(table.select(self._csv_names))
            self._rows = []

    def close(self) -> None:
        """Write what is left and put both files on the disk."""
        self._flush()
        self._parquet.close()
        self._csv.close()
        for path in self._paths:
            sync(path)


@dataclass
class Totals:
    """What the closing summary says of a source; of bounded size."""

    frames: int = 0
    frames_with_faces: int = 0
    faces: int = 0
    last_time_s: float | None = None
    expressions: list[int] = field(default_factory=lambda: [0] * len(LABELS))


class SourceWriter:
    """The tables `faces` and `frames` of one source.

    Args:
        folder: where to write them.
        source: the source's name, for its column.
        pictures: whether the source is pictures, which have the column `file`.
    """

    def __init__(self, folder: Path, source: str, *, pictures: bool) -> None:
        self._source = source
        self.totals = Totals()
        self._faces = TableWriter(folder / "faces", _columns(FACE_COLUMNS, pictures), LANDMARK_COLUMNS)
        self._frames = TableWriter(folder / "frames", _columns(FRAME_COLUMNS, pictures))

    def write(self, annotated: AnnotatedFrame) -> None:
        """Add a row for the frame, faces or none, and one for each face."""
        frame, faces = annotated.frame, annotated.faces
        place = {"source": self._source, "file": frame.file, "frame": frame.index, "time_s": frame.time_s}
        status = "corrupt" if frame.corrupt else "ok"
        self._frames.write(place | {"faces": len(faces), "status": status})
        for index in range(len(faces)):
            self._faces.write(place | _face_row(annotated, index))
        self._count(annotated)

    def _count(self, annotated: AnnotatedFrame) -> None:
        totals, n = self.totals, len(annotated.faces)
        totals.frames += 1
        totals.frames_with_faces += n > 0
        totals.faces += n
        totals.last_time_s = annotated.frame.time_s
        for emotion in annotated.probabilities.argmax(1).tolist():
            totals.expressions[emotion] += 1

    def __enter__(self) -> SourceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._faces.close()
        self._frames.close()


def _columns(columns: Sequence[Column], pictures: bool) -> list[Column]:
    return [column for column in columns if pictures or column.name != "file"]


def _face_row(annotated: AnnotatedFrame, index: int) -> dict[str, Any]:
    faces, probabilities = annotated.faces, annotated.probabilities[index]
    x0, y0, x1, y1 = faces.boxes[index].tolist()
    score = float(faces.scores[index])
    emotion = Emotion(int(np.argmax(probabilities)))
    points = faces.landmarks[index].tolist()
    return {
        "face": index,
        "x": x0,
        "y": y0,
        "width": x1 - x0,
        "height": y1 - y0,
        "detection_score": None if np.isnan(score) else score,
        "emotion": emotion.label,
        "confidence": float(probabilities[emotion]),
        **dict(zip(LABELS, probabilities.tolist(), strict=True)),
        **{
            f"{name}_{axis}": None if np.isnan(value) else value
            for name, point in zip(LANDMARKS, points, strict=True)
            for axis, value in zip("xy", point, strict=True)
        },
    }

"""Known expressions, to hold the found ones against."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fer_batch.annotation.sources import Source
from fer_batch.emotions import LABELS, Emotion
from fer_batch.errors import DatasetFormatError, InputError
from fer_batch.storage import real_path

_SPANS = ["source", "start_s", "end_s", "emotion"]
_FILES = ["file", "emotion"]
_BATCH_ROWS = 10_000


@dataclass
class Labels:
    """What is known: spans of time in videos, and single pictures."""

    spans: dict[str, list[tuple[float, float, Emotion]]] = field(default_factory=dict)
    """By source: from, to (not included), in seconds, and the expression."""
    files: dict[str, Emotion] = field(default_factory=dict)
    """By the picture's file name, alone or behind its folder's and a slash."""

    def of(self, sources: Sequence[str], time_s: float | None, file: str | None) -> Emotion | None:
        """The expression known for a frame, if any.

        Args:
            sources: the names that its source goes by.
            time_s: of a video's frame.
            file: of a picture. What is known of it in its source goes before what is known of any such name.
        """
        if file is not None:
            names = (*(f"{source}/{file}" for source in sources), file)
            return next((self.files[name] for name in names if name in self.files), None)
        spans = (span for source in sources for span in self.spans.get(source, ()))
        return next(
            (emotion for start, end, emotion in spans if time_s is not None and start <= time_s < end), None
        )


def read_labels(path: Path) -> Labels:
    """Read a CSV with the columns `source, start_s, end_s, emotion`, or `file, emotion`.

    Sources are named as the tables name them; with or without the suffix of their file. Pictures go by
    their file's name, or by their folder's and that: `folder/name.png`.

    Raises:
        InputError: the file cannot be read.
        DatasetFormatError: it has other columns, or a value that cannot be; the line is named.
    """
    labels = Labels()
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            columns = reader.fieldnames or []
            if not (set(_SPANS) <= set(columns) or set(_FILES) <= set(columns)):
                found = ", ".join(columns) or "nothing"
                raise DatasetFormatError(
                    f"{path}: expected the columns {', '.join(_SPANS)} or {', '.join(_FILES)}, found {found}"
                )
            for row in reader:
                _add(labels, row, f"{path}, line {reader.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"labels file {path} cannot be read: {error}") from error
    return labels


def _add(labels: Labels, row: dict[str, str], place: str) -> None:
    try:
        emotion = Emotion.from_label(row["emotion"] or "")
        if "file" in row:
            if labels.files.setdefault(row["file"], emotion) != emotion:
                before = labels.files[row["file"]].label
                raise ValueError(
                    f"{row['file']} was {before} in a line before; "
                    "name it folder/file where several folders have it"
                )
        else:
            start, end = float(row["start_s"]), float(row["end_s"])
            if not -math.inf < start < end < math.inf:
                raise ValueError(f"start_s is {start:g} and end_s {end:g}: the first must be less")
            labels.spans.setdefault(row["source"], []).append((start, end, emotion))
    except (ValueError, TypeError) as error:
        raise DatasetFormatError(f"{place}: {error}") from None


def count_agreement(source: Source, folder: Path, labels: Labels) -> NDArray[np.int64]:
    """A confusion matrix over a source's faces for which an expression is known.

    Where a frame has several faces, each counts; those whose expression is left empty do not.

    Returns:
        int64 [7, 7]: rows are known, columns found, in the order of `Emotion`.
    """
    pictures = source.kind != "video"
    folder_emotion = source.folder_emotion if pictures else None
    columns = ["time_s", "emotion", *(["file"] if pictures else [])]
    names = (source.name, f"{source.name}{source.path.suffix}", source.path.name)
    if source.kind == "image":  # named by itself, it is a source of its own
        names = (*names, real_path(source.path.parent).name)
    matrix = np.zeros((len(LABELS), len(LABELS)), np.int64)
    if folder_emotion is None and not labels.files and not labels.spans:
        return matrix
    with pq.ParquetFile(folder / "faces.parquet") as table:
        for batch in table.iter_batches(_BATCH_ROWS, columns=columns):
            for row in batch.to_pylist():
                known = _known(labels, names, row, folder_emotion)
                if known is not None and row["emotion"] is not None:
                    matrix[known, LABELS.index(row["emotion"])] += 1
    return matrix


def _known(
    labels: Labels, names: tuple[str, ...], row: dict[str, Any], otherwise: Emotion | None
) -> Emotion | None:
    found = labels.of(names, row["time_s"], row.get("file"))
    return otherwise if found is None else found

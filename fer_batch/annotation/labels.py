"""Known expressions, to hold the found ones against."""

from __future__ import annotations

import csv
import logging
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fer_batch.annotation.clock import SAME_TIME_S
from fer_batch.annotation.sources import Source
from fer_batch.emotions import LABELS, Emotion
from fer_batch.errors import DatasetFormatError, InputError
from fer_batch.spreadsheet import restored
from fer_batch.storage import readable

_log = logging.getLogger(__name__)

_SPANS = ("source", "start_s", "end_s", "emotion")
_FILES = ("file", "emotion")
_BATCH_ROWS = 10_000


class Span(NamedTuple):
    """A time of one expression, in seconds."""

    start_s: float
    end_s: float
    """Not included."""
    emotion: Emotion
    line: int
    """Where that is said."""


@dataclass
class Labels:
    """What is known: spans of time in videos, and single pictures."""

    spans: dict[str, list[Span]] = field(default_factory=dict)
    """By source, in order; none overlap."""
    files: dict[str, Emotion] = field(default_factory=dict)
    """By source, a slash, and the picture's file name."""

    def of(self, source: str, time_s: float | None, file: str | None) -> Emotion | None:
        """The expression known for a frame, if any.

        Args:
            source: its source's name.
            time_s: of a video's frame.
            file: of a picture.
        """
        if file is not None:
            return self.files.get(f"{source}/{file}")
        if time_s is None:
            return None
        spans, time_s = self.spans.get(source, []), time_s + SAME_TIME_S
        begun = bisect_right(spans, time_s, key=lambda span: span.start_s)
        return spans[begun - 1].emotion if begun and time_s < spans[begun - 1].end_s else None


def read_labels(path: Path, sources: Sequence[Source]) -> Labels:
    """Read a CSV with the columns `source, start_s, end_s, emotion`, or `file, emotion`.

    Sources are named as the tables name them, with or without the suffix of their file; pictures by their
    source's name, a slash, and their file's. Where only one of `sources` goes by it, a video's file name will
    do, and so will a picture's, alone or behind its folder's and a slash. Names that none of them goes by are
    passed over with a warning.

    Raises:
        InputError: the file cannot be read.
        DatasetFormatError: it has other columns, a value that cannot be, a name that several sources go by,
            or two expressions for one picture or time; the line is named.
    """
    columns, rows = _read(path)
    names = {name for _, (name, *_) in rows}
    meant = _meant(names, _pictures(sources) if columns is _FILES else _videos(sources))
    _warn_of_strangers(path, [(line, name) for line, (name, *_) in rows if name not in meant])
    labels = Labels()
    for line, (name, *times, label) in rows:
        try:
            emotion = Emotion.from_label(label)
            known = _only(name, meant.get(name, [name]))
            if times:
                start_s, end_s = (
                    _seconds(column, text) for column, text in zip(_SPANS[1:3], times, strict=True)
                )
                if start_s >= end_s:
                    raise ValueError(f"start_s is {start_s:g} and end_s {end_s:g}: the first must be less")
                labels.spans.setdefault(known, []).append(Span(start_s, end_s, emotion, line))
            elif labels.files.setdefault(known, emotion) != emotion:
                raise ValueError(
                    f"{name} was {labels.files[known].label} in a line before; "
                    "name it folder/file where several folders have it"
                )
        except ValueError as error:
            raise DatasetFormatError(f"{path}, line {line}: {error}") from None
    labels.spans = {source: _joined(spans, path) for source, spans in labels.spans.items()}
    return labels


def _read(path: Path) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    """The columns that count, and their values by line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            found = reader.fieldnames or []
            columns = next((some for some in (_FILES, _SPANS) if set(some) <= set(found)), None)
            if columns is None:
                raise DatasetFormatError(
                    f"{path}: expected the columns {', '.join(_SPANS)} or {', '.join(_FILES)}, "
                    f"found {', '.join(found) or 'nothing'}"
                )
            rows = []
            for row in reader:
                values = [restored((row[column] or "").strip()) for column in columns]
                if "" in values:
                    empty = columns[values.index("")]
                    raise DatasetFormatError(f"{path}, line {reader.line_num}: {empty} is empty")
                rows.append((reader.line_num, values))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"labels file {path} cannot be read: {error}") from error
    return columns, rows


def _seconds(column: str, text: str) -> float:
    """A time.

    Raises:
        ValueError: it is none; the column is named.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"{column} is {text!r}: it takes a number of seconds")
    return seconds


class _Named(NamedTuple):
    """A video or a picture."""

    known: str
    """What it goes by in `Labels`."""
    full: set[str]
    """Names that are its own, whoever else goes by them for short."""
    short: set[str]


def _videos(sources: Sequence[Source]) -> Iterator[_Named]:
    for source in sources:
        if source.kind == "video":
            full = {source.name, f"{source.name}{source.path.suffix}"}
            yield _Named(source.name, full, {readable(source.path.name)})


def _pictures(sources: Sequence[Source]) -> Iterator[_Named]:
    for source in sources:
        if source.kind == "video":
            continue
        folders = source.folder_names
        try:
            files = [readable(path.name) for path in source.pictures]
        except OSError:
            continue  # reading it will say why
        for file in files:
            known = f"{source.name}/{file}"
            yield _Named(known, {known}, {file, *(f"{folder}/{file}" for folder in folders)})


def _meant(names: set[str], every: Iterable[_Named]) -> dict[str, list[str]]:
    """What each name may mean: whatever has it as its full name, or else for short."""
    full: dict[str, list[str]] = {}
    short: dict[str, list[str]] = {}
    for one in every:
        for found, own in ((full, one.full), (short, one.short)):
            for name in own & names:
                found.setdefault(name, []).append(one.known)
    return short | full


def _warn_of_strangers(path: Path, rows: Sequence[tuple[int, str]]) -> None:
    """One file may have the labels of more footage than is read at once; but a name may also be mistyped."""
    if not rows:
        return
    line, name = rows[0]
    strangers = len({stranger for _, stranger in rows})
    named = "1 name fits" if strangers == 1 else f"{strangers} names fit"
    _log.warning("%s: %s no source of this run, the first %s in line %d", path, named, name, line)


def _only(name: str, meant: list[str]) -> str:
    if len(meant) > 1:
        raise ValueError(
            f"several sources have {name}, such as {meant[0]} and {meant[1]}: name it like one of those"
        )
    return meant[0]


def _joined(spans: list[Span], path: Path) -> list[Span]:
    """A source's spans in order; those of one expression that overlap as one."""
    joined: list[Span] = []
    for span in sorted(spans):
        if not joined or joined[-1].end_s <= span.start_s + SAME_TIME_S:
            joined.append(span)
            continue
        before = joined[-1]
        if span.emotion != before.emotion:
            first, second = sorted((before, span), key=lambda one: one.line)
            raise DatasetFormatError(
                f"{path}, line {second.line}: {second.emotion.label} from {second.start_s:g} to "
                f"{second.end_s:g} s overlaps {first.emotion.label} of line {first.line}"
            )
        if span.end_s > before.end_s:
            joined[-1] = span._replace(start_s=before.start_s)
    return joined


def count_agreement(source: Source, folder: Path, labels: Labels) -> NDArray[np.int64]:
    """A confusion matrix over a source's faces for which an expression is known.

    Where a frame has several faces, each counts; those whose expression is left empty do not.

    Returns:
        int64 [7, 7]: rows are known, columns found, in the order of `Emotion`.
    """
    pictures = source.kind != "video"
    folder_emotion = source.folder_emotion if pictures else None
    columns = ["time_s", "emotion", *(["file"] if pictures else [])]
    matrix = np.zeros((len(LABELS), len(LABELS)), np.int64)
    if folder_emotion is None and not labels.files and not labels.spans:
        return matrix
    with pq.ParquetFile(folder / "faces.parquet") as table:
        for batch in table.iter_batches(_BATCH_ROWS, columns=columns):
            for row in batch.to_pylist():
                found = labels.of(source.name, row["time_s"], row.get("file"))
                known = folder_emotion if found is None else found
                if known is not None and row["emotion"] is not None:
                    matrix[known, LABELS.index(row["emotion"])] += 1
    return matrix

"""The files of a dataset folder: pictures, one Parquet table a split, and the list of rejected rows."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq

from fer_batch.dataset.columns import make_column
from fer_batch.dataset.dialects import place
from fer_batch.dataset.images import encode
from fer_batch.dataset.samples import Item, Sample
from fer_batch.emotions import LABELS
from fer_batch.settings import PrepareSettings
from fer_batch.spreadsheet import neutral
from fer_batch.storage import DATASET_COLUMNS, FILE_COLUMN, VOTE_COLUMNS, Column, schema, sync

UNLABELLED = "unlabelled"
"""What rows without a label are counted under."""

PICTURES = "images"
"""The folder of the pictures."""

REJECTED = "rejected.csv"
"""The list of what could not be used."""

REJECTED_COLUMNS = ("file", "line", "reason", "row")

ROW_GROUP = 1000
"""Rows of a row group of a table: what is read, or written, at once."""

_LONGEST_SHOWN = 16_384  # characters of a rejected row; a whole row of FER2013 has up to 9.3 thousand


@dataclass(frozen=True)
class Accepted:
    """A picture that is written, and its row of the table.

    Attributes:
        item: what it was made of.
        source_split: the split that the source names, before `--splits two` merges any.
        values: the columns of `DATASET_COLUMNS` and `FILE_COLUMN`.
        resized: whether the source had it in another size.
    """

    item: Item
    source_split: str
    values: dict[str, Any]
    resized: bool


@dataclass(frozen=True)
class Rejected:
    """An item that could not be used, and why."""

    item: Item
    reason: str


def write_picture(
    item: Item, sample: Sample | ValueError, folder: Path, settings: PrepareSettings
) -> Accepted | Rejected:
    """If an item gave a sample with a label, write it under `folder/images/{split}/{class}/`.

    Raises:
        OSError: the picture cannot be written.
    """
    if isinstance(sample, ValueError):
        return Rejected(item, str(sample))
    data = encode(sample.image, settings.image_format)
    split = place(sample.split, settings.splits)
    name = None
    if sample.label is not None:
        name = f"{PICTURES}/{split}/{sample.label.label}/{item.id}.{settings.image_format}"
        write_file(folder / name, data)
    values = {
        "id": item.id,
        "row": item.row,
        "split": split,
        "label": None if sample.label is None else int(sample.label),
        "image": {"bytes": data, "path": name},
        "sha256": sample.sha256,
        "file": item.file,
    }
    return Accepted(item, sample.split, values, sample.resized)


def write_file(path: Path, data: bytes) -> None:
    """Write a small file, and make its folder where there is none; it is not synced.

    Raises:
        OSError: it cannot be written.
    """
    try:
        _create(path, data)
    except FileNotFoundError:  # the first of its class: folders are made where they are needed only
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path, data)


def _create(path: Path, data: bytes) -> None:
    # Three system calls where `Path.write_bytes` makes six: each lets go of Python's lock, and two
    # threads that write spend a fifth of their time getting it back.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    try:
        written = os.write(descriptor, data)
    finally:
        os.close(descriptor)
    if written < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class Tables:
    """The tables of a dataset folder, written row by row in bounded memory; a context manager.

    Args:
        folder: the folder to write to.
        with_votes: whether rows have FER+ votes.
        with_files: whether rows name a file of the source.

    Attributes:
        counts: labelled rows by split and class name; those without a label under `UNLABELLED`.
        rejected: how many rows were rejected.
        resized: how many pictures had another size.
    """

    def __init__(self, folder: Path, *, with_votes: bool, with_files: bool) -> None:
        self.counts: dict[str, dict[str, int]] = {}
        self.rejected = 0
        self.resized = 0
        self._folder = folder
        columns = (*DATASET_COLUMNS, *((FILE_COLUMN,) if with_files else ()))
        self._schema = _schema_for_datasets((*columns, *(VOTE_COLUMNS if with_votes else ())))
        self._open = ExitStack()
        self._tables: dict[str, pq.ParquetWriter] = {}
        self._waiting: dict[str, list[dict[str, Any]]] = {}

    def __enter__(self) -> Self:
        stream = (self._folder / REJECTED).open("w", encoding="utf-8", newline="")
        self._rejections = csv.writer(self._open.enter_context(stream), lineterminator="\n")
        self._rejections.writerow(REJECTED_COLUMNS)
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _traceback: object) -> None:
        with self._open:
            if kind is None:
                for split in self._tables:
                    self._flush(split)
        if kind is None:
            sync(self._folder / REJECTED)
            for split in self._tables:
                sync(self._path(split))

    def add(self, outcome: Accepted | Rejected, votes: Sequence[int] | None) -> None:
        """Count an outcome and put it into its table.

        Args:
            outcome: what became of an item.
            votes: its FER+ votes in the order of `storage.VOTES`, where the tables have them.
        """
        if isinstance(outcome, Rejected):
            self._reject(outcome)
            return
        values = dict(outcome.values)
        if votes is not None:
            values |= {column.name: count for column, count in zip(VOTE_COLUMNS, votes, strict=True)}
        split: str = values["split"]
        if split not in self._tables:
            self._begin(split)
        counts = self.counts[split]
        name = UNLABELLED if values["label"] is None else LABELS[values["label"]]
        counts[name] = counts.get(name, 0) + 1
        self.resized += outcome.resized
        self._waiting[split].append(values)
        if len(self._waiting[split]) == ROW_GROUP:
            self._flush(split)

    def _reject(self, outcome: Rejected) -> None:
        self.rejected += 1
        item = outcome.item
        texts = (item.file, outcome.reason, _shown(item.content))
        file, reason, content = map(neutral, texts)
        self._rejections.writerow([file, item.line, reason, content])

    def _begin(self, split: str) -> None:
        self.counts[split] = dict.fromkeys(LABELS, 0)
        self._waiting[split] = []
        self._tables[split] = self._open.enter_context(pq.ParquetWriter(self._path(split), self._schema))

    def _flush(self, split: str) -> None:
        rows = self._waiting[split]
        if rows:
            columns = [make_column([row[field.name] for row in rows], field.type) for field in self._schema]
            self._tables[split].write_table(pa.Table.from_arrays(columns, schema=self._schema))
            self._waiting[split] = []

    def _path(self, split: str) -> Path:
        return self._folder / f"{split}.parquet"


def find_lost(
    folder: Path, counts: Mapping[str, Mapping[str, int]], image_format: Literal["png", "jpg"]
) -> list[str]:
    """What is no longer there of a dataset folder, in words; nothing is read, and pictures are counted.

    Args:
        folder: the dataset folder.
        counts: what was written to it, as in `Tables.counts`.
        image_format: the format of its pictures.
    """
    names = [*(f"{split}.parquet" for split in counts), REJECTED]
    lost = [name for name in names if not (folder / name).is_file()]
    written = {
        folder / PICTURES / split / label: count
        for split, labels in counts.items()
        for label, count in labels.items()
        if label != UNLABELLED
    }
    missing = sum(max(n - len(list(place.glob(f"*.{image_format}"))), 0) for place, n in written.items())
    if missing:
        lost.append(f"{missing:,} of {sum(written.values()):,} pictures")
    return lost


def _shown(content: bytes) -> str:
    r"""A rejected row as printable ASCII, every other byte written as in Python: NUL as `\x00`."""
    text = content.decode("latin-1").encode("unicode_escape").decode("ascii")
    if len(text) <= _LONGEST_SHOWN:
        return text
    return f"{text[:1000]} ... {len(text) - 1200} characters more ... {text[-200:]}"


def _schema_for_datasets(columns: Sequence[Column]) -> pa.Schema:
    """The schema, with what the library `datasets` needs to give pictures and class names."""
    features: dict[str, object] = {
        column.name: {"dtype": str(column.type), "_type": "Value"} for column in columns
    }
    features["image"] = {"_type": "Image"}
    features["label"] = {"names": list(LABELS), "_type": "ClassLabel"}
    return schema(columns).with_metadata({"huggingface": json.dumps({"info": {"features": features}})})

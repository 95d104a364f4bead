"""A dataset folder, or a folder of class folders, back in memory as arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fer_batch.dataset.archives import reading
from fer_batch.dataset.class_folders import find_pictures, read_picture
from fer_batch.dataset.dialects import SPLITS
from fer_batch.dataset.images import decode_gray, pixel_sha256, resize
from fer_batch.emotions import LABELS
from fer_batch.errors import DatasetFormatError, InputError
from fer_batch.storage import VOTE_COLUMNS, readable

_BATCH_ROWS = 1000
_READ_AHEAD = 1 << 20  # bytes of each column


@dataclass(frozen=True, eq=False)
class Split:
    """The labelled pictures of one split; every field has the same N entries, in the same order.

    Attributes:
        name: `train`, `val` or `test`; for class folders without splits the name of the folder.
        ids: names of the pictures, unique in the split.
        images: uint8 [N, H, W], gray, 0–255.
        labels: int64 [N], 0–6 in the order of `Emotion`.
        votes: int64 [N, 10], FER+ votes in the order of `storage.VOTES`; None where there are none.
        sha256: fingerprints of the pictures' pixels, equal exactly for exact duplicates.
    """

    name: str
    ids: list[str]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    votes: NDArray[np.int64] | None
    sha256: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64], name: str) -> Split:
        """The rows at these positions, in this order, as a split called `name`."""
        votes = None if self.votes is None else self.votes[rows]
        ids, sha256 = ([values[row] for row in rows] for values in (self.ids, self.sha256))
        return Split(name, ids, self.images[rows], self.labels[rows], votes, sha256)


@dataclass(frozen=True)
class Unreadable:
    """A picture that was left out: its path relative to the folder, and why."""

    path: str
    reason: str


def load_split(dataset: Path, split: str) -> Split:
    """Load the labelled rows of one split of a dataset folder; rows without a label are left out.

    Args:
        dataset: folder written by `prepare`.
        split: `train`, `val` or `test`.

    Raises:
        InputError: the folder or the split does not exist.
        DatasetFormatError: the table is not one of `prepare`, a picture cannot be decoded, sizes
            are mixed, or no row has a label.
    """
    path = find_tables(dataset).get(split)
    if path is None:
        raise InputError(f"{dataset} has no split {split!r}: {_describe_splits(dataset)}")
    with open_table(path, ("id", "label", "image", "sha256")) as table:
        return _load(table, path, split)


def find_tables(dataset: Path) -> dict[str, Path]:
    """The tables that a dataset folder has, by split, in the order of `SPLITS`; none in other folders.

    Raises:
        InputError: it cannot be told.
    """
    paths = {split: dataset / f"{split}.parquet" for split in SPLITS}
    with reading(dataset):
        return {split: path for split, path in paths.items() if path.is_file()}


@contextmanager
def open_table(path: Path, columns: Sequence[str]) -> Iterator[pq.ParquetFile]:
    """Open a table that needs these columns, to be read in pieces.

    However large its row groups are, `iter_batches` holds no more than a batch and a little that it
    has read ahead.

    Raises:
        InputError: the file cannot be read, or its path is no text.
        DatasetFormatError: it is damaged, now or while it is read, or lacks one of the columns.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_AHEAD) as table:
            missing = [column for column in columns if column not in table.schema_arrow.names]
            if missing:
                raise DatasetFormatError(f"{path} lacks the columns {', '.join(missing)}; run prepare again")
            yield table
    except UnicodeEncodeError as error:  # of the path, which Arrow takes as text only
        raise InputError(f"cannot read {readable(path)}: its path is no text; rename its folder") from error
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # Arrow's own, of damage, have none
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        raise DatasetFormatError(f"{path} is damaged or not Parquet: {error}; run prepare again") from error


def load_class_folders(
    folder: Path, size: int, split: str | None = None
) -> tuple[Split, tuple[Unreadable, ...]]:
    """Load every picture under folders named after expressions, as gray, resized to a square.

    Both `folder/{class}/...` and `folder/{split}/{class}/...` are read; class names may be any that
    `Emotion.from_label` knows. Pictures that cannot be decoded, and those under folders that name
    no expression, are left out and listed.

    Args:
        folder: the folder of class folders.
        size: height and width of the arrays, in pixels.
        split: `train`, `val` or `test`, of a folder of splits; None reads all that is there.

    Returns:
        The pictures, in the order of their paths, and what was left out. Ids are paths relative to
        `folder`; `sha256` is of the picture as it was before resizing.

    Raises:
        InputError: the folder does not exist.
        DatasetFormatError: there is no class folder in it, or no picture can be read.
    """
    ids: list[str] = []
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    sha256: list[str] = []
    unreadable: list[Unreadable] = []
    for picture in find_pictures(folder):
        if split is not None and picture.split != split:
            continue
        try:
            label, image = read_picture(folder, picture)
        except ValueError as error:
            unreadable.append(Unreadable(picture.name, str(error)))
            continue
        ids.append(picture.name)
        images.append(resize(image, size))
        labels.append(int(label))
        sha256.append(pixel_sha256(image))
    if not images:
        first = f"; the first: {unreadable[0].path}: {unreadable[0].reason}" if unreadable else ""
        which = f" of {split}" if split else ""
        raise DatasetFormatError(f"{folder} has class folders, but no picture{which} that can be read{first}")
    name = split or readable(folder.resolve().name)
    arrays = Split(name, ids, np.stack(images), np.array(labels, np.int64), None, sha256)
    return arrays, tuple(unreadable)


def fingerprint(splits: Iterable[Split]) -> str:
    """SHA-256 of what the splits contain: split, id, label, pixels and votes of every picture.

    It depends neither on the order of rows nor on how tables and pictures are encoded.
    """
    rows = sorted(line for split in splits for line in _fingerprint_lines(split))
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _fingerprint_lines(split: Split) -> Iterator[str]:
    votes = [None] * len(split) if split.votes is None else split.votes.tolist()
    for row in zip(split.ids, split.labels.tolist(), split.sha256, votes, strict=True):
        yield json.dumps([split.name, *row]) + "\n"


def _describe_splits(dataset: Path) -> str:
    if not dataset.is_dir():
        return "the folder does not exist; make it with `fer-batch prepare`"
    found = find_tables(dataset)
    return (
        f"it has {', '.join(found)}"
        if found
        else "it is no dataset folder; make one with `fer-batch prepare`"
    )


def check_labels(path: Path, ids: pa.Array | pa.ChunkedArray, labels: pa.Array | pa.ChunkedArray) -> None:
    """Make sure that every label that there is names an expression.

    Raises:
        DatasetFormatError: one does not; it names the file and the row.
    """
    values = labels.fill_null(0).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero((values < 0) | (values >= len(LABELS))):
        raise DatasetFormatError(
            f"{path}: the label of row {ids[int(row)]} is {values[row]}, expected 0–6; run prepare again"
        )


def _load(table: pq.ParquetFile, path: Path, name: str) -> Split:
    columns = ["id", "label", "image", "sha256"]
    vote_columns = [column.name for column in VOTE_COLUMNS]
    has_votes = set(table.schema_arrow.names).issuperset(vote_columns)
    ids: list[str] = []
    labels: list[int] = []
    sha256: list[str] = []
    images: list[NDArray[np.uint8]] = []
    votes: list[NDArray[np.int64]] = []
    for batch in table.iter_batches(_BATCH_ROWS, columns=columns + (vote_columns if has_votes else [])):
        labelled = batch.filter(batch["label"].is_valid())
        ids += labelled["id"].to_pylist()
        labels += labelled["label"].to_pylist()
        check_labels(path, labelled["id"], labelled["label"])
        sha256 += labelled["sha256"].to_pylist()
        images.append(_decode(labelled, path))
        if has_votes:
            votes.append(np.stack([_integers(labelled[column]) for column in vote_columns], axis=1))
    sizes = sorted({image.shape[1:] for image in images if len(image)})
    if not sizes:
        raise DatasetFormatError(f"{path} has no row with a label")
    if len(sizes) > 1:
        raise DatasetFormatError(f"{path} mixes pictures of {_list_sizes(sizes)}; one size is needed")
    return Split(
        name,
        ids,
        np.concatenate([image for image in images if len(image)]),
        np.array(labels, np.int64),
        np.concatenate(votes) if has_votes else None,
        sha256,
    )


def _decode(rows: pa.RecordBatch, path: Path) -> NDArray[np.uint8]:
    images: list[NDArray[np.uint8]] = []
    for name, image in zip(rows["id"].to_pylist(), rows["image"].to_pylist(), strict=True):
        try:
            images.append(decode_gray(image["bytes"]))
        except ValueError as error:
            raise DatasetFormatError(
                f"{path}: the picture of row {name}: {error}; run prepare again"
            ) from error
    sizes = sorted({image.shape for image in images})
    if len(sizes) > 1:
        raise DatasetFormatError(f"{path} mixes pictures of {_list_sizes(sizes)}; one size is needed")
    return np.stack(images) if images else np.empty((0, 0, 0), np.uint8)


def _integers(column: Any) -> NDArray[np.int64]:
    return column.to_numpy(zero_copy_only=False).astype(np.int64)


def _list_sizes(sizes: list[tuple[int, ...]]) -> str:
    return ", ".join(f"{width}x{height}" for height, width in sizes)

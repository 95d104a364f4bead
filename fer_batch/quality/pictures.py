"""The pictures of a data set, one batch after the other: it may be larger than memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fer_batch.dataset.archives import reading
from fer_batch.dataset.arrays import check_labels, find_tables, open_table
from fer_batch.dataset.class_folders import find_pictures, has_class_folders, read_bytes
from fer_batch.dataset.dialects import SPLITS
from fer_batch.dataset.images import SIDE, decode_gray, pixel_sha256, resize
from fer_batch.emotions import LABELS
from fer_batch.errors import DatasetFormatError, InputError
from fer_batch.storage import PICTURE_SUFFIXES, file_sha256

_COLUMNS = ("id", "row", "label", "image", "sha256")


@dataclass(frozen=True, eq=False)
class Records:
    """What is known of N pictures without looking at them; every field has N entries, in one order.

    That order is train, val, test, and in a split that of the table, or of the paths of the files.

    Attributes:
        ids: their names, unique in their split; in class folders paths relative to the folder, as
            valid text.
        rows: int64 [N], rows of the source that the data set was prepared from; in class folders their
            places, from 0, in the order in which all are found.
        splits: `train`, `val` or `test`.
        labels: int64 [N], 0–6 in the order of `Emotion`; -1 where there is none.
    """

    ids: list[str]
    rows: NDArray[np.int64]
    splits: list[str]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Batch:
    """Some pictures that follow each other; its lists have the same number of entries.

    Attributes:
        start: where the first of them is in `Records`.
        images: uint8 [48, 48] each, gray, 0–255, resized; None for one that cannot be read.
        sha256: fingerprints of the pictures as large as they are, equal exactly for exact duplicates; empty
            for one that cannot be read.
        reasons: why it cannot be read; empty for those that can.
    """

    start: int
    images: list[NDArray[np.uint8] | None]
    sha256: list[str]
    reasons: list[str]

    def __len__(self) -> int:
        return len(self.images)


class PictureSource(Protocol):
    """A data set whose pictures can be read in order, and again one by one."""

    @property
    def path(self) -> Path:
        """The data set."""
        ...

    @property
    def records(self) -> Records:
        """What is known without reading pictures."""
        ...

    def identity(self) -> str:
        """SHA-256, in hexadecimal, that changes when the data set does; no picture is decoded for it.

        Raises:
            InputError: a file cannot be read.
        """
        ...

    def batches(self, size: int = 256) -> Iterator[Batch]:
        """All pictures in the order of `records`, at most `size` at a time.

        Raises:
            InputError: the data set cannot be read on.
        """
        ...

    def pictures(self, indices: Collection[int]) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        """The pictures at these places in `records`, one after the other, each with its place.

        They are uint8 [H, W], gray, as large as they are; None where one cannot be read.

        Raises:
            InputError: the data set cannot be read.
        """
        ...


def open_pictures(path: Path) -> TablePictures | FilePictures:
    """Find the pictures of a dataset folder or, where it has no tables, of a folder of class folders.

    Rows without a label, and pictures in folders that name no expression, are among them.

    Raises:
        InputError: the folder does not exist or cannot be read.
        DatasetFormatError: it is neither, has no pictures, or a table is damaged or none of `prepare`.
    """
    tables = find_tables(path)
    if not path.is_dir():
        raise InputError(f"{path} is not a folder")
    if not tables and not has_class_folders(path):
        raise DatasetFormatError(
            f"{path} is no data set: expected the folder that `fer-batch prepare` writes, or folders named "
            f"{', '.join(LABELS)}, directly or under train, val and test"
        )
    source = _open_tables(path, tables) if tables else _open_files(path)
    if not len(source.records):
        suffixes = ", ".join(sorted(PICTURE_SUFFIXES))
        raise DatasetFormatError(f"{path} has no pictures: files in class folders must end in {suffixes}")
    return source


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a dataset folder.

    Attributes:
        path: its file.
        split: the split whose rows it has.
        start: where its first row is in `Records`.
        schema: its columns.
        row_groups: how many rows each of its row groups has.
    """

    path: Path
    split: str
    start: int
    schema: pa.Schema
    row_groups: tuple[int, ...]

    @property
    def stop(self) -> int:
        """Where the first row after it is in `Records`."""
        return self.start + sum(self.row_groups)

    def batches(self, size: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Its rows in order, at most `size` at a time; None means all columns.

        Raises:
            InputError: the file cannot be read, or is damaged.
        """
        with open_table(self.path, ()) as table:
            for batch in table.iter_batches(size, columns=columns):
                batch.validate(full=True)  # damage may leave text that is none
                yield batch

    def pictures(self, wanted: set[int]) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        """Those pictures of `wanted` that it has, each with its place in `Records`.

        Raises:
            InputError: the file cannot be read, or is damaged.
        """
        with open_table(self.path, ()) as table:
            place = self.start
            for group, rows in enumerate(self.row_groups):
                if wanted.isdisjoint(range(place, place + rows)):
                    place += rows
                    continue
                for batch in table.iter_batches(256, row_groups=[group], columns=["image.bytes"]):
                    for data in batch["image"].field("bytes").to_pylist():
                        if place in wanted:
                            yield place, _decode(data)[0]
                        place += 1


@dataclass(frozen=True, eq=False)
class TablePictures:
    """A dataset folder; see `PictureSource`. Its pictures are read out of the tables."""

    path: Path
    records: Records
    tables: tuple[Table, ...]

    def identity(self) -> str:
        """SHA-256 of the lines that `sha256sum` prints for the tables."""
        digest = hashlib.sha256()
        for table in self.tables:
            with reading(table.path):
                digest.update(f"{file_sha256(table.path)}  {table.path.name}\n".encode())
        return digest.hexdigest()

    def batches(self, size: int = 256) -> Iterator[Batch]:
        """See `PictureSource.batches`; fingerprints are the table's, of the pixels of its own source.

        Raises:
            InputError: a table cannot be read, or is damaged.
        """
        for table in self.tables:
            start = table.start
            for batch in table.batches(size, ["image.bytes", "sha256"]):
                decoded = (_decode(data) for data in batch["image"].field("bytes").to_pylist())
                yield _batch(start, decoded, batch["sha256"].to_pylist())
                start += batch.num_rows

    def pictures(self, indices: Collection[int]) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        """See `PictureSource.pictures`; only row groups that have one of them are read.

        Raises:
            InputError: a table cannot be read, or is damaged.
        """
        wanted = set(indices)
        for table in self.tables:
            yield from table.pictures(wanted)


@dataclass(frozen=True, eq=False)
class FilePictures:
    """A folder of class folders; see `PictureSource`.

    Attributes:
        path: the folder.
        records: what is known of its pictures.
        files: their paths relative to it, as the file system has them.
    """

    path: Path
    records: Records
    files: tuple[str, ...]

    def identity(self) -> str:
        """SHA-256 of size, time of the last change in nanoseconds, and path of every picture file."""
        digest = hashlib.sha256()
        for name in self.files:
            digest.update(os.fsencode(f"{_stamp(self.path / name)} {name}\n"))
        return digest.hexdigest()

    def batches(self, size: int = 256) -> Iterator[Batch]:
        """See `PictureSource.batches`; fingerprints are of the gray pixels."""
        for start in range(0, len(self.records), size):
            names = self.files[start : start + size]
            decoded = (_read(self.path / name) for name in names)
            yield _batch(start, decoded, [""] * len(names))

    def pictures(self, indices: Collection[int]) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        """See `PictureSource.pictures`."""
        for index in set(indices):
            yield index, _read(self.path / self.files[index])[0]


def _open_tables(path: Path, paths: dict[str, Path]) -> TablePictures:
    tables: list[Table] = []
    ids: list[str] = []
    splits: list[str] = []
    rows: list[NDArray[np.int64]] = []
    labels: list[NDArray[np.int64]] = []
    for split, file in paths.items():
        with open_table(file, _COLUMNS) as table:
            metadata = table.metadata
            groups = tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
            tables.append(Table(file, split, len(ids), table.schema_arrow, groups))
            known = table.read(["id", "row", "label"])
            known.validate(full=True)
        check_labels(file, known["id"], known["label"])
        names, values = known["id"].to_pylist(), known["label"].fill_null(-1).to_numpy()
        ids += names
        rows.append(known["row"].to_numpy())
        labels.append(values)
        splits += [split] * len(names)
    return TablePictures(
        path, Records(ids, np.concatenate(rows), splits, np.concatenate(labels)), tuple(tables)
    )


def _open_files(path: Path) -> FilePictures:
    found = list(enumerate(find_pictures(path)))
    found.sort(key=lambda item: SPLITS.index(item[1].split))  # stable: as found within a split
    records = Records(
        ids=[picture.name for _, picture in found],
        rows=np.array([row for row, _ in found], np.int64),
        splits=[picture.split for _, picture in found],
        labels=np.array([-1 if picture.label is None else picture.label for _, picture in found], np.int64),
    )
    return FilePictures(path, records, tuple(picture.path for _, picture in found))


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:  # a link that leads nowhere: it is listed, and cannot be read
        return "-"
    return f"{status.st_size} {status.st_mtime_ns}"


_Decoded = tuple[NDArray[np.uint8] | None, str]  # a picture, or the reason why there is none


def _read(path: Path) -> _Decoded:
    try:
        data = read_bytes(path)
    except ValueError as error:
        return None, str(error)
    return _decode(data)


def _decode(data: bytes | None) -> _Decoded:
    try:
        return decode_gray(data or b""), ""
    except ValueError as error:
        return None, str(error)


def _batch(start: int, decoded: Iterable[_Decoded], sha256: Sequence[str | None]) -> Batch:
    """A batch; where no fingerprint is known, that of the decoded pixels is taken.

    Pictures are resized as they come, so that no batch of large ones is ever in memory.
    """
    batch = Batch(start, [], [], [])
    for (image, reason), known in zip(decoded, sha256, strict=True):
        batch.images.append(None if image is None else resize(image, SIDE))
        batch.sha256.append("" if image is None else known or pixel_sha256(image))
        batch.reasons.append(reason)
    return batch

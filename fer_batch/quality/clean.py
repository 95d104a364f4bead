"""A data set once more, without the pictures that are dropped."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fer_batch.dataset.class_folders import find_pictures, read_bytes
from fer_batch.dataset.columns import make_column
from fer_batch.dataset.dialects import SPLITS
from fer_batch.dataset.prepare import (
    MANIFEST,
    OF_FILTER,
    PARTS,
    is_vacant,
    read_manifest,
    refuse_strangers,
    written_pictures,
)
from fer_batch.dataset.writer import PICTURES, REJECTED, ROW_GROUP, UNLABELLED, write_file
from fer_batch.emotions import LABELS
from fer_batch.errors import DatasetFormatError, InputError, UsageError
from fer_batch.progress import Progress, silent
from fer_batch.quality.pictures import (
    FilePictures,
    PictureSource,
    Records,
    Table,
    TablePictures,
    open_pictures,
)
from fer_batch.spreadsheet import neutral, restored
from fer_batch.storage import atomic_folder, read_json, readable, real_path, sync, versions, write_json

FOLDERS_MANIFEST = "filter.json"
"""The manifest of a clean folder of class folders; a clean dataset folder has `prepare`'s."""

FOLDERS_KIND = "fer-batch clean class folders"

DROPPED = "dropped.csv"
DROPPED_COLUMNS = ("id", "split", "label", "checks", "reason")

UNREADABLE = "unreadable"
"""The check that a kept file fails which is not there any more when it is to be copied."""


@dataclass(frozen=True)
class Dropped:
    """A picture that is not in the clean set.

    Attributes:
        index: its place in `Records`.
        id: its name in the data set.
        split: `train`, `val` or `test`.
        label: the name of its expression; empty where it has none.
        checks: the checks that it failed.
        reason: what is wrong with it, for people.
    """

    index: int
    id: str
    split: str
    label: str
    checks: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class CleanResult:
    """What is in a clean set.

    Attributes:
        path: the folder.
        counts: its pictures by split and class name, and `unlabelled` ones.
        kept: how many they are.
        dropped: how many pictures of the source are not among them.
        by_check: how many of those failed each check; one that failed two counts in both.
        already_done: whether the folder was there, made from the same.
    """

    path: Path
    counts: dict[str, dict[str, int]]
    kept: int
    dropped: int
    by_check: dict[str, int]
    already_done: bool


def dropped_before(folder: Path) -> frozenset[str]:
    """The ids that the `dropped.csv` of a clean set lists; none where the folder is no clean set.

    Raises:
        InputError: the list cannot be read.
    """
    path = folder / DROPPED
    if _clean_manifest(folder) is None or not path.is_file():
        return frozenset()
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return frozenset(restored(row["id"]) for row in csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise InputError(f"{path} cannot be read as what filter dropped: {error}") from error


def is_written(source: PictureSource, out: Path, made_from: Mapping[str, Any], *, overwrite: bool) -> bool:
    """Whether `out` holds the clean set of this source, made from the same; else it may be written.

    Whoever is going to measure for an hour asks first.

    Args:
        source: the data set.
        out: where its clean set is to be.
        made_from: see `write_clean`.
        overwrite: see `write_clean`.

    Raises:
        UsageError: `out` overlaps the source, or holds something else that is not to be replaced.
        DatasetFormatError: the source is a dataset folder without the manifest of `prepare`.
        InputError: the source cannot be read.
    """
    return _written(source, out, made_from, overwrite=overwrite) is not None


def write_clean(
    source: TablePictures | FilePictures,
    out: Path,
    keep: NDArray[np.bool_],
    dropped: Sequence[Dropped],
    made_from: Mapping[str, Any],
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> CleanResult:
    """Write a data set without the pictures that are dropped, in the form that it has itself.

    Of a dataset folder that is one that `prepare` might have written: tables of the same columns, in
    row groups of as many rows, and the files of labelled pictures; a split that loses all its rows has
    no table. `dataset.json` is the source's with new counts, and `filter`, the list of the steps that
    led here: of each its source, what it was made from, and how many pictures it kept and dropped. Of
    a folder of class folders it is the files under the same paths, with `filter.json`, which has that
    list too, and the paths of its pictures. Encoded pictures stay as they are, byte for byte. `dropped.csv`
    lists the dropped ones, after those of earlier steps.

    The folder is built beside its place and renamed once: it is whole or not there. Where it is there
    already, of the same source and made from the same, nothing is done. At most a batch of rows and a
    row group of kept ones, or one file, are held in memory beside `records`.

    Args:
        source: the data set.
        out: the folder to write.
        keep: bool [N], which of its pictures stay.
        dropped: the others, each with its reason, in their order.
        made_from: all that `keep` follows from besides the source, such as settings; JSON, without the
            keys `source`, `kept` and `dropped`.
        overwrite: replace a clean set of another source, made from something else, or that lacks files.
            A folder that is no clean set, or that holds something else besides, is never replaced.
        progress: told how many pictures are done.

    Returns:
        What is in the folder.

    Raises:
        UsageError: `out` overlaps the source or holds something else, or no picture is kept.
        DatasetFormatError: a table is damaged or none of `prepare`, or its manifest is missing.
        InputError: the source cannot be read.
        OutputError: the folder cannot be written.
        ValueError: `keep` and `dropped` contradict each other.
    """
    if [picture.index for picture in dropped] != np.flatnonzero(~keep).tolist():
        raise ValueError("`dropped` must be exactly the pictures that are not kept, in their order")
    there = _written(source, out, made_from, overwrite=overwrite)
    if there is not None:
        return _result(out, there, already_done=True)
    if not keep.any():
        raise UsageError(f"every picture of {source.path} would be dropped; drop fewer, or raise thresholds")
    before = _source_manifest(source)
    with atomic_folder(out) as partial:
        if isinstance(source, TablePictures):
            _write_tables(source, partial, keep, progress)
        else:
            missing = _write_files(source, partial, keep, progress)
            written = (path.relative_to(partial) for path in partial.rglob("*") if path.is_file())
            before["pictures"] = sorted(readable(path.as_posix()) for path in written)
            keep = keep.copy()
            keep[[picture.index for picture in missing]] = False
            dropped = sorted([*dropped, *missing], key=lambda picture: picture.index)
        _write_dropped(partial / DROPPED, dropped, source.path / DROPPED if "filter" in before else None)
        checks = Counter(check for picture in dropped for check in picture.checks)
        step = _recipe(source, made_from) | {
            "kept": int(keep.sum()),
            "dropped": {"pictures": len(dropped), "by_check": dict(sorted(checks.items()))},
        }
        manifest = before | {
            "counts": _count(source.records, keep),
            "filter": [*before.get("filter", []), step],
            "versions": versions("numpy", "opencv-python-headless", "pyarrow"),
        }
        write_json(partial / _manifest_name(source), manifest)
    return _result(out, manifest, already_done=False)


def _written(
    source: PictureSource, out: Path, made_from: Mapping[str, Any], *, overwrite: bool
) -> dict[str, Any] | None:
    """The manifest of the clean set that is wanted, where it is there; see `is_written`."""
    _source_manifest(source)
    _refuse_overlap(source.path, out)
    if is_vacant(out):
        return None
    there = _clean_manifest(out)
    if there is None:
        raise UsageError(f"OUT {out} is no clean set of filter and is left alone; choose another folder")
    same = _identity(there["filter"][-1]) == _identity(_recipe(source, made_from))
    lost = _lost(out, there) if same else ""
    if same and not lost:
        return there
    if not overwrite:
        what = (
            f"lacks {lost} of this clean set"
            if lost
            else "holds another clean set, or this one with other settings or other measurements"
        )
        raise UsageError(f"OUT {out} {what}; choose another folder, or replace it with --overwrite")
    if there["kind"] == FOLDERS_KIND:
        _refuse_strangers(out, there)
    else:
        refuse_strangers(out, PARTS, written_pictures(out, there["counts"]))
    return None


def _refuse_strangers(out: Path, manifest: Mapping[str, Any]) -> None:
    """The same for a clean folder of class folders, whose manifest lists its pictures."""
    refuse_strangers(out, {FOLDERS_MANIFEST, *OF_FILTER}, _still_there(out, manifest))


def _still_there(out: Path, manifest: Mapping[str, Any]) -> set[str]:
    """The paths of the pictures in a clean folder of class folders that filter put there."""
    try:
        found = {picture.path for picture in find_pictures(out)}
    except InputError:  # its class folders are lost
        return set()
    listed = set(manifest["pictures"])
    return {path for path in found if readable(path) in listed}


def _refuse_overlap(source: Path, out: Path) -> None:
    inner, outer = real_path(out), real_path(source)
    if inner.is_relative_to(outer):
        raise UsageError(f"OUT {out} is or lies inside the data set {source}; choose another folder")
    if outer.is_relative_to(inner):
        raise UsageError(f"the data set {source} lies inside OUT {out}; choose another folder")


def _source_manifest(source: PictureSource) -> dict[str, Any]:
    """What the manifest of a clean set begins with: the source's own, where it has one."""
    if not isinstance(source, TablePictures):
        return _folders_manifest(source.path) or {"kind": FOLDERS_KIND, "status": "ok"}
    manifest = read_manifest(source.path)
    if manifest is None:
        raise DatasetFormatError(
            f"{source.path} has no {MANIFEST} of prepare, which a clean set needs; run prepare again"
        )
    return manifest


def _manifest_name(source: PictureSource) -> str:
    return MANIFEST if isinstance(source, TablePictures) else FOLDERS_MANIFEST


def _folders_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = read_json(folder / FOLDERS_MANIFEST)
    except InputError:
        return None
    if not isinstance(manifest, dict) or manifest.get("kind") != FOLDERS_KIND:
        return None
    return manifest if isinstance(manifest.get("pictures"), list) else None


def _clean_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a clean set of either form; None where the folder is something else."""
    manifest = read_manifest(folder) or _folders_manifest(folder)
    return manifest if manifest is not None and manifest.get("filter") else None


def _recipe(source: PictureSource, made_from: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a step that is known before anything is written, as JSON gives it back."""
    name = {"name": readable(real_path(source.path).name), "identity": source.identity()}
    return {"source": name} | json.loads(json.dumps(made_from))


def _identity(step: Mapping[str, Any]) -> tuple[object, ...]:
    """What is equal in two steps exactly when their pictures are."""
    made_from = {key: value for key, value in step.items() if key not in {"source", "kept", "dropped"}}
    return step["source"]["identity"], made_from


def _lost(out: Path, manifest: Mapping[str, Any]) -> str:
    """What is no longer there of a clean set, in words; pictures are not read."""
    kept = manifest["filter"][-1]["kept"]
    if manifest["kind"] == FOLDERS_KIND:
        pictures = len(_still_there(out, manifest))
    else:
        try:
            pictures = len(open_pictures(out).records)
        except InputError:  # tables are missing or damaged
            pictures = 0
        # Rows with a label have a file too.
        unlabelled = sum(labels.get(UNLABELLED, 0) for labels in manifest["counts"].values())
        files = (out / PICTURES).glob(f"*/*/*.{manifest['settings']['image_format']}")
        pictures = min(pictures, unlabelled + sum(1 for _ in files))
    if pictures < kept:
        return f"{kept - pictures:,} of {kept:,} pictures"
    return "" if (out / DROPPED).is_file() else DROPPED


def _result(out: Path, manifest: Mapping[str, Any], *, already_done: bool) -> CleanResult:
    step = manifest["filter"][-1]
    return CleanResult(
        path=out,
        counts=manifest["counts"],
        kept=step["kept"],
        dropped=step["dropped"]["pictures"],
        by_check=step["dropped"]["by_check"],
        already_done=already_done,
    )


def _count(records: Records, keep: NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    """The kept pictures by split and class name, in the form of `prepare`'s manifest."""
    counts: dict[str, dict[str, int]] = {}
    splits = np.array(records.splits)
    for split in SPLITS:
        labels = records.labels[keep & (splits == split)]
        if len(labels):
            numbers = np.bincount(labels + 1, minlength=1 + len(LABELS)).tolist()
            counts[split] = dict(zip(LABELS, numbers[1:], strict=True))
            if numbers[0]:
                counts[split][UNLABELLED] = numbers[0]
    return counts


def _write_dropped(path: Path, dropped: Iterable[Dropped], earlier: Path | None) -> None:
    """Write the list, after the one of earlier steps."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        if earlier is not None and earlier.is_file():
            with earlier.open(encoding="utf-8", newline="") as before:
                shutil.copyfileobj(before, stream)
        else:
            rows.writerow(DROPPED_COLUMNS)
        rows.writerows(
            [neutral(d.id), d.split, d.label, "; ".join(d.checks), neutral(d.reason)] for d in dropped
        )
    sync(path)


def _write_tables(source: TablePictures, folder: Path, keep: NDArray[np.bool_], progress: Progress) -> None:
    for table in source.tables:
        if keep[table.start : table.stop].any():
            path = folder / table.path.name
            with pq.ParquetWriter(path, table.schema) as writer:
                for rows in _in_row_groups(_kept_rows(table, keep, progress)):
                    _write_pictures(rows, table, folder)
                    writer.write_table(rows)
            sync(path)
    rejected = source.path / REJECTED
    if rejected.is_file():
        shutil.copyfile(rejected, folder / rejected.name)
        sync(folder / rejected.name)


def _kept_rows(table: Table, keep: NDArray[np.bool_], progress: Progress) -> Iterator[pa.RecordBatch]:
    done = table.start
    for batch in table.batches(ROW_GROUP):
        rows = np.flatnonzero(keep[done : done + batch.num_rows])
        yield batch.take(make_column(rows.tolist(), pa.int64()))
        done += batch.num_rows
        progress("writing pictures", done, len(keep))


def _in_row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of `ROW_GROUP`, the last of what is left."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(part.num_rows for part in waiting) >= ROW_GROUP:
            rows = pa.Table.from_batches(waiting)
            yield rows.slice(0, ROW_GROUP)
            waiting = rows.slice(ROW_GROUP).to_batches()  # no batch has more rows than a group
    if any(part.num_rows for part in waiting):
        yield pa.Table.from_batches(waiting)


def _write_pictures(rows: pa.Table, table: Table, folder: Path) -> None:
    """Write the files of the rows that have one.

    Raises:
        DatasetFormatError: a path is not the one that `prepare` gives; it might lead anywhere.
    """
    for row in rows.select(["id", "label", "image"]).to_pylist():
        path, label = row["image"]["path"], row["label"]
        if path is None:
            continue
        place = None if label is None else f"{PICTURES}/{table.split}/{LABELS[label]}"
        if PurePosixPath(path).parent.as_posix() != place or "\\" in path:
            raise DatasetFormatError(
                f"{table.path}: the picture of row {row['id']} has the path {path}, expected one in {place}; "
                "run prepare again"
            )
        write_file(folder / path, row["image"]["bytes"] or b"")


def _write_files(
    source: FilePictures, folder: Path, keep: NDArray[np.bool_], progress: Progress
) -> list[Dropped]:
    """Copy the kept files; those that are not there to be copied are returned, for one stops no others."""
    missing: list[Dropped] = []
    records = source.records
    for index, (name, split, label) in enumerate(
        zip(source.files, records.splits, records.labels, strict=True)
    ):
        if keep[index]:
            try:
                data = read_bytes(source.path / name)
            except ValueError as error:
                picture, class_name = records.ids[index], LABELS[label] if label >= 0 else ""
                missing.append(Dropped(index, picture, split, class_name, (UNREADABLE,), str(error)))
            else:
                write_file(folder / name, data)
        progress("copying pictures", index + 1, len(keep))
    return missing

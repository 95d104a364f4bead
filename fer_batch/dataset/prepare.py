"""FER2013, however it was downloaded, into a dataset folder."""

from __future__ import annotations

from collections.abc import Collection, Container, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any

from fer_batch.dataset.archives import find_csv_files, member_names, reading
from fer_batch.dataset.arrays import open_table
from fer_batch.dataset.class_folders import (
    FolderSource,
    find_pictures,
    has_class_folders,
)
from fer_batch.dataset.csv_source import choose_files
from fer_batch.dataset.dialects import SPLITS
from fer_batch.dataset.ferplus import read_votes
from fer_batch.dataset.published import published_counts
from fer_batch.dataset.samples import ItemT, Source
from fer_batch.dataset.writer import PICTURES, REJECTED, Accepted, Rejected, Tables, find_lost, write_picture
from fer_batch.emotions import LABELS
from fer_batch.errors import DatasetFormatError, InputError, UsageError
from fer_batch.progress import Progress, silent
from fer_batch.settings import PrepareSettings, validated
from fer_batch.storage import (
    LOCK,
    PICTURE_SUFFIXES,
    atomic_folder,
    file_sha256,
    read_json,
    readable,
    real_path,
    versions,
    walk,
    write_json,
    writing,
)
from fer_batch.threads import ordered_map

MANIFEST = "dataset.json"
KIND = "fer-batch dataset"
RESULTS_VERSION = 1
"""Raised when the same source and settings give other pictures or tables, not with every release."""

OF_FILTER = ("quality.parquet", "quality.parquet.begun", "audit.html", "dropped.csv")
"""What `filter` adds to a folder, one of them where it was stopped: of no use without the rest."""
PARTS = frozenset(
    {
        MANIFEST,
        REJECTED,
        *(f"{split}.parquet" for split in SPLITS),
        *OF_FILTER,
    }
)
"""What a dataset folder consists of beside its pictures. It goes when another takes its place."""

_OF_SYSTEMS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", LOCK})
"""What lies in folders without anybody's doing; so do files named `._*`, of macOS."""
_MOST_NAMED = 3  # files in a message

_WORKERS = 2  # decoding text holds Python's lock; encoding and writing files do not: more gain nothing
_CHUNK = 100  # rows a task: large beside the cost of handing one over, small beside memory


@dataclass(frozen=True)
class PrepareResult:
    """What is in a dataset folder.

    Attributes:
        path: the folder.
        counts: rows by split and class name, and `unlabelled` rows.
        published: the counts published for FER2013, in the same form and layout, without `unlabelled`.
        rejected: rows and pictures that could not be used; `rejected.csv` lists them.
        resized: pictures that were not 48x48 in the source.
        already_done: whether the folder was there, of the same source and settings.
    """

    path: Path
    counts: dict[str, dict[str, int]]
    published: dict[str, dict[str, int]]
    rejected: int
    resized: int
    already_done: bool


def prepare(
    source: Path | str,
    out: Path | str,
    settings: PrepareSettings | None = None,
    *,
    ferplus: Path | str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> PrepareResult:
    """Turn FER2013 into a dataset folder: pictures in class folders, Parquet tables, rejected rows.

    Rows that cannot be used are listed in `rejected.csv` with their reason and never stop the rest.
    The folder is built beside its place and renamed once: it is whole or not there. Where it is
    there already, of the same source and settings, nothing is done.

    Args:
        source: `fer2013.csv`, `icml_face_data.csv`, `train.csv` or `test.csv`; a gzip, zip or tar
            archive or a folder with such files; or a folder of class folders (`{class}/...` or
            `{split}/{class}/...`), whose pictures become gray and 48x48.
        out: the dataset folder to write.
        settings: layout and picture format.
        ferplus: FER+ votes (`fer2013new.csv`), joined by row and checked against `Usage`.
        overwrite: replace a dataset folder of another source or other settings, or one that lacks
            files. A folder that `prepare` did not write, or that holds something else besides, is
            never replaced.
        progress: told how much of the source is read.

    Returns:
        What is in the folder.

    Raises:
        UsageError: `out` holds something else, or what is to be read; or `ferplus` cannot be joined
            to this source.
        DatasetFormatError: the source is not FER2013, or `ferplus` is not of the same rows.
        InputError: the source or `ferplus` cannot be read.
        OutputError: the folder cannot be written.
    """
    source, out, ferplus = Path(source), Path(out), None if ferplus is None else Path(ferplus)
    settings = validated(PrepareSettings, settings)
    opened = _open_source(source)
    _check_arguments(source, out, opened, ferplus)
    recipe = _recipe(source, opened, settings, ferplus)
    if _is_done(out, recipe, overwrite=overwrite):
        return _result(out, read_json(out / MANIFEST), already_done=True)
    with atomic_folder(out) as partial:
        tables = _write(opened, partial, settings, ferplus, progress)
        counts = {split: tables.counts[split] for split in SPLITS if split in tables.counts}
        manifest = recipe | {
            "counts": counts,
            "published": _published(opened, settings, counts),
            "rejected": tables.rejected,
            "resized": tables.resized,
            "versions": versions("numpy", "opencv-python-headless", "pyarrow"),
        }
        write_json(partial / MANIFEST, manifest)
    return _result(out, manifest, already_done=False)


def _open_source(path: Path) -> Source:
    with reading(path):
        exists = path.exists()
    if not exists:
        raise InputError(f"{path} does not exist")
    if path.is_dir() and has_class_folders(path):
        return FolderSource(path, tuple(find_pictures(path)))
    if (path / MANIFEST).is_file() and (path / "images").is_dir():
        raise DatasetFormatError(f"{path} is a data set folder already: name what it was made from")
    files = find_csv_files(path)
    if files:
        return choose_files(path, files)
    if not path.is_dir() and any(_is_picture(name) for name in member_names(path)):
        raise DatasetFormatError(
            f"{path} holds pictures and no CSV files: unpack it, and name the folder of its class folders"
        )
    found = "class folders or CSV files" if path.is_dir() else "CSV files"
    raise DatasetFormatError(
        f"{path} holds no {found}: expected fer2013.csv, icml_face_data.csv, or train.csv and test.csv, "
        f"or a folder with folders named {', '.join(LABELS)}"
    )


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def _check_arguments(source: Path, out: Path, opened: Source, ferplus: Path | None) -> None:
    if ferplus is not None and not opened.has_usage:
        raise UsageError(
            f"--ferplus cannot be joined to {source}: votes are checked against each row's Usage, "
            "and it has none; use fer2013.csv or icml_face_data.csv"
        )
    if isinstance(opened, FolderSource) and real_path(out).is_relative_to(real_path(source)):
        raise UsageError(
            f"OUT {out} lies inside the source {source}, which would then read it; choose another folder"
        )
    for what, path in (("the source", source), ("--ferplus", ferplus)):
        if path is not None and real_path(path).is_relative_to(real_path(out)):
            raise UsageError(
                f"{what} {path} lies inside OUT {out}, a folder that is written as a whole; "
                "choose another folder"
            )


def _recipe(source: Path, opened: Source, settings: PrepareSettings, ferplus: Path | None) -> dict[str, Any]:
    """The part of the manifest that is known before anything is written."""
    votes = None
    if ferplus is not None:
        with reading(ferplus):
            votes = {"name": readable(ferplus.name), "sha256": file_sha256(ferplus)}
    return {
        "kind": KIND,
        "status": "ok",
        "results_version": RESULTS_VERSION,
        "source": {
            "name": readable(real_path(source).name),
            "dialect": opened.dialect,
            "sha256": opened.sha256(),
        },
        "ferplus": votes,
        "settings": asdict(settings),
    }


def _is_done(out: Path, recipe: dict[str, Any], *, overwrite: bool) -> bool:
    """Whether `out` holds the result of this recipe.

    Raises:
        UsageError: it holds something else that is not to be replaced.
    """
    if is_vacant(out):
        return False
    there = read_manifest(out)
    if there is None:
        raise UsageError(
            f"OUT {out} is no dataset folder ({MANIFEST} is missing or damaged) and is left alone; "
            "choose another folder"
        )
    same = _identity(there) == _identity(recipe)
    lost = find_lost(out, there["counts"], there["settings"]["image_format"]) if same else []
    if same and not lost:
        return True
    if not overwrite:
        what = (
            f"lacks files of this data set ({', '.join(lost)})"
            if lost
            else "holds another data set, or this one with other settings"
        )
        raise UsageError(f"OUT {out} {what}; choose another folder, or replace it with --overwrite")
    refuse_strangers(out, PARTS, written_pictures(out, there["counts"]))
    return False


def written_pictures(out: Path, splits: Container[str]) -> set[str]:
    """The paths of the pictures of a dataset folder, relative to it; no picture is read.

    They are those that its tables list. Where a table is lost or damaged they are all that lie where the
    pictures of its split do.

    Args:
        out: the folder.
        splits: the splits that it was written with.
    """
    pictures: set[str] = set()
    for split in SPLITS:
        if split not in splits:
            continue
        try:
            with open_table(out / f"{split}.parquet", ("image",)) as table:
                for paths in table.read(["image.path"]).flatten().columns:
                    pictures.update(path for path in paths.to_pylist() if path is not None)
        except InputError:
            for path in (out / PICTURES / split).glob("*/*"):
                if path.parent.name in LABELS and path.suffix in {".png", ".jpg"}:
                    pictures.add(path.relative_to(out).as_posix())
    return pictures


def refuse_strangers(out: Path, parts: Container[str], pictures: Collection[str]) -> None:
    """Make sure that nothing but a data set goes when another takes its place.

    Args:
        out: its folder.
        parts: names of the files and folders in it that are the data set's, whatever lies in them.
        pictures: the paths of its pictures, relative to it.

    Raises:
        UsageError: something else lies there, at any depth; files of the operating system, and what a kill
            left half written, do not count.
        InputError: a folder in it cannot be listed.
    """
    strangers = sorted(
        readable(path)
        for path in _find_files(out)
        if not (path in pictures or path.split("/", 1)[0] in parts or _is_nobodys(path))
    )
    if strangers:
        named = ", ".join(strangers[:_MOST_NAMED])
        more = len(strangers) - _MOST_NAMED
        raise UsageError(
            f"OUT {out} also holds {named}{f' and {more:,} more files' if more > 0 else ''}, "
            "which --overwrite would delete; move that away, or choose another folder"
        )


def _find_files(folder: Path) -> Iterator[str]:
    """The paths of all files and links under a folder, relative to it."""
    for here, folders, files in walk(folder):
        place = Path(here).relative_to(folder)
        links = (name for name in folders if Path(here, name).is_symlink())
        for name in chain(files, links):
            yield (place / name).as_posix()


def _is_nobodys(path: str) -> bool:
    """Whether a file is the operating system's, or a half of one that a kill left."""
    name = PurePosixPath(path).name
    return name in _OF_SYSTEMS or name.startswith("._") or (name.startswith(".") and ".partial" in name)


def is_vacant(path: Path) -> bool:
    """Whether nothing would be lost by putting a folder there: nothing is, or an empty folder.

    Raises:
        OutputError: that cannot be told.
    """
    real = real_path(path)  # links in a circle lead to a link, where nothing can be put
    with writing(path):
        try:
            real.lstat()
        except FileNotFoundError:
            return True
        return real.is_dir() and not any(real.iterdir())


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a dataset folder; None where the folder is something else, or it is damaged."""
    try:
        manifest = read_json(folder / MANIFEST)
        _identity(manifest)
        result = _result(folder, manifest, already_done=True)
        tables = [*result.counts.values(), *result.published.values()]
        numbers = [result.rejected, result.resized, *(count for table in tables for count in table.values())]
        whole = manifest["kind"] == KIND and all(isinstance(number, int) for number in numbers)
    except (InputError, AttributeError, KeyError, TypeError):  # a part is missing, or of another type
        return None
    return manifest if whole else None


def _identity(manifest: dict[str, Any]) -> tuple[object, ...]:
    """What is equal in two manifests exactly when their pictures and tables are."""
    votes = manifest["ferplus"]
    return (
        manifest["results_version"],
        manifest["source"]["sha256"],
        manifest["settings"],
        votes and votes["sha256"],
        manifest.get("filter"),  # a clean set has lost rows since
    )


def _write(
    source: Source, folder: Path, settings: PrepareSettings, ferplus: Path | None, progress: Progress
) -> Tables:
    read = 0.0
    # Closed here, and not by the garbage collector: no thread may write on while a failed run is cleared up.
    with (
        Tables(folder, with_votes=ferplus is not None, with_files=source.files_named) as tables,
        closing(_write_pictures(source, folder, settings)) as outcomes,
    ):
        joined = _without_votes(outcomes) if ferplus is None else _join(outcomes, ferplus)
        first_rejected: Rejected | None = None
        for outcome, votes in joined:
            tables.add(outcome, votes)
            if isinstance(outcome, Rejected) and first_rejected is None:
                first_rejected = outcome
            read += outcome.item.units
            progress(f"reading {source.unit}", int(read), source.total)
    if not tables.counts:
        reason = (
            f"the first of {tables.rejected} bad rows: {_describe(first_rejected)}"
            if first_rejected
            else "it is empty"
        )
        raise DatasetFormatError(f"nothing in the source can be used; {reason}")
    return tables


def _write_pictures(
    source: Source[ItemT], folder: Path, settings: PrepareSettings
) -> Generator[Accepted | Rejected, None, None]:
    """The outcomes of all items, in order; at most a few chunks are under way at once."""

    def write_chunk(chunk: list[ItemT]) -> list[Accepted | Rejected]:
        loaded = zip(chunk, source.load(chunk), strict=True)
        return [write_picture(item, sample, folder, settings) for item, sample in loaded]

    items = source.items()
    chunks = iter(lambda: list(islice(items, _CHUNK)), [])
    with (
        ThreadPoolExecutor(_WORKERS) as pool,
        closing(ordered_map(pool, write_chunk, chunks, 2 * _WORKERS)) as written,
    ):
        yield from chain.from_iterable(written)


def _without_votes(outcomes: Iterable[Accepted | Rejected]) -> Iterator[tuple[Accepted | Rejected, None]]:
    return ((outcome, None) for outcome in outcomes)


def _join(
    outcomes: Iterable[Accepted | Rejected], ferplus: Path
) -> Iterator[tuple[Accepted | Rejected, tuple[int, ...]]]:
    """Each outcome with the votes of its row.

    Raises:
        DatasetFormatError: the two files have different rows.
    """
    rows = iter(read_votes(ferplus))
    for outcome in outcomes:
        votes = next(rows, None)
        item = outcome.item
        here = f"{item.file} line {item.line}"
        if votes is None:
            raise DatasetFormatError(
                f"{ferplus} is too short: it has {item.row} rows, and {here} is one more"
            )
        if isinstance(outcome, Accepted) and outcome.source_split != votes.split:
            raise DatasetFormatError(
                f"{ferplus} line {votes.line} is of {votes.split}, and {here} of {outcome.source_split}: "
                "the two files do not have the same rows in the same order"
            )
        yield outcome, votes.counts
    extra = next(rows, None)
    if extra is not None:
        raise DatasetFormatError(
            f"{ferplus} is too long: from its line {extra.line} on, the source has no more rows"
        )


def _describe(rejected: Rejected) -> str:
    item = rejected.item
    place = item.file if item.line is None else f"{item.file} line {item.line}"
    return f"{place}: {rejected.reason}"


def _published(
    source: Source, settings: PrepareSettings, counts: dict[str, Any]
) -> dict[str, dict[str, int]]:
    # Where the source itself tells two splits only, so must the table it is compared with.
    two = settings.splits == "two" or (not source.has_usage and "val" not in counts)
    return published_counts("two" if two else "three")


def _result(out: Path, manifest: dict[str, Any], *, already_done: bool) -> PrepareResult:
    return PrepareResult(
        path=out,
        counts=manifest["counts"],
        published=manifest["published"],
        rejected=manifest["rejected"],
        resized=manifest["resized"],
        already_done=already_done,
    )

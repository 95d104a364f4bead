"""Files that are whole or not there, and the tables the project writes.

Every table's columns, with their types and meaning, stand here once; docs/columns.md is checked against
them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock, Timeout

from fer_batch.emotions import LABELS
from fer_batch.errors import InputError, OccupiedError, OutputError


@dataclass(frozen=True)
class Column:
    """One column of a table: its name, Arrow type, and what it means, units included."""

    name: str
    type: pa.DataType
    meaning: str


PICTURE_SUFFIXES = frozenset({".bmp", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff", ".webp"})
"""Of the files that are taken for pictures: lower case, with the dot."""

LOCK, MADE_FROM = ".lock", ".made_from.json"
"""What marks a folder as one in which work is under way, and says what it is made from."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and what stands for bytes that are no UTF-8."""

VOTES: tuple[str, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "nf",
)
"""The ten answers of the FER+ crowd, in the order of its file (Barsoum et al. 2016); `nf`: not a face."""

_PROBABILITIES = tuple(
    Column(label, pa.float32(), f"probability of {label}, 0–1; the seven add up to 1") for label in LABELS
)

_NUMBERED = f"0–6: {', '.join(LABELS)}"
_VOTED = {"nf": "not a face"}

DATASET_COLUMNS: tuple[Column, ...] = (
    Column(
        "id",
        pa.string(),
        "name of the picture, unique in the data set; its file is `{id}.png`, or `{id}.jpg`",
    ),
    Column("row", pa.int64(), "row of the source file, 0-based, header not counted"),
    Column("split", pa.string(), "`train`, `val` or `test`"),
    Column(
        "label",
        pa.int64(),
        f"expression, {_NUMBERED}; null where the source has none",
    ),
    Column(
        "image",
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        "the encoded picture, and its path inside the data set folder (null for unlabelled rows)",
    ),
    Column(
        "sha256",
        pa.string(),
        "SHA-256 of height, width, channels and pixels: equal exactly for exact duplicates",
    ),
)

FILE_COLUMN = Column("file", pa.string(), "path of the picture in the source, where that is a folder")

VOTE_COLUMNS: tuple[Column, ...] = tuple(
    Column(f"votes_{name}", pa.int64(), f"FER+ votes, of usually ten, for {_VOTED.get(name, name)}")
    for name in VOTES
)

PREDICTION_COLUMNS: tuple[Column, ...] = (
    Column("id", pa.string(), "the picture: its id in the data set, or its path in the folder"),
    Column("label", pa.int64(), f"true expression, {_NUMBERED}"),
    Column("predicted", pa.int64(), "most probable expression, 0–6"),
    Column(
        "training_twin", pa.bool_(), "the same pixels are in the training split; null where that is unknown"
    ),
    *_PROBABILITIES,
)


PICTURE_COLUMNS: tuple[Column, ...] = DATASET_COLUMNS[:4]
"""Which picture a row of `quality.parquet` is of."""

MEASUREMENT_COLUMNS: tuple[Column, ...] = (
    Column("unreadable", pa.string(), "why the picture cannot be decoded; null where it can"),
    Column("deviation", pa.float32(), "standard deviation of the gray levels, 0–128"),
    Column("dark_tenth", pa.float32(), "gray level that the darkest tenth of the pixels does not exceed"),
    Column("light_tenth", pa.float32(), "gray level that the lightest tenth of the pixels reaches"),
    Column("contrast", pa.float32(), "gray levels between the darkest and the lightest twentieth"),
    Column("sharpness", pa.float32(), "0.2 without any detail, 0.4 in an ordinary picture, 1 at most"),
    Column("face_score", pa.float32(), "the detector's score of the best face, whichever way up, 0–1"),
    Column("face_offset", pa.float32(), "pixels, of 48, between the face's middle and where FER2013 has it"),
    Column("face_size", pa.float32(), "size of the face, 1 as in most of FER2013"),
    Column("face_roll", pa.float32(), "degrees by which the eyes are off the horizontal, -180 to 180"),
    Column("face_yaw", pa.float32(), "how far the nose is off the middle, in distances of the eyes"),
    Column("eyes_hidden", pa.float32(), "how surely something hides an eye: glasses, a hand, hair, 0–1"),
    Column("mouth_hidden", pa.float32(), "how surely something hides the mouth: a hand, a mask, a cup, 0–1"),
    Column("print", pa.float32(), "probability that words or a mark are printed across the picture, 0–1"),
    Column("no_face", pa.float32(), "probability that there is no face, 0–1"),
    Column("exact_group", pa.int64(), "number of the group of pictures with the same pixels; null for one"),
    Column("twin", pa.string(), "`id` of the earlier picture that this one is a copy of, exact or near"),
    Column(
        "near_similarity",
        pa.float32(),
        "similarity to it, directly or through others, where it is no exact copy, 0–1",
    ),
    Column(
        "leak_similarity",
        pa.float32(),
        "similarity to the picture of an earlier split that it copies, directly or through others, 0–1",
    ),
    Column("label_confidence", pa.float32(), "probability of the label by a model that has not seen it, 0–1"),
    Column("suggested_label", pa.int64(), "what that model holds most probable, 0–6"),
    Column("label_doubt", pa.float32(), "how much it speaks against the label, 0–1"),
    Column("oddness", pa.float32(), "distance from its class in that model's features, 0–1"),
)
"""What `filter` measures; columns that no check has filled are null."""

VERDICT_COLUMNS: tuple[Column, ...] = (
    Column("verdict", pa.string(), "`keep`, or `drop`: a clean data set lacks it"),
    Column("reason", pa.string(), "every issue of the picture, in words; null where there is none"),
)


def check_columns(check: str) -> tuple[Column, Column]:
    """The columns of one check of `filter`."""
    return (
        Column(f"{check}_score", pa.float32(), "how bad, 0–1; null where the check does not apply"),
        Column(f"is_{check}_issue", pa.bool_(), "whether that is at least the check's threshold"),
    )


_POINTS = {
    "right_eye": "face's right eye",
    "left_eye": "face's left eye",
    "nose": "tip of the nose",
    "right_mouth": "right corner of the face's mouth",
    "left_mouth": "left corner of the face's mouth",
}
LANDMARKS: tuple[str, ...] = tuple(_POINTS)
"""The detector's five points, in its order; right and left are the face's own."""

_SOURCE = Column("source", pa.string(), "name of the source: its folder under `--out`")
_FRAME = Column(
    "frame",
    pa.int64(),
    "0-based index of the frame in order of presentation, counted from `--start`, or of the picture",
)
_TIME = Column(
    "time_s", pa.float64(), "presentation time in seconds since the stream's start; empty for pictures"
)
_FILE = Column("file", pa.string(), "the picture's path inside its folder; only where a source is pictures")

SMOOTHED: tuple[str, ...] = tuple(f"smoothed_{label}" for label in LABELS)

HIDDEN_COLUMNS: tuple[Column, ...] = tuple(
    Column(
        f"{part}_hidden",
        pa.float32(),
        f"how surely something hides {whose}, 0–1: {example}; as seen when the track was last looked at, "
        "about once a second",
    )
    for part, whose, example in (
        ("eyes", "an eye", "dark glasses, a hand, hair"),
        ("mouth", "the mouth", "a hand, a mask, a cup"),
    )
)

QUALITY_COLUMN = Column(
    "quality",
    pa.float32(),
    "how well the face can be read, 0–1: the least, as far as they are known, of the columns `quality_…`, "
    "of how sure the detector is, and of how little is hidden; between searches, pose and detector count as "
    "at the last one",
)

FACE_COLUMNS: tuple[Column, ...] = (
    _SOURCE,
    _FILE,
    _FRAME,
    _TIME,
    Column(
        "face",
        pa.int64(),
        "0-based index of the face in its frame: highest detection score first, or, where the frame was "
        "not searched, oldest track first",
    ),
    Column(
        "track",
        pa.int64(),
        "number of the face's track, the same as long as it is followed: it ends where a search misses the "
        "face and none finds it within `tracking.max_gap_s`; where none was made for longer, it goes on "
        "in a face that is about where it was; videos only",
    ),
    Column(
        "x",
        pa.float32(),
        "left edge of the face's box, in pixels of the upright picture; a box may reach beyond it",
    ),
    Column("y", pa.float32(), "upper edge, in pixels"),
    Column("width", pa.float32(), "width of the box, in pixels"),
    Column("height", pa.float32(), "height of the box, in pixels"),
    Column(
        "detection_score",
        pa.float32(),
        "the detector's score, 0–1; empty with `--faces-only`, and between detections",
    ),
    Column("emotion", pa.string(), "most probable expression; empty where it is uncertain"),
    Column("confidence", pa.float32(), "probability of the most probable expression, 0–1"),
    *_PROBABILITIES,
    Column(
        "smoothed_emotion",
        pa.string(),
        "most probable expression over the track's time; empty where it is uncertain; videos only",
    ),
    *(
        Column(
            name,
            pa.float32(),
            f"probability of {label}, averaged over the track's time; empty where no face that is good "
            "enough is near; videos only",
        )
        for name, label in zip(SMOOTHED, LABELS, strict=True)
    ),
    *HIDDEN_COLUMNS,
    QUALITY_COLUMN,
)

VIDEO_ONLY: frozenset[str] = frozenset({"track", "smoothed_emotion", *SMOOTHED})
"""Columns of faces that pictures, which have no time, lack."""

QUALITY_PARTS: tuple[Column, ...] = (
    Column(
        "quality_size", pa.float32(), "1 where the face has the pixels that the model reads; Parquet only"
    ),
    Column("quality_sharpness", pa.float32(), "1 where it is in focus and at rest, 0 blurred; Parquet only"),
    Column(
        "quality_pose",
        pa.float32(),
        "1 seen from the front, 0 from the side or from above; empty where there is no score; Parquet only",
    ),
    Column("quality_light", pa.float32(), "1 well lit, 0 black, white or without contrast; Parquet only"),
)

LANDMARK_COLUMNS: tuple[Column, ...] = tuple(
    Column(
        f"{name}_{axis}",
        pa.float32(),
        f"{axis} of the {_POINTS[name]}, in pixels; empty where there is no score; Parquet only",
    )
    for name in LANDMARKS
    for axis in "xy"
)

FRAME_COLUMNS: tuple[Column, ...] = (
    _SOURCE,
    _FILE,
    _FRAME,
    _TIME,
    Column("faces", pa.int64(), "number of faces, those expected between searches counted in"),
    Column("status", pa.string(), "`ok`, or `corrupt`: decoded with errors, or not decodable"),
    Column("width", pa.int64(), "width of the upright picture, in pixels; empty where it is not decodable"),
    Column("height", pa.int64(), "its height, in pixels"),
)

SUMMARY_COLUMNS: tuple[Column, ...] = (
    _SOURCE,
    Column("status", pa.string(), "`ok`, `partial` (what could be read is there) or `failed`"),
    Column("reason", pa.string(), "why it is not `ok`"),
    Column("notes", pa.string(), "what to know of the results all the same; mostly empty"),
    Column("seconds", pa.float64(), "presentation time of the last sampled frame; empty for pictures"),
    Column("frames", pa.int64(), "sampled frames"),
    Column("faces", pa.int64(), "faces in them, those expected between searches counted in"),
    Column("tracks", pa.int64(), "different tracks; empty for pictures"),
    Column("uncertain", pa.int64(), "faces whose expression is left empty"),
    Column(
        "faces_missed_estimate",
        pa.int64(),
        "further faces, about, that only the full size of the frames shows, by one frame of ten seconds or "
        "one picture of ten; empty where no frame was searched so",
    ),
    Column("coverage", pa.float64(), "share of the sampled frames with at least one face, 0–1"),
    *(
        Column(f"share_{label}", pa.float64(), f"share of the faces with an expression that are {label}, 0–1")
        for label in LABELS
    ),
)


def schema(columns: Sequence[Column]) -> pa.Schema:
    """The Arrow schema of a table, each field carrying its meaning as metadata."""
    return pa.schema([pa.field(c.name, c.type, metadata={"meaning": c.meaning}) for c in columns])


def real_path(path: Path) -> Path:
    """Where a path leads, absolute and without links; `Path.resolve` fails at links in a circle."""
    return Path(os.path.realpath(path))


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """What `os.walk` gives, which passes over what it cannot list without a word.

    Raises:
        InputError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot read {readable(error.filename)}: {error.strerror}") from error

    yield from os.walk(folder, onerror=refuse)


def require_text_path(path: Path) -> None:
    """Refuse a path to write to that not every library takes, before any work is done for it.

    Raises:
        OutputError: it is no text on one line.
    """
    if readable(path) != str(path):
        # Arrow and safetensors take paths as text only, and OpenCV crashes at others.
        raise OutputError(f"cannot write {readable(path)}: its path is no text on one line; choose another")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals while writing `path` into an `OutputError` that names it."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on a clean exit it is synced and renamed to `path`.

    An interrupted process leaves `path` as it was.

    Raises:
        OutputError: the folder or file cannot be written.
    """
    # The suffix stays last: libraries choose a format by it.
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            sync(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield the folder `{path}.partial`, empty but for a lock; on a clean exit it takes the place of `path`.

    Whatever happens leaves `path` as it was, but for a kill between the two renames that replace it: then
    the next run begins by putting it back. After a kill there may be a `.partial` folder, which the next run
    clears. The caller syncs the files that matter. It also decides whether an existing `path` may go.

    Raises:
        OccupiedError: another process is writing the folder, or somebody's files lie where it is prepared.
        OutputError: the folder cannot be written.
    """
    path = _replaceable(path)
    partial = path.with_name(f"{path.name}.partial")
    with _held(partial, path) as lock:
        _empty(partial)
        try:
            yield partial
        except BaseException:
            with suppress(OSError):  # what went wrong first is what matters
                _empty(partial)
            raise
        _take_place(partial, path, lock)


@contextmanager
def resumable_folder(
    path: Path, made_from: Any, may_go: Callable[[Path], None] = lambda _: None
) -> Iterator[Path]:
    """Like `atomic_folder`, for work that can go on where another process was stopped.

    Yields the folder `{path}.begun` with what an interrupted process left in it, or empty where that
    was made from something else.

    Args:
        path: what the folder becomes.
        made_from: all that its content follows from, as JSON gives it back.
        may_go: raises where an existing `path` must not go. It is told where that lies once it is out of
            everybody's way, so that nothing more comes into it. Where it raises, all stays as it is.

    Raises:
        OccupiedError: another process is writing the folder, or somebody's files lie where it is prepared.
        OutputError: the folder cannot be written.
    """
    path = _replaceable(path)
    with _begun_folder(path, made_from) as lock:
        yield _begun(path)
        _take_place(_begun(path), path, lock, may_go)


@contextmanager
def resumable_scratch(path: Path, made_from: Any) -> Iterator[Path]:
    """The same for what is needed until the work is finished: on a clean exit the folder is removed.

    Args:
        path: what it is needed for; nothing is written there.
        made_from: all that its content follows from, as JSON gives it back.

    Raises:
        OccupiedError: another process is at work in the folder, or somebody's files lie there.
        OutputError: the folder cannot be written.
    """
    with _begun_folder(path, made_from) as lock:
        yield _begun(path)
        _let_move(lock)
        _remove(_begun(path))


@contextmanager
def _begun_folder(path: Path, made_from: Any) -> Iterator[FileLock]:
    begun = _begun(path)
    key = begun / MADE_FROM
    with _held(begun, path) as lock:
        if not key.is_file() or read_json(key) != made_from:
            _empty(begun)
            write_json(key, made_from)
        yield lock


@contextmanager
def _held(folder: Path, path: Path) -> Iterator[FileLock]:
    """Have a folder in which `path` is prepared, made where it does not exist, to oneself; yields its lock.

    The lock is held until the folder is where it belongs, or gone: whoever got it earlier would empty what is
    finished. Its file also says whose the folder is: what somebody else keeps under such a name is not
    touched. It stays as long, so that a folder that was stopped on the way to its place is known again.
    """
    mark = folder / LOCK
    with writing(path):
        if folder.exists() and not mark.is_file() and any(folder.iterdir()):
            raise OccupiedError(
                f"cannot write {path}: {folder} is in the way and is not fer-batch's: move it"
            )
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(mark)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OccupiedError(f"cannot write {path}: another process is at work on it") from None
        try:
            if not path.exists() and _replaced(path).is_dir():
                _replaced(path).rename(path)
            yield lock
        except BaseException:
            _let_move(lock)
            if folder.exists() and all(entry == mark for entry in folder.iterdir()):
                _remove(folder)
            raise
        finally:
            lock.release()


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()


def _replaceable(path: Path) -> Path:
    """Where a folder that is written as a whole really lies.

    Raises:
        OutputError: another cannot take its place.
    """
    real = real_path(path)
    require_text_path(real)
    if real == Path.cwd():
        raise OutputError(f"cannot write {path}: it is the folder you are in; name one inside it")
    if os.path.ismount(real):
        raise OutputError(f"cannot write {path}: it is a mount point; name a folder inside it")
    return real


def discard_begun(path: Path) -> None:
    """Remove what `resumable_folder` keeps of `path`: going on there would end no better."""
    _remove(_begun(path))


def in_begun(path: Path, do: Callable[[Path], None]) -> None:
    """Do something in the folder that `resumable_folder` keeps of `path`.

    Nothing is done where there is none, or where another process is at work in it.

    Raises:
        OutputError: the folder cannot be written.
    """
    begun = _begun(path)
    if (begun / LOCK).is_file():
        with suppress(OccupiedError), _held(begun, path):
            do(begun)


def has_begun(path: Path) -> bool:
    """Whether `resumable_folder` keeps anything of `path` to go on behind."""
    return any(entry.is_file() for entry in _begun(path).rglob("*") if entry.parent != _begun(path))


def _begun(path: Path) -> Path:
    return path.with_name(f"{path.name}.begun")


def _take_place(
    folder: Path, path: Path, lock: FileLock, may_go: Callable[[Path], None] = lambda _: None
) -> None:
    replaced = _replaced(path)
    _remove(replaced)
    if path.exists():
        path.rename(replaced)
        try:
            may_go(replaced)
        except BaseException:
            replaced.rename(path)
            raise
    _let_move(lock)
    folder.rename(path)
    for mark in (LOCK, MADE_FROM):
        (path / mark).unlink(missing_ok=True)
    sync(path.parent)
    _remove(replaced)


def _let_move(lock: FileLock) -> None:
    """Let go of a folder's lock where the folder could not be renamed or removed otherwise."""
    # Windows moves no folder in which a file is open. So should another process take the lock now, then
    # the move fails, instead of putting there what that process has emptied.
    if os.name == "nt":
        lock.release()


def _replaced(path: Path) -> Path:
    return path.with_name(f"{path.name}.replaced.partial")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def sync(path: Path) -> None:
    """Have the operating system put a file, or a folder's list of names, on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders, and needs no such call
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error


def readable(name: str | Path) -> str:
    """A file's name or path as valid text on one line: `caf%E9` for the bytes of a Latin-1 `café`.

    Tables, CSV and JSON hold nothing else; whoever opens the file keeps the name as it is.
    """
    return _UNPRINTABLE.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", str(name))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions(*distributions: str) -> dict[str, str]:
    """Versions of Python, fer-batch and the named distributions, for manifests."""
    import platform

    return {"python": platform.python_version()} | {
        name: _version(name) for name in ("fer-batch", *distributions)
    }


@lru_cache
def _version(distribution: str) -> str:
    # A manifest a source asks for several; each is 2 ms of reading files.
    from importlib.metadata import version

    return version(distribution)

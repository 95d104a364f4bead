"""What there is to annotate: videos, pictures, and folders of pictures."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Literal, NoReturn

from fer_batch.annotation.results import (
    holds_results,
    is_of,
    is_picture_over_all,
    read_manifest,
    strangers,
)
from fer_batch.emotions import Emotion
from fer_batch.errors import NothingFoundError, SourceOpenError, UsageError
from fer_batch.storage import PICTURE_SUFFIXES, readable, real_path

VIDEO_SUFFIXES = frozenset(
    {
        ".3gp",
        ".avi",
        ".flv",
        ".gif",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ts",
        ".webm",
        ".wmv",
    }
)

_UNFIT = re.compile(r"[. ]$|\.(?=(begun|partial|csv|html|json|png)$)", re.IGNORECASE)
"""In the name of a folder of results: an end that Windows drops, and, with it, `.` and `..`; and what would
make it look like an unfinished folder, or like a file over all sources."""
_LONGEST_NAME = 200
"""In bytes: file systems take 255, and what is unfinished has a longer name."""


@dataclass(frozen=True)
class Source:
    """One thing to annotate, with one folder of results."""

    name: str
    """Its folder under `--out`, with forward slashes."""
    path: Path
    kind: Literal["video", "image", "images"]

    @property
    def pictures(self) -> list[Path]:
        """The files of an image source, in natural order: `img2` before `img10`.

        Raises:
            OSError: the folder cannot be listed.
        """
        if self.kind == "image":
            return [self.path]
        _, _, files = next(os.walk(self.path, onerror=_reraise))
        paths = [self.path / name for name in _visible(files) if _kind(name) == "image"]
        return [path for path in paths if not is_picture_over_all(path)]

    @property
    def folder_names(self) -> tuple[str, str]:
        """What the folder of an image source is called where it was found, and where it really lies."""
        folder = self.path if self.kind == "images" else self.path.parent
        return readable(folder.name), readable(real_path(folder).name)

    @property
    def folder_emotion(self) -> Emotion | None:
        """The expression that a class-named folder of pictures stands for."""
        for name in self.folder_names:
            with suppress(ValueError):
                return Emotion.from_label(name)
        return None

    def identity(self) -> dict[str, object]:
        """What tells whether the source is still the same: path, size, time of change, of every file.

        What cannot be looked at, like a broken link, counts as empty: reading it will say why.
        """
        try:
            files = self.pictures if self.kind != "video" else [self.path]
        except OSError:
            files = []
        stats = [_size_and_time(path) for path in files]
        listing = "\n".join(
            f"{path.name} {size} {time_ns}" for path, (size, time_ns) in zip(files, stats, strict=True)
        )
        return {
            "path": readable(real_path(self.path)),
            "kind": self.kind,
            "files": len(files),
            "bytes": sum(size for size, _ in stats),
            "listing_sha256": hashlib.sha256(listing.encode("utf-8", "surrogatepass")).hexdigest(),
        }


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _reraise(error: OSError) -> NoReturn:
    raise error


def _kind(name: str) -> Literal["video", "image"] | None:
    suffix = PurePosixPath(name).suffix.lower()
    return "video" if suffix in VIDEO_SUFFIXES else "image" if suffix in PICTURE_SUFFIXES else None


def _visible(names: Sequence[str]) -> list[str]:
    return sorted((name for name in names if not name.startswith(".")), key=natural_key)


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts numbers inside names by value; equal names but for case are told apart last."""
    parts = re.findall(r"\d+|\D+", name)
    return (*((int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in parts), (-2, name))


def find_sources(named: Sequence[str | Path], *, out: Path) -> list[Source]:
    """Every source under what was named: files, folders, or patterns with `*`, `?` and `[]`.

    In folders, every video is a source, and so is every folder that holds pictures, or that cannot be
    listed. Links to folders are followed, each real folder once. Other files are passed over.

    Args:
        named: paths or patterns, as on the command line.
        out: the results' folder, which is left out; so are all results, of other calls too, below a folder
            that is named or the first part of a pattern. Sources keep the folders that they have there, and
            take none that is another's.

    Raises:
        SourceOpenError: a path does not exist or a pattern matches nothing.
        UsageError: a named file is neither video nor picture.
        NothingFoundError: nothing is found at all.
    """
    if not named:
        raise UsageError("there are no sources: name videos, pictures, folders of either, or patterns")
    left_out = _LeftOut(out)
    found: dict[Path, Source] = {}
    for path in _expand(named, left_out):
        for source in _sources_at(path, left_out):
            found.setdefault(real_path(source.path), source)
    if not found:
        places = ", ".join(readable(name) for name in named)
        raise NothingFoundError(
            f"no video and no picture in {places}, results and their folder {readable(out)} left out"
        )
    return _tell_apart(list(found.values()), out)


class _LeftOut:
    """What is no footage: the results' folder, and results of this and of other calls.

    Args:
        out: the results' folder.
    """

    def __init__(self, out: Path) -> None:
        self._out = real_path(out)
        self._holds_results = lru_cache(maxsize=None)(holds_results)  # asked for each file of a folder

    def is_out(self, folder: Path) -> bool:
        """Whether it is the results' folder, which may hold more than results."""
        return real_path(folder) == self._out

    def are_results(self, folder: Path, above: Path) -> bool:
        """Whether a folder holds results, or one around it does that still lies below `above`."""
        below = len(folder.parts) - len(above.parts)
        return any(map(self._holds_results, (folder, *folder.parents)[:below]))


def _expand(named: Sequence[str | Path], left_out: _LeftOut) -> Iterator[Path]:
    for name in named:
        if not str(name):
            raise UsageError("a source is named by an empty text: write `.` for the folder you are in")
        path = Path(name)
        try:
            exists = path.exists()
        except OSError as error:
            raise SourceOpenError(f"{readable(name)} cannot be read: {error.strerror}") from error
        if exists:
            yield path
            continue
        matches = sorted(glob.glob(str(name), recursive=True), key=natural_key)  # noqa: PTH207 - absolute patterns too
        if not matches:
            raise SourceOpenError(f"{readable(name)} does not exist")
        above = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
        for match in map(Path, matches):
            folder = match if match.is_dir() else match.parent
            fit = folder == match or (_kind(match.name) and not is_picture_over_all(match))
            if fit and not left_out.are_results(folder, above):
                yield match


def _sources_at(path: Path, left_out: _LeftOut) -> Iterator[Source]:
    if path.is_dir():
        yield from _sources_in(path, left_out)
        return
    kind = _kind(path.name)
    if kind is None:
        raise UsageError(f"{readable(path)} is neither a video nor a picture, by its suffix {path.suffix!r}")
    yield Source(_result_name(path.stem), path, kind)


def _sources_in(root: Path, left_out: _LeftOut) -> Iterator[Source]:
    seen: set[Path] = set()
    unlisted: list[OSError] = []
    for folder, folders, files in os.walk(root, onerror=unlisted.append, followlinks=True):
        here = Path(folder)
        real = real_path(here)
        if real in seen or left_out.is_out(real) or left_out.are_results(here, root):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = _visible(folders)
        visible = _visible(files)
        if any(_kind(name) == "image" and not is_picture_over_all(here / name) for name in visible):
            yield _folder_source(here, root)
        for name in visible:
            if _kind(name) == "video":
                place = here.relative_to(root).parts
                yield Source(_result_name(*place, PurePosixPath(name).stem), here / name, "video")
    for error in unlisted:
        yield _folder_source(Path(error.filename), root)


def _folder_source(folder: Path, root: Path) -> Source:
    # The root of a drive has no name.
    parts = folder.relative_to(root).parts or (real_path(root).name or "pictures",)
    return Source(_result_name(*parts), folder, "images")


def _result_name(*parts: str) -> str:
    return "/".join(_result_part(part) for part in parts)


def _result_part(part: str) -> str:
    name = _UNFIT.sub(lambda unfit: f"%{ord(unfit[0]):02X}", readable(part))
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    ending = f"-{_short_hash(part)}"
    return name.encode()[: _LONGEST_NAME - len(ending)].decode(errors="ignore") + ending


def _tell_apart(sources: list[Source], out: Path) -> list[Source]:
    """Give every source whose name another one has too a short hash of its path.

    Names are compared without case, and with accents composed, since some file systems do. A source is
    also renamed when its results would lie in the folder of another's, or where something else lies. A
    name that it has results under stays its own, whatever comes or goes beside it.
    """
    sources = [replace(source, name=_outside_results(source.name, out)) for source in sources]
    names = [unicodedata.normalize("NFC", source.name.casefold()) for source in sources]
    counts = Counter(names)
    parents = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    apart = []
    for source, name in zip(sources, names, strict=True):
        other = replace(source, name=f"{source.name}-{_short_hash(str(real_path(source.path)))}")
        if name in parents:
            fits = _has(out / source.name, source)
        else:
            fits = _may_have(out / source.name, source, alone=counts[name] == 1)
        apart.append(source if fits and not _has(out / other.name, source) else other)
    return apart


def _outside_results(name: str, out: Path) -> str:
    """The name with a short hash in each part that names a folder of results, or did: it holds no others."""
    folders: list[str] = []
    *parents, last = name.split("/")
    for part in parents:
        here, beside = out.joinpath(*folders), f"{part}-{_short_hash(f'{part}/')}"
        aside = read_manifest(here / part) is not None or (here / beside).is_dir()
        folders.append(beside if aside else part)
    return "/".join([*folders, last])


def _has(folder: Path, source: Source) -> bool:
    """Whether a folder holds results of a source, as far as its path tells."""
    manifest = read_manifest(folder)
    return manifest is not None and manifest["made_from"]["source"]["path"] == readable(
        real_path(source.path)
    )


def _may_have(folder: Path, source: Source, *, alone: bool) -> bool:
    """Whether a source's results may lie in a folder: they do already, or it is free.

    Args:
        folder: that bears the source's name.
        source: what the results are of.
        alone: no other source has that name. A file that was moved keeps its folder only then.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return alone and not strangers(folder)
    return is_of(manifest, source.identity()) if alone else _has(folder, source)


def _short_hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]

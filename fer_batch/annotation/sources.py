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

from fer_batch.annotation.content import described, kind_by_content, moves
from fer_batch.annotation.results import (
    SYSTEM_FILES,
    holds_results,
    is_of,
    is_over_all,
    read_manifest,
    strangers,
)
from fer_batch.annotation.skipped import Skipped
from fer_batch.annotation.suffixes import (
    MOVING_SUFFIXES,
    OTHER_SUFFIXES,
    STILL_SUFFIXES,
    UNREAD_SUFFIXES,
    VIDEO_SUFFIXES,
)
from fer_batch.emotions import Emotion
from fer_batch.errors import NothingFoundError, SourceOpenError, UsageError
from fer_batch.storage import readable, real_path

Kind = Literal["video", "image"]

_UNFIT = re.compile(r"[. ]$|\.(?=(begun|partial|csv|html|json|png)$)", re.IGNORECASE)
"""In the name of a folder of results: an end that Windows drops, and, with it, `.` and `..`; and what would
make it look like an unfinished folder, or like a file over all sources."""
_PICTURE_BY_CONTENT = "it holds a picture, and has not the suffix of one: rename it, or name it"
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
        paths = (self.path / name for name in _visible(files))
        return [path for path in paths if _kind(path) == "image"]

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


def _kind(path: Path) -> Kind | None:
    """What a file is by its suffix, and a picture by whether it moves; None where the suffix says nothing."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if suffix not in STILL_SUFFIXES or is_over_all(path):
        return None
    return "video" if suffix in MOVING_SUFFIXES and moves(path) else "image"


def _visible(names: Sequence[str]) -> list[str]:
    return sorted((name for name in names if not name.startswith(".")), key=natural_key)


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts numbers inside names by value; equal names but for case are told apart last."""
    parts = re.findall(r"\d+|\D+", name)
    return (*((int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in parts), (-2, name))


def find_sources(named: Sequence[str | Path], *, out: Path, skipped: Skipped | None = None) -> list[Source]:
    """Every source under what was named: files, folders, or patterns with `*`, `?` and `[]`.

    In folders, every video is a source, and so is every folder that holds pictures, or that cannot be
    listed. Links to folders are followed, each real folder once. Files whose suffix says nothing are looked
    into, and are sources where they are video. A file that is named is what is in it, whatever its suffix.
    What is no source is noted in `skipped`.

    Args:
        named: paths or patterns, as on the command line.
        out: the results' folder, which is left out; so are all results, of other calls too, below a folder
            that is named or the first part of a pattern. Sources keep the folders that they have there, and
            take none that is another's.
        skipped: a new one, filled in with what is not read; hidden files, systems' files and results are not
            counted.

    Raises:
        SourceOpenError: a path does not exist or cannot be read, or a pattern matches nothing.
        NothingFoundError: nothing is found at all.
    """
    if not named:
        raise UsageError("there are no sources: name videos, pictures, folders of either, or patterns")
    left_out, skipped = _LeftOut(out), Skipped() if skipped is None else skipped
    found: dict[Path, Source] = {}
    for path, by_pattern in _expand(named, left_out):
        for source in _sources_at(path, left_out, skipped, by_pattern):
            found.setdefault(real_path(source.path), source)
    skipped.remove(_place(source.path) for source in found.values())
    if not found:
        raise NothingFoundError("; ".join([*_nothing_in(named, out), *skipped.lines]))
    return _tell_apart(list(found.values()), out)


def _nothing_in(named: Sequence[str | Path], out: Path) -> list[str]:
    """What to say of folders and patterns without sources; of files their reasons are said."""
    places = [readable(name) for name in named if not Path(name).is_file()]
    if not places:
        return []
    listed = ", ".join(places)
    return [f"no video and no picture in {listed}, results and their folder {readable(out)} left out"]


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


def _expand(named: Sequence[str | Path], left_out: _LeftOut) -> Iterator[tuple[Path, bool]]:
    """Every path that is named, and whether it is by a pattern that fits it."""
    for name in named:
        if not str(name):
            raise UsageError("a source is named by an empty text: write `.` for the folder you are in")
        path = Path(name)
        try:
            exists = path.exists()
        except OSError as error:
            raise SourceOpenError(f"{readable(name)} cannot be read: {error.strerror}") from error
        if exists:
            yield path, False
            continue
        matches = sorted(glob.glob(str(name), recursive=True), key=natural_key)  # noqa: PTH207 - absolute patterns too
        if not matches:
            raise SourceOpenError(f"{readable(name)} does not exist")
        above = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
        for match in map(Path, matches):
            folder = match if match.is_dir() else match.parent
            if not left_out.are_results(folder, above):
                yield match, True


def _sources_at(path: Path, left_out: _LeftOut, skipped: Skipped, by_pattern: bool) -> Iterator[Source]:
    if path.is_dir():
        yield from _sources_in(path, left_out, skipped)
        return
    kind = _kind_among_others(path, _place(path), skipped) if by_pattern else _kind_of_named(path, skipped)
    if kind is not None:
        yield Source(_result_name(path.stem), path, kind)


def _place(path: Path) -> Path:
    """Where a file, or a link, really lies, under its own name."""
    return real_path(path.parent) / path.name


def _kind_of_named(path: Path, skipped: Skipped) -> Kind | None:
    """What a file is that was named: its content counts where its suffix says nothing, or is wrong.

    One that is neither video nor picture stops no other: a shell may have put it where a pattern was.
    """
    kind = _kind(path)
    if kind == "video":
        return kind
    try:
        kind = kind_by_content(path) or kind
    except OSError as error:
        if kind is None:
            skipped.add(_place(path), f"it cannot be read: {error.strerror}")
        return kind  # of a picture, reading it will say why
    if kind is None:
        skipped.add(_place(path), f"it is neither a video nor a picture: {described(path)}")
    return kind


def _kind_among_others(path: Path, place: Path, skipped: Skipped) -> Kind | None:
    """What a file of a folder is; one that is not to be read is noted, where that is worth a word.

    Args:
        path: of the file.
        place: where it really lies.
        skipped: told of it.
    """
    kind, suffix = _kind(path), path.suffix.lower()
    if kind is not None or path.name in SYSTEM_FILES or is_over_all(path):
        return kind
    if suffix in OTHER_SUFFIXES or suffix in UNREAD_SUFFIXES:
        skipped.add(place, UNREAD_SUFFIXES.get(suffix))
        return None
    try:
        content = kind_by_content(path)
    except OSError as error:
        skipped.add(place, f"it cannot be read: {error.strerror}")
        return None
    if content == "video":
        return content
    skipped.add(place, None if content is None else _PICTURE_BY_CONTENT)
    return None


def _sources_in(root: Path, left_out: _LeftOut, skipped: Skipped) -> Iterator[Source]:
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
        kinds = [_kind_among_others(here / name, real / name, skipped) for name in visible]
        if "image" in kinds:
            yield _folder_source(here, root)
        for name, kind in zip(visible, kinds, strict=True):
            if kind == "video":
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

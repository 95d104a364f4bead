"""What there is to annotate: videos, pictures, and folders of pictures."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from fer_batch.emotions import Emotion
from fer_batch.errors import SourceOpenError, UsageError

VIDEO_SUFFIXES = frozenset(
    {
        ".3gp",
        ".avi",
        ".flv",
        ".gif",
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
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".pgm", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Source:
    """One thing to annotate, with one folder of results."""

    name: str
    """Its folder under `--out`, with forward slashes."""
    path: Path
    kind: Literal["video", "image", "images"]

    @property
    def pictures(self) -> list[Path]:
        """The files of an image source, in natural order: `img2` before `img10`."""
        if self.kind == "image":
            return [self.path]
        found = [
            path for path in self.path.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
        ]
        return sorted(found, key=lambda path: natural_key(path.name))

    @property
    def folder_emotion(self) -> Emotion | None:
        """The expression that a class-named folder of pictures stands for."""
        folder = self.path if self.kind == "images" else self.path.parent
        try:
            return Emotion.from_label(folder.resolve().name)
        except ValueError:
            return None

    def identity(self) -> dict[str, object]:
        """What tells whether the source is still the same: path, size, time of change, of every file."""
        files = self.pictures if self.kind != "video" else [self.path]
        stats = [path.stat() for path in files]
        listing = "\n".join(
            f"{path.name} {s.st_size} {s.st_mtime_ns}" for path, s in zip(files, stats, strict=True)
        )
        return {
            "path": str(self.path.resolve()),
            "kind": self.kind,
            "files": len(files),
            "bytes": sum(s.st_size for s in stats),
            "listing_sha256": hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest(),
        }


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts numbers inside names by value; equal names but for case are told apart last."""
    parts = re.findall(r"\d+|\D+", name)
    return (*((int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in parts), (-2, name))


def find_sources(named: Sequence[str | Path], *, leave_out: Path) -> list[Source]:
    """Every source under what was named: files, folders, or patterns with `*`, `?` and `[]`.

    In folders, every video is a source, and so is every folder that holds pictures. Links to
    folders are followed, each real folder once. Other files are passed over.

    Args:
        named: paths or patterns, as on the command line.
        leave_out: the results' folder, which may lie inside a named one.

    Raises:
        SourceOpenError: a path does not exist or a pattern matches nothing.
        UsageError: a named file is neither video nor picture, or nothing is found at all.
    """
    left_out = leave_out.resolve()
    found: dict[Path, Source] = {}
    for path in _expand(named):
        for source in _sources_at(path, left_out):
            found.setdefault(source.path.resolve(), source)
    if not found:
        raise UsageError(f"no video and no picture in {', '.join(str(name) for name in named)}")
    return _tell_apart(list(found.values()))


def _expand(named: Sequence[str | Path]) -> Iterator[Path]:
    for name in named:
        path = Path(name)
        if path.exists():
            yield path
            continue
        matches = sorted(glob.glob(str(name), recursive=True), key=natural_key)  # noqa: PTH207 - absolute patterns too
        if not matches:
            raise SourceOpenError(f"{name} does not exist")
        yield from map(Path, matches)


def _sources_at(path: Path, left_out: Path) -> Iterator[Source]:
    if path.is_dir():
        yield from _sources_in(path, left_out)
    elif path.suffix.lower() in VIDEO_SUFFIXES:
        yield Source(path.stem, path, "video")
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        yield Source(path.stem, path, "image")
    else:
        raise UsageError(f"{path} is neither a video nor a picture, by its suffix {path.suffix!r}")


def _sources_in(root: Path, left_out: Path) -> Iterator[Source]:
    seen: set[Path] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        here = Path(folder)
        real = here.resolve()
        if real in seen or real == left_out:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=natural_key)
        visible = sorted((name for name in files if not name.startswith(".")), key=natural_key)
        relative = here.relative_to(root)
        if any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in visible):
            yield Source(relative.as_posix() if here != root else real.name, here, "images")
        for name in visible:
            if Path(name).suffix.lower() in VIDEO_SUFFIXES:
                yield Source((relative / name).with_suffix("").as_posix(), here / name, "video")


def _tell_apart(sources: list[Source]) -> list[Source]:
    """Give every source whose name another one has too a short hash of its path.

    Names are compared without case, since some file systems do. A source is also renamed when its
    results would lie in the folder of another's.
    """
    names = [source.name.casefold() for source in sources]
    counts = Counter(names)
    parents = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    taken = {name for name in names if counts[name] > 1 or name in parents}
    return [
        replace(source, name=f"{source.name}-{_short_hash(source.path)}") if name in taken else source
        for source, name in zip(sources, names, strict=True)
    ]


def _short_hash(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:8]

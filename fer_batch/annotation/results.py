"""Folders of results: what `annotate` writes into one, and what else lies there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_batch.errors import InputError, UsageError
from fer_batch.storage import LOCK, MADE_FROM, read_json, writing

_WRITTEN = frozenset(
    {
        "faces.csv",
        "faces.parquet",
        "frames.csv",
        "frames.parquet",
        "manifest.json",
        "overlay",
        "overlay.mp4",
        "overlay.silent.mp4",
    }
)
"""What may lie in a folder of results. It goes when the source is done again."""
_DRAWN = re.compile(r"\d{5,}-.+\.png")
"""What may lie in the folder `overlay` of pictures."""
SYSTEM_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What systems put into folders that are looked at."""
_NOBODYS = SYSTEM_FILES | {LOCK, MADE_FROM}
"""Besides, marks of a process that was killed."""

UNFINISHED = frozenset({".begun", ".partial"})
"""How folders end in which work is under way."""
CONFUSION = "confusion_matrix"
"""The name, less its suffix, of the picture over all sources and of its table."""
CONFUSION_FILES = (f"{CONFUSION}.csv", f"{CONFUSION}.png")
SUMMARY = "summary.csv"
OVER_ALL = (SUMMARY, *CONFUSION_FILES)
"""The files over all sources."""
_HEADER = 4096
"""Bytes of a table in which its columns stand."""


def manifest_of(folder: Path) -> Path:
    """The file that says what a folder's results are, and what they were made from."""
    return folder / "manifest.json"


def has_tables(folder: Path) -> bool:
    """Whether there are results, and not only the reason why there are none."""
    return (folder / "faces.parquet").is_file()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What is known of a folder's results; None where they are none of `annotate`'s, or damaged."""
    try:
        manifest = read_json(manifest_of(folder))
        whole = isinstance(manifest["made_from"]["source"]["path"], str) and manifest["summary"]["source"]
    except (InputError, KeyError, TypeError):
        return None
    return manifest if whole else None


def require_own_tables(out: Path) -> None:
    """Refuse a results' folder in which what is written over all sources would replace somebody's file.

    `train` and `evaluate` draw confusion matrices too: one is of `annotate` where its summary lies beside it.

    Raises:
        UsageError: there is one.
        OutputError: it cannot be told what is there.
    """
    with writing(out):
        if _is_summary(out / SUMMARY):
            return
        for name in OVER_ALL:
            if (out / name).exists():
                raise UsageError(f"{out / name} is in the way and was not written by annotate: move it away")


def is_over_all(path: Path) -> bool:
    """Whether a file is one that `annotate` wrote over all sources, under whatever results' folder."""
    try:
        return path.name in OVER_ALL and _is_summary(path.with_name(SUMMARY))
    except OSError:
        return False


def _is_summary(path: Path) -> bool:
    """Whether `annotate` wrote a table over all sources there.

    Raises:
        OSError: there is something else that cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.readline(_HEADER).replace(b'"', b"").startswith(b"source,status,reason,")
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_of(manifest: Mapping[str, Any], source: Mapping[str, Any]) -> bool:
    """Whether results are of a source, which may have been moved since, by what identifies it."""
    before = manifest["made_from"]["source"]
    moved = before.get("bytes") and before.get("listing_sha256") == source["listing_sha256"]
    return before["path"] == source["path"] or bool(moved)


def holds_results(folder: Path) -> bool:
    """Whether a folder is one of a source's results, finished or not, under whatever results' folder."""
    return read_manifest(folder) is not None or (folder.suffix in UNFINISHED and (folder / LOCK).is_file())


def strangers(folder: Path) -> list[str]:
    """Names of what `annotate` did not write there; a file is its own stranger.

    Where no manifest of `annotate`'s lies, everything is: names alone make no results.
    """
    if not os.path.lexists(folder):
        return []
    manifest = read_manifest(folder)
    own = frozenset[str]() if manifest is None else _WRITTEN
    try:
        names = {path.name for path in folder.iterdir()}
        added = names - own - _NOBODYS
        if manifest is not None and "overlay" in names:
            added |= _strangers_drawn(folder / "overlay", manifest["made_from"]["source"].get("kind"))
    except OSError:
        return [folder.name]
    return sorted(added)


def _strangers_drawn(overlay: Path, kind: object) -> set[str]:
    if kind == "video" or not overlay.is_dir():
        return {overlay.name}
    names = {path.name for path in overlay.iterdir()} - _NOBODYS
    return {f"{overlay.name}/{name}" for name in names if not _DRAWN.fullmatch(name)}

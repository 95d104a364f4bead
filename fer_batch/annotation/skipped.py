"""What lies among sources and is not read, which is told at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from fer_batch.storage import readable

_MOST_SUFFIXES, _MOST_FILES = 8, 3
"""How many are named in a line; the others are counted."""


@dataclass
class Skipped:
    """Files in folders, or that fit a pattern, and that are no sources; filled in while those are found."""

    _reasons: dict[str, str | None] = field(default_factory=dict)

    def add(self, path: Path, reason: str | None = None) -> None:
        """Note a file.

        Args:
            path: where it really lies, so that it counts once.
            reason: why it is not read, though it may be footage; None where it is neither video nor picture.
        """
        self._reasons[str(path)] = reason

    def remove(self, paths: Iterable[Path]) -> None:
        """Forget files that are read after all: they are named besides."""
        for path in paths:
            self._reasons.pop(str(path), None)

    @property
    def suffixes(self) -> dict[str, int]:
        """How many files are neither video nor picture, by suffix, the most first; "" has none."""
        others = (path for path, reason in self._reasons.items() if reason is None)
        counts = Counter(readable(PurePath(path).suffix.lower()) for path in others)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def unread(self) -> dict[str, str]:
        """Files that may be footage, with the reason why they are not read."""
        return {readable(path): reason for path, reason in self._reasons.items() if reason is not None}

    @property
    def facts(self) -> dict[str, Any]:
        """All of it, for machines."""
        not_read = [{"file": file, "reason": reason} for file, reason in self.unread.items()]
        return {"neither_video_nor_picture": self.suffixes, "not_read": not_read}

    @property
    def lines(self) -> list[str]:
        """A line for the files that are neither video nor picture, and one for each reason of others."""
        lines, suffixes = [], self.suffixes
        if suffixes:
            total = sum(suffixes.values())
            named = [f"{name or 'no suffix'} {count:,}" for name, count in suffixes.items()]
            files = "1 file that is" if total == 1 else f"{total:,} files that are"
            lines.append(f"skipped {files} neither video nor picture ({_first(named, _MOST_SUFFIXES)})")
        by_reason: dict[str, list[str]] = {}
        for file, reason in self.unread.items():
            by_reason.setdefault(reason, []).append(file)
        for reason, files in by_reason.items():
            lines.append(f"not read: {_first(files, _MOST_FILES)}: {reason}")
        return lines


def _first(names: list[str], most: int) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

"""Made-up FER2013 files: small, deterministic, and in every dialect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_batch.emotions import Emotion

USAGES = ("Training", "PublicTest", "PrivateTest")


@dataclass(frozen=True, eq=False)
class MadeRow:
    emotion: Emotion
    usage: str
    image: NDArray[np.uint8]

    @property
    def pixels(self) -> str:
        return " ".join(map(str, self.image.ravel().tolist()))


def make_rows(count: int, seed: int = 0) -> list[MadeRow]:
    """Rows with every label and Usage in turn; the pictures are noise, so that none equals another."""
    random = np.random.default_rng(seed)
    return [
        MadeRow(Emotion(i % 7), USAGES[i % 3], random.integers(0, 256, (48, 48), np.uint8))
        for i in range(count)
    ]


def fer2013_lines(rows: Iterable[MadeRow]) -> list[str]:
    return ["emotion,pixels,Usage", *(f"{int(row.emotion)},{row.pixels},{row.usage}" for row in rows)]


def icml_lines(rows: Iterable[MadeRow]) -> list[str]:
    return ["emotion, Usage, pixels", *(f"{int(row.emotion)},{row.usage},{row.pixels}" for row in rows)]


def train_lines(rows: Iterable[MadeRow]) -> list[str]:
    return ["emotion,pixels", *(f"{int(row.emotion)},{row.pixels}" for row in rows)]


def test_lines(rows: Iterable[MadeRow]) -> list[str]:
    return ["pixels", *(row.pixels for row in rows)]


def ferplus_lines(rows: Iterable[MadeRow]) -> list[str]:
    """Votes that tell rows apart: row i has i % 10 votes for neutral, the rest for happiness."""
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    votes = (
        f"{row.usage},fer{i:07d}.png,{i % 10},{10 - i % 10},0,0,0,0,0,0,0,0" for i, row in enumerate(rows)
    )
    return [header, *votes]


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }

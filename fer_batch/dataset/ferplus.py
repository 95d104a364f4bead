"""FER+: ten crowd votes for every row of FER2013 (Barsoum et al. 2016, arXiv:1608.01041)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_batch.dataset.archives import reading
from fer_batch.dataset.dialects import USAGE_SPLITS
from fer_batch.emotions import Emotion
from fer_batch.errors import DatasetFormatError
from fer_batch.storage import VOTES

_IN_EMOTION_ORDER = {
    Emotion.ANGRY: "anger",
    Emotion.DISGUST: "disgust",
    Emotion.FEAR: "fear",
    Emotion.HAPPY: "happiness",
    Emotion.SAD: "sadness",
    Emotion.SURPRISE: "surprise",
    Emotion.NEUTRAL: "neutral",
}


def crowd_targets(votes: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the crowd saw, as distributions to learn from and how much each counts.

    Votes for contempt, unknown and not-a-face belong to none of the seven expressions. They are left
    out of the distribution, and the picture's weight shrinks by their share.

    Args:
        votes: int64 [N, 10], counts in the order of `storage.VOTES`.

    Returns:
        Targets, float32 [N, 7] in the order of `Emotion`, each row adding up to 1 (uniform where
        no vote is for one of the seven), and weights, float32 [N], 0–1: the share of all votes
        that fell on the seven.
    """
    seven = votes[:, [VOTES.index(_IN_EMOTION_ORDER[emotion]) for emotion in Emotion]].astype(np.float32)
    counted = seven.sum(axis=1)
    cast = votes.sum(axis=1).astype(np.float32)
    targets = np.full_like(seven, 1 / len(Emotion))
    np.divide(seven, counted[:, None], out=targets, where=counted[:, None] > 0)
    weights = np.divide(counted, cast, out=np.zeros_like(counted), where=cast > 0)
    return targets, weights


@dataclass(frozen=True)
class Votes:
    """One row of a FER+ file.

    Attributes:
        line: its line in the file, from 1, header included.
        split: the split its `Usage` stands for.
        counts: ten counts in the order of `storage.VOTES`.
    """

    line: int
    split: str
    counts: tuple[int, ...]


def read_votes(path: Path) -> Iterator[Votes]:
    """The rows of a FER+ file (`fer2013new.csv`: `Usage,Image name,neutral,...,NF`), one by one.

    Raises:
        InputError: the file cannot be read.
        DatasetFormatError: it is no FER+ file, or a row of it is damaged: as it is joined by
            row, nothing after a damaged row could be trusted.
    """
    with reading(path), path.open(encoding="utf-8-sig", errors="backslashreplace", newline="") as stream:
        rows = csv.reader(stream)
        try:
            places = _places(path, next(rows, []))
            for fields in rows:
                if fields:
                    yield _votes(path, rows.line_num, fields, places)
        except csv.Error as error:
            raise DatasetFormatError(f"{path} line {rows.line_num}: {error}") from error


def _places(path: Path, header: list[str]) -> list[int]:
    names = [name.strip().lower() for name in header]
    columns = ("usage", *VOTES)
    missing = [name for name in columns if name not in names]
    if missing:
        raise DatasetFormatError(
            f"{path} is not a FER+ file: it has no column {', '.join(missing)}; "
            f"expected the columns of fer2013new.csv: Usage, Image name, {', '.join(VOTES)}"
        )
    return [names.index(name) for name in columns]


def _votes(path: Path, line: int, fields: list[str], places: list[int]) -> Votes:
    if len(fields) <= max(places):
        raise DatasetFormatError(f"{path} line {line}: {len(fields)} fields, expected {max(places) + 1}")
    usage, *counts = (fields[place].strip() for place in places)
    if usage not in USAGE_SPLITS:
        raise DatasetFormatError(f"{path} line {line}: unknown Usage {usage[:20]!r}")
    if not all(count.isascii() and count.isdigit() and len(count) <= 3 for count in counts):
        raise DatasetFormatError(f"{path} line {line}: votes {', '.join(counts)[:80]!r}, expected ten counts")
    return Votes(line, USAGE_SPLITS[usage], tuple(int(count) for count in counts))


def crowd_majority(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The expression that at least half of all votes name, int64 [N], 0–6; -1 where none has so many.

    Args:
        votes: int64 [N, 10], counts in the order of `storage.VOTES`.
    """
    seven = votes[:, [VOTES.index(_IN_EMOTION_ORDER[emotion]) for emotion in Emotion]]
    # At exactly half, two may tie: the crowd is then of two minds, and names neither.
    ordered = np.sort(seven, axis=1)
    decided = (2 * ordered[:, -1] >= votes.sum(axis=1)) & (ordered[:, -1] > ordered[:, -2])
    return np.where(decided, seven.argmax(axis=1), -1)

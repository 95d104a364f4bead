"""FER+: ten crowd votes for every row of FER2013 (Barsoum et al. 2016, arXiv:1608.01041)."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_batch.dataset.archives import reading
from fer_batch.dataset.dialects import USAGE_SPLITS
from fer_batch.emotions import Emotion
from fer_batch.errors import DatasetFormatError
from fer_batch.storage import VOTES

_NAME = "image name"

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
        name: its `Image name`; empty where it has none.
        split: the split its `Usage` stands for.
        counts: ten counts in the order of `storage.VOTES`.
    """

    line: int
    name: str
    split: str
    counts: tuple[int, ...]


def read_votes(path: Path) -> list[Votes]:
    """The rows of a FER+ file (`fer2013new.csv`: `Usage,Image name,neutral,...,NF`).

    Raises:
        InputError: the file cannot be read.
        DatasetFormatError: it is no FER+ file, its rows are in another order, or one is damaged: as
            it is joined by row, nothing after such a row could be trusted.
    """
    with reading(path), path.open(encoding="utf-8-sig", errors="backslashreplace", newline="") as stream:
        rows = csv.reader(stream)
        try:
            header = [name.strip().lower() for name in next(rows, [])]
            places = _places(path, header)
            name_place = header.index(_NAME) if _NAME in header else None
            votes = [_votes(path, rows.line_num, fields, places, name_place) for fields in rows if fields]
        except csv.Error as error:
            raise DatasetFormatError(f"{path} line {rows.line_num}: {error}") from error
    _check_order(path, votes)
    return votes


def _places(path: Path, header: list[str]) -> list[int]:
    columns = ("usage", *VOTES)
    missing = [name for name in columns if name not in header]
    if missing:
        raise DatasetFormatError(
            f"{path} is not a FER+ file: it has no column {', '.join(missing)}; "
            f"expected the columns of fer2013new.csv: Usage, Image name, {', '.join(VOTES)}"
        )
    return [header.index(name) for name in columns]


def _votes(path: Path, line: int, fields: list[str], places: list[int], name_place: int | None) -> Votes:
    if len(fields) <= max(places):
        raise DatasetFormatError(f"{path} line {line}: {len(fields)} fields, expected {max(places) + 1}")
    usage, *counts = (fields[place].strip() for place in places)
    if usage not in USAGE_SPLITS:
        raise DatasetFormatError(f"{path} line {line}: unknown Usage {usage[:20]!r}")
    if not all(count.isascii() and count.isdigit() and len(count) <= 3 for count in counts):
        raise DatasetFormatError(f"{path} line {line}: votes {', '.join(counts)[:80]!r}, expected ten counts")
    name = "" if name_place is None or name_place >= len(fields) else fields[name_place].strip()
    return Votes(line, name, USAGE_SPLITS[usage], tuple(int(count) for count in counts))


def _check_order(path: Path, votes: Iterable[Votes]) -> None:
    """Refuse a file that was sorted or shuffled: `Usage` alone is the same for thousands of rows.

    Raises:
        DatasetFormatError: names do not ascend.
    """
    # Rows of no face have no name or, a few of them, the name and the votes of another row: a name that
    # stands twice tells nothing.
    times = Counter(row.name for row in votes)
    before = ""
    for row in votes:
        if times[row.name] > 1 or not row.name:
            continue
        if row.name < before:
            raise DatasetFormatError(
                f"{path} line {row.line}: the Image name {row.name[:40]!r} comes after {before[:40]!r}; "
                "votes are joined by row, so use fer2013new.csv in the order in which it is published"
            )
        before = row.name


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

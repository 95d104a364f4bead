"""What is known of a source's frames and faces, in parts that outlive the process that wrote them.

A part is three files: `frames`, `faces`, and, written last, a JSON with all that is needed to go on
behind it. Final tables are made of the parts, so that a run that was stopped ends as any other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_batch.annotation.decode import DecodeReport, Position
from fer_batch.annotation.frames import AnnotatedFrame
from fer_batch.annotation.scenes import SceneState
from fer_batch.emotions import LABELS
from fer_batch.storage import (
    FACE_COLUMNS,
    FRAME_COLUMNS,
    HIDDEN_COLUMNS,
    LANDMARK_COLUMNS,
    QUALITY_PARTS,
    SMOOTHED,
    Column,
    read_json,
    schema,
    sync,
    write_json,
)

_LATER = {"source", "emotion", "confidence", "smoothed_emotion", *SMOOTHED}
"""Columns that the final tables alone have: they follow from the others and the settings."""
_MISSED = Column("missed", pa.int64(), "further faces that only the full size shows, where it was looked at")
_FRAMES = schema([*(column for column in FRAME_COLUMNS if column.name not in _LATER), _MISSED])
_FACES = schema([c for c in (*FACE_COLUMNS, *QUALITY_PARTS, *LANDMARK_COLUMNS) if c.name not in _LATER])


@dataclass(frozen=True)
class Resume:
    """What the stages need to go on behind a part."""

    position: Position
    number: int
    """Sampled frames so far."""
    glance: SceneState | None
    tracker: dict[str, Any] | None
    looks: list[tuple[int, float]]


class Parts:
    """The parts of one source, in a folder.

    Args:
        folder: made where it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._frames: list[AnnotatedFrame] = []
        self._count = 0
        while self._state_file(self._count).is_file():
            self._count += 1
        self._last = read_json(self._state_file(self._count - 1)) if self._count else None

    @property
    def finished(self) -> bool:
        """The source was read to its end."""
        return self._last is not None and self._last["report"] is not None

    @property
    def report(self) -> DecodeReport:
        """What was wrong with the source, once it was read to its end."""
        return DecodeReport(**self._last["report"]) if self._last and self.finished else DecodeReport()

    @property
    def resume(self) -> Resume | None:
        """Where to go on; None is the beginning."""
        if self._last is None:
            return None
        state = self._last["resume"]
        seen = state["glance"]
        return Resume(
            position=Position(**state["position"]),
            number=state["number"],
            glance=seen and SceneState.from_json(seen),
            tracker=state["tracker"],
            looks=[(track, time_s) for track, time_s in state["looks"]],
        )

    def add(self, annotated: AnnotatedFrame) -> None:
        """Take in the next frame; at the end of a part, put the part on the disk."""
        self._frames.append(annotated)
        if annotated.tracked.resume is not None:
            self._write({"resume": annotated.tracked.resume, "report": None})

    def finish(self, report: DecodeReport) -> None:
        """Put the last frames on the disk, and what is to be said of the source."""
        self._write({"resume": None, "report": {**vars(report)}})

    def _write(self, state: dict[str, Any]) -> None:
        for name, table in (("frames", _frame_table(self._frames)), ("faces", _face_table(self._frames))):
            path = self._folder / f"{self._count:06d}.{name}.parquet"
            pq.write_table(table, path, compression="zstd")
            sync(path)
        write_json(self._state_file(self._count), state)
        self._frames, self._last = [], state
        self._count += 1

    def _state_file(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"

    def frames(self) -> Iterator[pa.Table]:
        """The rows of all frames, a part at a time."""
        return self._tables("frames")

    def faces(self) -> Iterator[pa.Table]:
        """The rows of all faces, a part at a time."""
        return self._tables("faces")

    def _tables(self, name: str) -> Iterator[pa.Table]:
        for number in range(self._count):
            yield pq.read_table(self._folder / f"{number:06d}.{name}.parquet")


def discard_parts(folder: Path) -> None:
    """Remove the parts of a source whose results are written.

    The last goes first: where this is stopped, those that are left are the beginning, to go on behind.
    """
    for state in sorted(folder.glob("*.json"), reverse=True):
        state.unlink()
    shutil.rmtree(folder)


def _frame_table(frames: list[AnnotatedFrame]) -> pa.Table:
    read = [annotated.tracked.frame for annotated in frames]
    sizes = [annotated.tracked.size or (None, None) for annotated in frames]
    columns = {
        "file": [frame.file for frame in read],
        "frame": [frame.index for frame in read],
        "time_s": [frame.time_s for frame in read],
        "faces": [len(annotated.tracked.faces) for annotated in frames],
        "status": ["corrupt" if frame.corrupt else "ok" for frame in read],
        "width": [width for _, width in sizes],
        "height": [height for height, _ in sizes],
        "missed": [missed and missed.result() for missed in (one.tracked.missed for one in frames)],
    }
    return pa.table(columns, _FRAMES)


def _face_table(frames: list[AnnotatedFrame]) -> pa.Table:
    """A row for each face of some frames, made column by column: rows as dictionaries cost ten times more."""
    counts = np.array([len(annotated.tracked.faces) for annotated in frames], np.int64)
    read = [annotated.tracked.frame for annotated in frames]
    owner = np.repeat(np.arange(len(frames)), counts)
    first = np.cumsum(counts) - counts

    def stacked(arrays: list[np.ndarray], width: int) -> np.ndarray:
        return np.concatenate([np.empty((0, width), np.float32), *(a.reshape(-1, width) for a in arrays)])

    boxes = stacked([annotated.tracked.faces.boxes for annotated in frames], 4)
    scores = stacked([annotated.tracked.faces.scores for annotated in frames], 1)[:, 0]
    landmarks = stacked([annotated.tracked.faces.landmarks for annotated in frames], 10)
    probabilities = stacked([annotated.probabilities for annotated in frames], len(LABELS))
    hidden = stacked([annotated.hidden for annotated in frames], 2)
    quality = {
        name: stacked([getattr(annotated.quality, name) for annotated in frames], 1)[:, 0]
        for name in ("overall", "size", "sharpness", "pose", "light")
    }
    quality["pose"][np.isnan(scores)] = np.nan  # between searches it is a guess, as landmarks are
    columns: dict[str, Any] = {
        "file": [read[index].file for index in owner],
        "frame": np.array([frame.index for frame in read], np.int64)[owner],
        "time_s": [read[index].time_s for index in owner],
        "face": np.arange(len(owner)) - first[owner],
        "track": np.concatenate([np.empty(0, np.int64), *(item.tracked.tracks for item in frames)]),
        "x": boxes[:, 0],
        "y": boxes[:, 1],
        "width": boxes[:, 2] - boxes[:, 0],
        "height": boxes[:, 3] - boxes[:, 1],
        "detection_score": _known(scores),
        **dict(zip(LABELS, probabilities.T, strict=True)),
        **{c.name: _known(values) for c, values in zip(HIDDEN_COLUMNS, hidden.T, strict=True)},
        "quality": quality.pop("overall"),
        **{f"quality_{name}": _known(values) for name, values in quality.items()},
        **{c.name: _known(values) for c, values in zip(LANDMARK_COLUMNS, landmarks.T, strict=True)},
    }
    return pa.table(columns, _FACES)


def _known(values: np.ndarray) -> pa.Array:
    """Numbers with nulls for what is unknown."""
    return pa.array(np.ascontiguousarray(values), from_pandas=True)

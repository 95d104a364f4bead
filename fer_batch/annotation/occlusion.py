"""When faces are looked at for what hides them, and what follows from what was seen.

A look costs as much as reading two expressions, and what hides a face stays for a while: so each track is
looked at about once a second, and what was seen then holds until the next look. Who comes into the picture
is seen in parts at first, so the second look follows soon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fer_batch.annotation.clock import SAME_TIME_S
from fer_batch.storage import HIDDEN_COLUMNS, QUALITY_COLUMN

_EVERY_S, _SECOND_S = 1.0, 0.3
"""Time between looks in seconds, and from a track's first to its second."""
_HIDDEN = (0.1, 0.9)
"""How surely the eyes or the mouth are hidden where expressions are read nearly as well as ever, 71% right
instead of 75, and where half of them are misread (`benchmarks/hidden.py`)."""


class OcclusionLooks:
    """Tells which faces of a video are to be looked at.

    Args:
        state: of an earlier one, to go on from.
    """

    def __init__(self, state: Sequence[tuple[int, float]] = ()) -> None:
        self._due_s = dict(state)

    @property
    def state(self) -> list[tuple[int, float]]:
        """All that the next frame needs, as JSON can hold it: tracks, and when each is due."""
        return list(self._due_s.items())

    def due(self, tracks: NDArray[np.int64], time_s: float) -> NDArray[np.bool_]:
        """Which of the faces that were found at a time to look at: bool [N]."""
        # Tracks that are long overdue are gone; and a time that is set back, as in damaged files, makes all
        # of them new.
        self._due_s = {
            track: due_s for track, due_s in self._due_s.items() if abs(time_s - due_s) <= _EVERY_S
        }
        now_s = time_s + SAME_TIME_S
        due = np.array([self._due_s.get(track, time_s) <= now_s for track in tracks.tolist()], bool)
        for track in tracks[due].tolist():
            self._due_s[track] = time_s + (_EVERY_S if track in self._due_s else _SECOND_S)
        return due


def with_occlusion(blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Have what was seen of a track hold until the next look, and `quality` fall with it.

    Args:
        blocks: consecutive rows in the order of their frames, with the columns `track`, `HIDDEN_COLUMNS` and
            `quality`. A track that is in none of a block's rows is forgotten: it is looked at first where
            it comes back.

    Yields:
        The same rows, block by block.
    """
    seen: dict[int, NDArray[np.float32]] = {}
    for block in blocks:
        tracks = block["track"].to_numpy()
        hidden = np.stack([block[column.name].to_numpy() for column in HIDDEN_COLUMNS], 1)
        hidden = hidden.astype(np.float32)
        for track, row in zip(tracks.tolist(), hidden, strict=True):
            if np.isnan(row[0]):
                row[:] = seen.get(track, np.nan)
            else:
                seen[track] = row
        present = set(tracks.tolist())
        seen = {track: row for track, row in seen.items() if track in present}
        worse = hidden.max(1, initial=0)
        quality = np.fmin(block[QUALITY_COLUMN.name].to_numpy(), np.interp(worse, _HIDDEN, (1, 0)))
        for column, values in [*zip(HIDDEN_COLUMNS, hidden.T, strict=True), (QUALITY_COLUMN, quality)]:
            index = block.column_names.index(column.name)
            filled = pa.array(values, column.type, from_pandas=True)
            block = block.set_column(index, column.name, filled)  # noqa: PLW2901
        yield block

"""When faces are looked at for what hides them, and what follows from what was seen.

A look costs more than reading an expression, and what hides a face stays for a while: so each track is
looked at about once a second, and what was seen then holds until the next look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fer_batch.storage import HIDDEN_COLUMNS, QUALITY_COLUMN

_LOOK_EVERY_S = 1.0
_HIDDEN = (0.1, 0.9)
"""How surely the eyes or the mouth are hidden where expressions are read nearly as well as ever, 71% right
instead of 75, and where half of them are misread (`benchmarks/hidden.py`)."""


class OcclusionLooks:
    """Tells which faces of a video are to be looked at.

    Args:
        state: of an earlier one, to go on from.
    """

    def __init__(self, state: Sequence[tuple[int, float]] = ()) -> None:
        self._looked_s = dict(state)

    @property
    def state(self) -> list[tuple[int, float]]:
        """All that the next frame needs, as JSON can hold it: tracks, and when each was looked at."""
        return list(self._looked_s.items())

    def due(self, tracks: NDArray[np.int64], time_s: float) -> NDArray[np.bool_]:
        """Which of the faces that were found at a time to look at: bool [N]."""
        # A time that is set back, as in damaged files, makes all of them due.
        self._looked_s = {
            track: looked_s
            for track, looked_s in self._looked_s.items()
            if abs(time_s - looked_s) < _LOOK_EVERY_S
        }
        due = np.array([track not in self._looked_s for track in tracks.tolist()], bool)
        self._looked_s.update(dict.fromkeys(tracks[due].tolist(), time_s))
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

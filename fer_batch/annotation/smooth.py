"""Probabilities averaged over each track's time, as the rows of a video go by.

A weighted mean whose weights fall off as a Gaussian of the distance in time (Nadaraya 1964; Watson
1964): frames may come at any rate, and be missing. Probabilities are averaged, not their logarithms:
those find the beginnings of expressions no better, and leave more changes that are none
(`benchmarks/smoothing.py` compares both).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fer_batch.annotation.clock import SAME_TIME_S
from fer_batch.emotions import LABELS
from fer_batch.settings import QualitySettings, SmoothingSettings
from fer_batch.storage import SMOOTHED

_CUT = 3.0
"""Nothing weighs on what is more standard deviations away."""
_CAUSAL_WIDTH = 2.0
"""How much wider half a Gaussian is that averages out as much noise as a whole one: the sum of its squared
weights is then the same share of their squared sum."""
_ROWS_AWAY = 1 << 16
"""No row weighs on one that is further away in the table: a time that stands still, as in damaged files,
must not fill the memory."""
_WEIGHTS_AT_ONCE = 1 << 20
"""So many weights lie in memory together, or those of one row."""


def smoothed(
    blocks: Iterable[pa.Table], settings: SmoothingSettings, quality: QualitySettings
) -> Iterator[pa.Table]:
    """Append the seven columns `SMOOTHED`, float32, to the face rows of a video.

    A row gets the mean over its track's rows, each weighted by exp(-dt² / (2 s²)) with its distance dt
    in time, up to 3 s; s is `settings.seconds`. It is given out once a row comes that is too late to
    weigh on it. With `settings.causal` the mean is over the rows up to and with itself and s is twice
    `settings.seconds`, which averages out as much noise; a change then shows about 1.35
    `settings.seconds` late, the median of that half Gaussian, and rows are given out with their block.
    With 0 seconds every row keeps its own values.

    Rows whose `quality` is below `quality.min_quality` weigh on none, themselves included; rows on which
    none weighs get nulls. Where the time runs backwards, as in damaged files, it counts as going on by
    as much. Memory holds the rows that may still weigh on others, at most 65,536 on either side, and
    the block.

    Args:
        blocks: consecutive rows in the order of their frames, in tables of any length, with at least the
            columns `time_s` (float64, seconds), `track` (int64, no nulls), the seven of `LABELS` and
            `quality` (float32).
        settings: how far to average.
        quality: which rows weigh.

    Yields:
        The same rows in the same order, in tables that are not empty. No value depends on where the
        blocks begin and end.
    """
    window: _Window | None = None
    for block in blocks:
        window = window or _Window(block.schema, settings, quality)
        if block.num_rows:
            window.add(block)
            yield from window.give_out(window.complete)
    if window:
        yield from window.give_out(window.waiting)


@dataclass(frozen=True, eq=False)
class _Rows:
    """What smoothing needs of consecutive rows."""

    number: NDArray[np.int64]
    """0-based, in the video."""
    clock_s: NDArray[np.float64]
    """The time, made to go on only."""
    track: NDArray[np.int64]
    weighs: NDArray[np.bool_]
    values: NDArray[np.float64]
    """[N, 8]: the probabilities and 1, whose weighted sum is that of the weights."""

    @classmethod
    def none(cls) -> _Rows:
        return cls(
            np.empty(0, np.int64),
            np.empty(0),
            np.empty(0, np.int64),
            np.empty(0, np.bool_),
            np.empty((0, len(LABELS) + 1)),
        )

    def __len__(self) -> int:
        return len(self.number)

    def __getitem__(self, index: Any) -> _Rows:
        return _Rows(*(column[index] for column in self._columns))

    def __add__(self, later: _Rows) -> _Rows:
        return _Rows(*map(np.concatenate, zip(self._columns, later._columns, strict=True)))

    @property
    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.number, self.clock_s, self.track, self.weighs, self.values


class _Window:
    """Moves over the rows of a video: those that wait and, before them, those that weigh on them."""

    def __init__(self, schema: pa.Schema, settings: SmoothingSettings, quality: QualitySettings) -> None:
        self._min_quality = quality.min_quality
        self._deviation_s = settings.seconds * (_CAUSAL_WIDTH if settings.causal else 1) or 1.0
        self._reach_s = _CUT * self._deviation_s + SAME_TIME_S
        self._back = _ROWS_AWAY if settings.seconds else 0
        self._ahead = 0 if settings.causal else self._back
        self._rows, self._table = _Rows.none(), schema.empty_table()
        self._count, self._time_s, self._added_s = 0, -np.inf, 0.0

    @property
    def waiting(self) -> int:
        """How many rows wait."""
        return self._table.num_rows

    @property
    def complete(self) -> int:
        """How many of them, from the first, no later row weighs on."""
        waiting = self._rows[len(self._rows) - self.waiting :]
        too_late = waiting.clock_s + self._reach_s < waiting.clock_s[-1]
        too_far = waiting.number + self._ahead < self._count
        return int(np.count_nonzero(too_late | too_far))

    def add(self, block: pa.Table) -> None:
        """Have the rows of a block, at least one, wait."""
        time_s = np.concatenate([[self._time_s], block["time_s"].to_numpy()])
        backwards_s = np.maximum(time_s[:-1] - time_s[1:], 0)
        added_s = np.cumsum(np.concatenate([[self._added_s], 2 * backwards_s]))
        end = self._count + block.num_rows
        rows = _Rows(
            number=np.arange(self._count, end),
            clock_s=time_s[1:] + added_s[1:],
            track=block["track"].to_numpy(),
            weighs=block["quality"].to_numpy() >= self._min_quality,
            values=np.column_stack([*(block[label].to_numpy() for label in LABELS), np.ones(block.num_rows)]),
        )
        self._rows, self._table = self._rows + rows, pa.concat_tables([self._table, block])
        self._count, self._time_s, self._added_s = end, time_s[-1], added_s[-1]

    def give_out(self, count: int) -> Iterator[pa.Table]:
        """Smooth the first `count` of the waiting rows, and forget what weighs on none any more."""
        if not count:
            return
        begin = len(self._rows) - self.waiting
        sums = self._weighted(self._rows[begin : begin + count])
        weights = sums[:, -1]
        known = weights > 0
        means = sums[:, :-1] / np.where(known, weights, 1)[:, None]
        table, self._table = self._table.slice(0, count), self._table.slice(count)
        for name, mean in zip(SMOOTHED, means.astype(np.float32).T, strict=True):
            table = table.append_column(name, pa.array(mean, mask=~known))
        next_clock_s = self._rows.clock_s[min(begin + count, len(self._rows) - 1)]
        still_weigh = self._rows.clock_s >= next_clock_s - self._reach_s
        still_weigh &= self._rows.number >= self._count - self.waiting - self._back
        self._rows = self._rows[still_weigh]
        yield table

    def _weighted(self, asked: _Rows) -> NDArray[np.float64]:
        """The weighted sums of `values` around some rows: [N, 8]."""
        used = self._rows[self._rows.weighs]
        used = used[np.argsort(used.track, kind="stable")]
        # Complex numbers are ordered by real part, then imaginary part: here by track, then place in it.
        clocks, numbers = used.track + 1j * used.clock_s, used.track + 1j * used.number
        first = np.maximum(
            np.searchsorted(clocks, asked.track + 1j * (asked.clock_s - self._reach_s)),
            np.searchsorted(numbers, asked.track + 1j * (asked.number - self._back)),
        )
        last = np.minimum(
            np.searchsorted(clocks, asked.track + 1j * (asked.clock_s + self._reach_s), "right"),
            np.searchsorted(numbers, asked.track + 1j * (asked.number + self._ahead), "right"),
        )
        ends = np.concatenate([[0], np.cumsum(last - first)])
        parts = np.flatnonzero(np.diff(ends[1:] // _WEIGHTS_AT_ONCE)) + 1
        sums = np.empty((len(asked), used.values.shape[1]))
        for begin, end in itertools.pairwise([0, *parts.tolist(), len(asked)]):
            lengths = last[begin:end] - first[begin:end]
            bounds = ends[begin : end + 1] - ends[begin]
            columns = np.arange(bounds[-1]) + np.repeat(first[begin:end] - bounds[:-1], lengths)
            distances_s = used.clock_s[columns] - np.repeat(asked.clock_s[begin:end], lengths)
            weights = np.exp(-0.5 * (distances_s / self._deviation_s) ** 2)
            matrix = csr_array((weights, columns, bounds), shape=(end - begin, len(used)))
            sums[begin:end] = matrix @ used.values
        return sums
